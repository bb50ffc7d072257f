//! Descriptions of collections.

use bigrain_engine as engine;
use bigrain_engine::{CollectionState, HybridFit};
use tonic::Status;

use super::fields::config_message;
use crate::proto;

/// Writes the description of a collection.
pub(crate) fn collection_info(info: engine::CollectionInfo) -> proto::CollectionInfo {
    proto::CollectionInfo {
        name: info.name,
        config: Some(config_message(&info.config)),
        points: info.points,
        segments: info.segments,
        memtable_points: info.memtable_points,
        deleted_rows: info.deleted,
        code_bytes: info.code_bytes,
        memory_bytes: info.memory_bytes,
        disk_bytes: info.disk_bytes,
        fields: info.fields.into_iter().map(field_info).collect(),
        flushing: info.flushing.map(flush_info),
        merging: info.merging.map(merge_info),
        sparse_fields: info.sparse.into_iter().map(sparse_field_info).collect(),
        multi_fields: info.multi.into_iter().map(multi_field_info).collect(),
        hybrid_fit_json: info.hybrid_fit.as_ref().and_then(fit_json),
        named_hybrid_fits_json: info
            .named_hybrid_fits
            .iter()
            .filter_map(|(name, fit)| Some((name.clone(), fit_json(fit)?)))
            .collect(),
    }
}

fn fit_json(fit: &HybridFit) -> Option<String> {
    serde_json::to_string(fit).ok()
}

fn flush_info(info: engine::FlushInfo) -> proto::FlushInfo {
    let engine::FlushInfo { rows, percent, .. } = info;
    proto::FlushInfo { rows, percent: percent.into() }
}

fn merge_info(info: engine::MergeInfo) -> proto::MergeInfo {
    let engine::MergeInfo { segments, rows, percent, .. } = info;
    proto::MergeInfo { segments, rows, percent: percent.into() }
}

fn sparse_field_info(info: engine::SparseFieldInfo) -> proto::SparseFieldInfo {
    let engine::SparseFieldInfo { name, vectors, components, disk_bytes, .. } = info;
    proto::SparseFieldInfo { name, vectors, components, disk_bytes }
}

fn multi_field_info(info: engine::MultiFieldInfo) -> proto::MultiFieldInfo {
    let engine::MultiFieldInfo { name, vectors, sketch_codes, code_bytes, disk_bytes, .. } = info;
    proto::MultiFieldInfo { name, vectors, sketch_codes, code_bytes, disk_bytes }
}

fn field_info(info: engine::FieldInfo) -> proto::FieldInfo {
    proto::FieldInfo {
        name: info.name,
        vectors: info.vectors,
        code_bytes: info.code_bytes,
        disk_bytes: info.disk_bytes,
    }
}

/// Writes one row of the list of collections.
pub(crate) fn collection_description(
    status: engine::CollectionStatus,
) -> proto::CollectionDescription {
    use proto::collection_description::State;

    let state = match status.state {
        CollectionState::Ready(info) => State::Ready(collection_info(*info)),
        CollectionState::Quarantined(reason) => State::Quarantined(reason),
        _ => State::Quarantined("in a state this protocol cannot name".to_owned()),
    };
    proto::CollectionDescription { name: status.name, state: Some(state) }
}

/// Reads a fitted fusion.
pub(crate) fn hybrid_fit(json: Option<&str>) -> Result<Option<HybridFit>, Status> {
    let read = |json: &str| {
        serde_json::from_str(json)
            .map_err(|error| Status::invalid_argument(format!("fit_json: {error}")))
    };
    json.map(read).transpose()
}
