//! Point ids.

use bigrain_engine::PointId;
use q::point_id::PointIdOptions;
use qdrant_client::qdrant as q;
use tonic::Status;

use crate::qdrant::error::{missing, wrong};

/// Reads an id; any string is one, not only those that spell a UUID.
pub(in crate::qdrant) fn point_id(id: Option<q::PointId>) -> Result<PointId, Status> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Num(number)) => Ok(PointId::from(number)),
        Some(PointIdOptions::Uuid(text)) => PointId::parse(&text).map_err(wrong),
        None => Err(missing("point id")),
    }
}

/// Reads some ids.
pub(in crate::qdrant) fn point_ids<C: FromIterator<PointId>>(
    ids: Vec<q::PointId>,
) -> Result<C, Status> {
    ids.into_iter().map(|id| point_id(Some(id))).collect()
}

/// Writes an id.
pub(in crate::qdrant) fn id_message(id: &PointId) -> q::PointId {
    let options = match id.as_number() {
        Some(number) => PointIdOptions::Num(number),
        None => PointIdOptions::Uuid(id.to_string()),
    };
    q::PointId { point_id_options: Some(options) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_kind_come_back() {
        for id in [PointId::from(7), PointId::parse("doc/7").unwrap()] {
            assert_eq!(point_id(Some(id_message(&id))).unwrap(), id);
        }
        assert!(point_id(None).unwrap_err().message().contains("point id is missing"));
    }
}
