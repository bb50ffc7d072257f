//! How to search, and in which order.
//!
//! | Qdrant | here |
//! | --- | --- |
//! | `exact`, `quantization.ignore` | exact |
//! | `hnsw_ef` | so many candidates are verified: oversampling, `hnsw_ef / limit` |
//! | `quantization.oversampling` | oversampling |
//! | `quantization.rescore: false` | codes alone rank the results |
//! | `indexed_only`, `acorn` | accepted: they say how fast, and every point is found at once here |

use bigrain_engine::filter::{Condition, FieldTest, Moment, Number, Range, SortDirection};
use bigrain_engine::{Filter, OrderBy, SearchParams};
use q::start_from::Value as Start;
use qdrant_client::qdrant as q;
use tonic::Status;

use super::moment_of;
use crate::qdrant::error::{refuse, unsupported, wrong};

/// The largest factor that the engine takes.
const MAX_OVERSAMPLING: f32 = 1_000.0;

/// Reads how to search for so many points. Payloads are read afterwards, of those that are returned.
pub(in crate::qdrant) fn search_params(
    message: Option<q::SearchParams>,
    limit: usize,
    score_threshold: Option<f32>,
) -> Result<SearchParams, Status> {
    let message = message.unwrap_or_default();
    refuse(message.idf.as_ref(), "search parameter idf")?;
    let quantization = message.quantization.unwrap_or_default();
    let exact = message.exact.unwrap_or(false) || quantization.ignore.unwrap_or(false);
    let mut params = SearchParams::new(limit).map_err(wrong)?.with_exact(exact);
    let of_ef = message.hnsw_ef.map(|candidates| candidates as f32 / limit as f32);
    let asked = quantization.oversampling.map(|factor| factor as f32);
    if let Some(factor) = [of_ef, asked].into_iter().flatten().reduce(f32::max) {
        let factor = factor.clamp(1.0, MAX_OVERSAMPLING);
        params = params.with_oversampling(factor).map_err(wrong)?;
    }
    if let Some(threshold) = score_threshold {
        params = params.with_score_threshold(threshold).map_err(wrong)?;
    }
    let rescore = quantization.rescore.unwrap_or(true);
    Ok(params.with_payload(false).with_verify(rescore))
}

/// Refuses a choice of shards: there are none.
pub(in crate::qdrant) fn refuse_shard_keys(
    selector: Option<&q::ShardKeySelector>,
) -> Result<(), Status> {
    refuse(selector, "shard key")
}

/// An order by a payload field, and which points have a place in it.
#[derive(Clone, Debug)]
pub(in crate::qdrant) struct Ordering {
    /// The order.
    pub order: OrderBy,
    /// Its field.
    pub key: String,
    /// What points must match: that they have a number or a time there, on the right side of the start.
    pub among: Filter,
}

/// Reads an order. As in Qdrant, points without a number or time in the field are left out.
pub(in crate::qdrant) fn order_by(message: q::OrderBy) -> Result<Ordering, Status> {
    let direction = match message.direction.map(q::Direction::try_from) {
        None | Some(Ok(q::Direction::Asc)) => SortDirection::Ascending,
        Some(Ok(q::Direction::Desc)) => SortDirection::Descending,
        Some(Err(_)) => return Err(wrong("unknown direction: expected asc or desc")),
    };
    let on = |test| Condition::field(&message.key, test).map_err(wrong);
    let start = message.start_from.and_then(|start| start.value);
    let numbers = |number: Number| FieldTest::Numbers(starting(number, direction));
    let moments = |moment: Moment| FieldTest::Moments(starting(moment, direction));
    let tests = match start {
        Some(Start::Integer(start)) => vec![numbers(start.into())],
        Some(Start::Float(start)) => {
            let start = Number::from_f64(start).ok_or_else(|| wrong("start_from: not a number"))?;
            vec![numbers(start)]
        }
        Some(Start::Timestamp(start)) => vec![moments(moment_of(&start)?)],
        Some(Start::Datetime(start)) => {
            let start = start.parse().map_err(|_| wrong(format!("start_from: {start:?}")))?;
            vec![moments(moment_of(&start)?)]
        }
        None => {
            // Every number, and every time.
            let least = Number::from_f64(-f64::MAX).ok_or_else(|| unsupported("order"))?;
            let first = moment_of(&prost_types::Timestamp { seconds: FIRST_SECOND, nanos: 0 })?;
            vec![
                FieldTest::Numbers(Range::at_least(least)),
                FieldTest::Moments(Range::at_least(first)),
            ]
        }
    };
    let should = tests.into_iter().map(on).collect::<Result<_, _>>()?;
    let among = Filter { should, ..Filter::new() };
    let order = OrderBy::new(&message.key, direction).map_err(crate::status::from_engine)?;
    Ok(Ordering { order, key: message.key, among })
}

/// The first second of the year 1, the earliest that a date can be written of.
const FIRST_SECOND: i64 = -62_135_596_800;

fn starting<T: Ord>(start: T, direction: SortDirection) -> Range<T> {
    use std::ops::Bound::{Included, Unbounded};

    match direction {
        SortDirection::Descending => Range { lower: Unbounded, upper: Included(start) },
        _ => Range { lower: Included(start), upper: Unbounded },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_reaches_the_engine() {
        let quantization = q::QuantizationSearchParams {
            ignore: Some(false),
            rescore: Some(false),
            oversampling: Some(3.0),
        };
        let message = q::SearchParams {
            hnsw_ef: Some(64),
            exact: Some(true),
            quantization: Some(quantization),
            indexed_only: Some(true),
            acorn: None,
            idf: None,
        };
        let params = search_params(Some(message), 8, Some(0.5)).unwrap();
        assert!(params.exact() && !params.verify() && !params.payload());
        assert_eq!(params.oversampling(), Some(8.0));
        assert_eq!(params.score_threshold(), Some(0.5));
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let message = q::SearchParams { idf: Some(q::IdfParams::default()), ..Default::default() };
        let error = search_params(Some(message), 1, None).unwrap_err();
        assert!(error.message().contains("idf"), "{error:?}");
    }
}
