//! What each call of the protocol does: one function a call, from message to answer, over the engine.
//!
//! They block, and run on a lane of the runtime; the transports see to that.

pub(super) mod batch;
pub(super) mod collections;
pub(super) mod query;
pub(super) mod reads;
mod rewrite;
pub(super) mod snapshots;
pub(super) mod writes;

use bigrain_engine::filter::Condition;
use bigrain_engine::{Collection, Filter, PointId, ScrollParams, StoredPoint};
use qdrant_client::qdrant as q;
use tonic::Status;

use super::convert;
use super::error::{missing, wrong};
use super::names::vector_of;
use crate::status;

/// The points that a write is about.
enum Selected {
    Ids(Vec<PointId>),
    Filter(Filter),
}

/// Reads which points a write is about.
fn selected(selector: Option<q::PointsSelector>) -> Result<Selected, Status> {
    use q::points_selector::PointsSelectorOneOf;

    match selector.and_then(|selector| selector.points_selector_one_of) {
        Some(PointsSelectorOneOf::Points(list)) => convert::point_ids(list.ids).map(Selected::Ids),
        Some(PointsSelectorOneOf::Filter(filter)) => convert::filter(filter).map(Selected::Filter),
        None => Err(missing("points selector")),
    }
}

impl Selected {
    /// Returns the ids, as they are now.
    fn ids(self, collection: &Collection) -> Result<Chosen, Status> {
        match self {
            Self::Ids(ids) => Ok(Chosen { ids, by_name: true }),
            Self::Filter(filter) => {
                let ids = collection.matching(&filter).map_err(status::from_engine)?.ids;
                Ok(Chosen { ids, by_name: false })
            }
        }
    }
}

/// The ids of points to be changed.
struct Chosen {
    ids: Vec<PointId>,
    /// Whether a client named them. Then all must be there.
    by_name: bool,
}

/// Returns the filter of a prefetch below another, as Qdrant joins them: list by list. So what should hold in the one
/// and in the other are alternatives.
fn joined(above: Option<Filter>, own: Option<Filter>) -> Option<Filter> {
    let (Some(mut joined), Some(own)) = (above.clone(), own.clone()) else { return above.or(own) };
    joined.must.extend(own.must);
    joined.should.extend(own.should);
    joined.must_not.extend(own.must_not);
    joined.min_should = match (joined.min_should, own.min_should) {
        (Some(mut enough), Some(other)) => {
            enough.conditions.extend(other.conditions);
            enough.count = enough.count.max(other.count);
            Some(enough)
        }
        (one, other) => one.or(other),
    };
    Some(joined)
}

/// Returns the filter that both of two hold.
fn both(one: Option<Filter>, other: Option<Filter>) -> Option<Filter> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let nested = |filter| Condition::Filter(Box::new(filter));
            Some(Filter::new().must(nested(one)).must(nested(other)))
        }
        (one, other) => one.or(other),
    }
}

/// Reads one page of points.
fn page(collection: &Collection, params: &ScrollParams) -> Result<Vec<StoredPoint>, Status> {
    Ok(collection.scroll_page(params).map_err(status::from_engine)?.points)
}

/// Refuses a vector that the collection does not have.
fn check_field(collection: &Collection, field: &str) -> Result<(), Status> {
    if collection.config().field_names().any(|known| known == field) {
        return Ok(());
    }
    Err(wrong(format!("Not existing vector name error: {}", vector_of(field))))
}
