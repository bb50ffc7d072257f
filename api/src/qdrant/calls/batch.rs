//! Several writes in one call, one after the other.

use bigrain_engine::Cancel;
use q::points_update_operation::Operation;
use qdrant_client::qdrant as q;
use tonic::Status;

use super::writes;
use crate::grpc::Context;
use crate::qdrant::error::missing;

/// Does some writes in their order. After one that is refused, the rest is not done.
pub(in crate::qdrant) fn update_batch(
    context: &Context,
    request: q::UpdateBatchPoints,
    cancel: &Cancel,
) -> Result<q::UpdateBatchResponse, Status> {
    context.check_batch("operations", request.operations.len())?;
    context.collection(&request.collection_name)?;
    let mut answer = q::UpdateBatchResponse::default();
    for (at, operation) in request.operations.into_iter().enumerate() {
        let operation = operation.operation.ok_or_else(|| missing("operation"))?;
        let done = update(context, request.collection_name.clone(), operation, cancel);
        let done = done.map_err(|status| {
            Status::new(status.code(), format!("operation {at}: {}", status.message()))
        })?;
        answer.result.extend(done.result);
    }
    Ok(answer)
}

#[expect(deprecated, reason = "older clients delete and clear without a message of their own")]
fn update(
    context: &Context,
    collection_name: String,
    operation: Operation,
    cancel: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    match operation {
        Operation::Upsert(list) => {
            let request = q::UpsertPoints {
                collection_name,
                points: list.points,
                shard_key_selector: list.shard_key_selector,
                update_filter: list.update_filter,
                update_mode: list.update_mode,
                ..Default::default()
            };
            writes::upsert(context, request, cancel)
        }
        Operation::DeletePoints(delete) => {
            let q::points_update_operation::DeletePoints { points, shard_key_selector } = delete;
            let request = q::DeletePoints {
                collection_name,
                points,
                shard_key_selector,
                ..Default::default()
            };
            writes::delete(context, request, cancel)
        }
        Operation::DeleteDeprecated(points) => {
            let points = Some(points);
            let request = q::DeletePoints { collection_name, points, ..Default::default() };
            writes::delete(context, request, cancel)
        }
        Operation::SetPayload(set) => {
            let request = q::SetPayloadPoints {
                collection_name,
                payload: set.payload,
                points_selector: set.points_selector,
                shard_key_selector: set.shard_key_selector,
                key: set.key,
                ..Default::default()
            };
            writes::set_payload(context, request, cancel)
        }
        Operation::OverwritePayload(set) => {
            let request = q::SetPayloadPoints {
                collection_name,
                payload: set.payload,
                points_selector: set.points_selector,
                shard_key_selector: set.shard_key_selector,
                key: set.key,
                ..Default::default()
            };
            writes::overwrite_payload(context, request, cancel)
        }
        Operation::DeletePayload(delete) => {
            let request = q::DeletePayloadPoints {
                collection_name,
                keys: delete.keys,
                points_selector: delete.points_selector,
                shard_key_selector: delete.shard_key_selector,
                ..Default::default()
            };
            writes::delete_payload(context, request, cancel)
        }
        Operation::ClearPayload(clear) => {
            let q::points_update_operation::ClearPayload { points, shard_key_selector } = clear;
            let request = q::ClearPayloadPoints {
                collection_name,
                points,
                shard_key_selector,
                ..Default::default()
            };
            writes::clear_payload(context, request, cancel)
        }
        Operation::ClearPayloadDeprecated(points) => {
            let points = Some(points);
            let request = q::ClearPayloadPoints { collection_name, points, ..Default::default() };
            writes::clear_payload(context, request, cancel)
        }
        Operation::UpdateVectors(update) => {
            let request = q::UpdatePointVectors {
                collection_name,
                points: update.points,
                shard_key_selector: update.shard_key_selector,
                update_filter: update.update_filter,
                ..Default::default()
            };
            writes::update_vectors(context, request, cancel)
        }
        Operation::DeleteVectors(delete) => {
            let request = q::DeletePointVectors {
                collection_name,
                points_selector: delete.points_selector,
                vectors: delete.vectors,
                shard_key_selector: delete.shard_key_selector,
                ..Default::default()
            };
            writes::delete_vectors(context, request, cancel)
        }
    }
}
