//! Ids of points.

use bigrain_engine::PointId;
use tonic::Status;

use super::{at, invalid};
use crate::proto;

/// Reads an id.
pub(crate) fn point_id(id: Option<proto::PointId>) -> Result<PointId, Status> {
    match id.and_then(|id| id.id) {
        Some(proto::point_id::Id::Num(number)) => Ok(PointId::from(number)),
        Some(proto::point_id::Id::Text(text)) => PointId::parse(&text).map_err(invalid),
        None => Err(Status::invalid_argument("point id is missing")),
    }
}

/// Reads ids; an error names the position.
pub(crate) fn point_ids(ids: Vec<proto::PointId>) -> Result<Vec<PointId>, Status> {
    let mut read = Vec::with_capacity(ids.len());
    for (position, id) in ids.into_iter().enumerate() {
        read.push(point_id(Some(id)).map_err(|status| at("ids", position, &status))?);
    }
    Ok(read)
}

/// Writes an id.
pub(crate) fn id_message(id: &PointId) -> proto::PointId {
    let id = match id.as_number() {
        Some(number) => proto::point_id::Id::Num(number),
        None => proto::point_id::Id::Text(id.to_string()),
    };
    proto::PointId { id: Some(id) }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn text(id: &str) -> Option<proto::PointId> {
        Some(proto::PointId { id: Some(proto::point_id::Id::Text(id.to_owned())) })
    }

    #[test]
    fn ids_round_trip_and_numbers_are_not_their_spellings() {
        for id in [PointId::from(42), PointId::parse("42").unwrap(), PointId::parse("é").unwrap()]
        {
            assert_eq!(point_id(Some(id_message(&id))).unwrap(), id);
        }
        let uuid = point_id(text("936DA01F9ABD4D9D80C702AF85C822A8")).unwrap();
        assert_eq!(Some(id_message(&uuid)), text("936da01f-9abd-4d9d-80c7-02af85c822a8"));
    }

    #[test]
    fn a_bad_id_is_named_by_its_position() {
        let ids = vec![id_message(&PointId::from(1)), proto::PointId { id: None }];
        let status = point_ids(ids).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "ids[1]: point id is missing");
        let long = "x".repeat(513);
        let status = point_id(text(&long)).unwrap_err();
        assert_eq!(status.message(), "point id has 513 bytes, the limit is 512");
    }
}
