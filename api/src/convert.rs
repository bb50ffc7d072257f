//! The only place where the messages of `bigrain.v1` meet the engine's types.
//!
//! Requests are checked here as far as their shape goes (an id is missing, a metric is unknown);
//! what a collection accepts is the engine's to say. Messages of refusal name the field.

use std::fmt::Display;
use std::time::Duration;

use bigrain_encoders::{Embeddings, TextKind};
use bigrain_engine as engine;
use bigrain_engine::{
    CollectionState, Condition, Conditions, DenseFormat, Diversity, EmbeddingSpaceId, FieldConfig,
    Filter, HybridFit, Language, Levels, Metric, Payload, PayloadUpdate, PointId, Query,
    SearchParams, SeqNo, SparseFieldConfig, SparseQuery, SparseVector, TextField,
};
use tonic::Status;

use crate::models::Model;
use crate::{proto, status};

mod answers;

pub(crate) use answers::{
    examples, facet_query, facet_reply, group_by, groups_reply, order_by, recommend_strategy,
    search_outcome,
};

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

/// Reads points to store; an error names the position.
pub(crate) fn points(
    points: Vec<proto::Point>,
    space: Option<EmbeddingSpaceId>,
) -> Result<Vec<engine::Point>, Status> {
    let mut read = Vec::with_capacity(points.len());
    for (position, message) in points.into_iter().enumerate() {
        let point = point(message, space).map_err(|status| at("points", position, &status))?;
        read.push(point);
    }
    Ok(read)
}

fn point(
    message: proto::Point,
    first_space: Option<EmbeddingSpaceId>,
) -> Result<engine::Point, Status> {
    let id = point_id(message.id)?;
    let mut point = engine::Point::empty(id).with_payload(payload(&message.payload_json)?);
    // Without any vector the engine says what it expects of the first.
    if !message.vector.is_empty() || message.vectors.is_empty() {
        let (field, values, space) = (None, message.vector, first_space);
        point.vectors.push(engine::PointVector { field, values, space });
    }
    for proto::NamedVector { field, values, space: of, sparse } in message.vectors {
        if let Some(sparse) = sparse {
            if !values.is_empty() || of.is_some() {
                return Err(Status::invalid_argument(format!(
                    "field {field:?}: expected values or a sparse vector, found both"
                )));
            }
            let vector = sparse_vector(sparse).map_err(|status| {
                Status::new(status.code(), format!("field {field:?}: {}", status.message()))
            })?;
            point.sparse.push(engine::SparsePointVector { field, vector });
            continue;
        }
        let (field, space) = (Some(field), space(of.as_deref())?);
        point.vectors.push(engine::PointVector { field, values, space });
    }
    Ok(point)
}

/// Reads a sparse vector.
pub(crate) fn sparse_vector(message: proto::SparseVector) -> Result<SparseVector, Status> {
    SparseVector::new(message.indices, message.values).map_err(invalid)
}

fn sparse_message(vector: &SparseVector) -> proto::SparseVector {
    let (indices, values) = (vector.dimensions().to_vec(), vector.values().to_vec());
    proto::SparseVector { indices, values }
}

/// Reads what must hold for a write to happen.
pub(crate) fn conditions(conditions: Option<proto::Conditions>) -> Result<Conditions, Status> {
    use proto::conditions::Existence;

    let conditions = conditions.unwrap_or_default();
    let all = match Existence::try_from(conditions.all) {
        Ok(Existence::Unspecified) => Condition::Any,
        Ok(Existence::Absent) => Condition::Absent,
        Ok(Existence::Present) => Condition::Present,
        Err(_) => {
            let number = conditions.all;
            return Err(Status::invalid_argument(format!(
                "unknown existence {number}: expected absent or present"
            )));
        }
    };
    let mut read = Conditions::all(all);
    for (position, proto::PointVersion { id, seq }) in conditions.versions.into_iter().enumerate() {
        let id = point_id(id).map_err(|status| at("versions", position, &status))?;
        let version = if seq == 0 { Condition::Absent } else { Condition::Version(SeqNo(seq)) };
        read = read.with(id, version);
    }
    Ok(read)
}

/// Reads a change of payloads.
pub(crate) fn payload_update(
    change: Option<proto::update_payload_request::Change>,
) -> Result<PayloadUpdate, Status> {
    use proto::update_payload_request::Change;

    Ok(match change {
        Some(Change::MergeJson(json)) => PayloadUpdate::Merge(payload(&json)?),
        Some(Change::OverwriteJson(json)) => PayloadUpdate::Overwrite(payload(&json)?),
        Some(Change::Remove(remove)) => PayloadUpdate::Remove(remove.keys),
        Some(Change::Clear(proto::ClearPayload {})) => PayloadUpdate::Clear,
        None => return Err(Status::invalid_argument("change is missing")),
    })
}

/// Writes the answer to an update.
pub(crate) fn update_reply(
    output: &engine::UpdateOutput,
    server_time_us: u64,
) -> proto::UpdateReply {
    let engine::UpdateOutput { seq, updated, missing, .. } = *output;
    proto::UpdateReply { seq: seq.0, updated, missing, server_time_us }
}

fn payload(json: &str) -> Result<Payload, Status> {
    if json.is_empty() {
        return Ok(Payload::new());
    }
    Payload::from_json(json.as_bytes()).map_err(invalid)
}

/// Reads the id of an embedding space.
pub(crate) fn space(space: Option<&str>) -> Result<Option<EmbeddingSpaceId>, Status> {
    space.map(|text| text.parse().map_err(invalid)).transpose()
}

/// Reads how to search.
pub(crate) fn search_params(options: &proto::SearchOptions) -> Result<SearchParams, Status> {
    let limit = options.limit.map_or(engine::DEFAULT_LIMIT, |limit| limit as usize);
    let mut params = SearchParams::new(limit).map_err(invalid)?;
    if let Some(oversampling) = options.oversampling {
        params = params.with_oversampling(oversampling).map_err(invalid)?;
    }
    if let Some(target) = options.target_recall {
        params = params.with_target_recall(target).map_err(invalid)?;
    }
    if let Some(probes) = options.probes {
        params = params.with_probes(probes as usize).map_err(invalid)?;
    }
    if let Some(threshold) = options.score_threshold {
        params = params.with_score_threshold(threshold).map_err(invalid)?;
    }
    if let Some(proto::Diversity { weight, depth }) = options.diversity {
        let mut diversity = Diversity::new(weight).map_err(invalid)?;
        if let Some(depth) = depth {
            diversity = diversity.with_depth(depth as usize).map_err(invalid)?;
        }
        params = params.with_diversity(Some(diversity));
    }
    Ok(params
        .with_exact(options.exact)
        .with_verify(options.verify.unwrap_or(true))
        .with_payload(with_payload(options))
        .with_explain(options.explain))
}

/// Reads a filter.
pub(crate) fn filter(json: Option<&str>) -> Result<Option<Filter>, Status> {
    json.map(|json| Filter::from_json(json.as_bytes())).transpose().map_err(invalid)
}

/// Whether a search is to return payloads.
pub(crate) fn with_payload(options: &proto::SearchOptions) -> bool {
    options.with_payload.unwrap_or(true)
}

/// Reads a query vector.
pub(crate) fn query(
    vector: Vec<f32>,
    field: Option<String>,
    space: Option<EmbeddingSpaceId>,
) -> Query {
    let mut query = Query::new(vector);
    if let Some(field) = field {
        query = query.in_field(field);
    }
    if let Some(space) = space {
        query = query.in_space(space);
    }
    query
}

/// Reads a sparse query.
pub(crate) fn sparse_query(
    vector: proto::SparseVector,
    field: Option<String>,
) -> Result<SparseQuery, Status> {
    let query = SparseQuery::new(sparse_vector(vector)?);
    Ok(match field {
        Some(field) => query.in_field(field),
        None => query,
    })
}

/// Reads the sparse fields of a collection's configuration.
pub(crate) fn sparse_fields(config: &proto::CollectionConfig) -> Vec<SparseFieldConfig> {
    let fields = config.sparse_fields.iter();
    fields.map(|field| SparseFieldConfig::new(&field.name)).collect()
}

/// Returns the dense fields that a collection's configuration describes, the first one first; none
/// where all fields are sparse.
pub(crate) fn field_messages(config: proto::CollectionConfig) -> Vec<proto::FieldConfig> {
    let nothing = proto::CollectionConfig {
        sparse_fields: config.sparse_fields.clone(),
        text_fields: config.text_fields.clone(),
        ..proto::CollectionConfig::default()
    };
    if !config.sparse_fields.is_empty() && config == nothing {
        return Vec::new();
    }
    let first = proto::FieldConfig {
        name: config.field.unwrap_or_else(|| engine::DEFAULT_FIELD.to_owned()),
        dims: config.dims,
        metric: config.metric,
        levels: config.levels,
        space: config.space,
        model: config.model,
        dense: config.dense,
        lists: config.lists,
    };
    [first].into_iter().chain(config.other_fields).collect()
}

/// Reads a text field.
pub(crate) fn text_field(message: &proto::TextField) -> Result<TextField, Status> {
    let language = match &*message.language {
        "" => Language::None,
        code => code.parse().map_err(invalid)?,
    };
    let Some((first, others)) = message.paths.split_first() else {
        return Err(Status::invalid_argument("text field has no paths: expected at least one"));
    };
    let mut field = TextField::new(first, language).map_err(invalid)?;
    for path in others {
        field = field.and(path).map_err(invalid)?;
    }
    Ok(if message.drop_stop_words { field.without_stop_words() } else { field })
}

/// Reads a fitted fusion.
pub(crate) fn hybrid_fit(json: Option<&str>) -> Result<Option<HybridFit>, Status> {
    let read = |json: &str| {
        serde_json::from_str(json)
            .map_err(|error| Status::invalid_argument(format!("fit_json: {error}")))
    };
    json.map(read).transpose()
}

/// Reads the configuration of a field whose dimensions and space are known: its own, or its model's.
pub(crate) fn field_config(
    config: proto::FieldConfig,
    dims: usize,
    space: Option<EmbeddingSpaceId>,
) -> Result<FieldConfig, Status> {
    let metric = metric(config.metric)?;
    let dense = dense_format(config.dense)?;
    let mut read = FieldConfig::new(config.name, dims, metric).with_dense(dense);
    if let Some(levels) = config.levels {
        let levels = u8::try_from(levels).unwrap_or(u8::MAX);
        read = read.with_levels(Levels::new(levels).map_err(invalid)?);
    }
    if let Some(space) = space {
        read = read.with_space(space);
    }
    if let Some(model) = config.model {
        read = read.with_model(model);
    }
    if let Some(lists) = config.lists {
        read = read.with_lists(lists);
    }
    Ok(read)
}

fn dense_format(number: i32) -> Result<DenseFormat, Status> {
    match proto::DenseFormat::try_from(number) {
        Ok(proto::DenseFormat::Unspecified | proto::DenseFormat::F32) => Ok(DenseFormat::F32),
        Ok(proto::DenseFormat::F16) => Ok(DenseFormat::F16),
        Ok(proto::DenseFormat::I8) => Ok(DenseFormat::I8),
        Err(_) => Err(Status::invalid_argument(format!(
            "unknown dense format {number}: expected f32, f16 or i8"
        ))),
    }
}

fn metric(number: i32) -> Result<Metric, Status> {
    match proto::Metric::try_from(number) {
        Ok(proto::Metric::Cosine) => Ok(Metric::Cosine),
        Ok(proto::Metric::Dot) => Ok(Metric::Dot),
        Ok(proto::Metric::L2) => Ok(Metric::L2),
        Ok(proto::Metric::Unspecified) => {
            Err(Status::invalid_argument("metric is missing: expected cosine, dot or l2"))
        }
        Err(_) => Err(Status::invalid_argument(format!(
            "unknown metric {number}: expected cosine, dot or l2"
        ))),
    }
}

/// Reads what texts are for.
pub(crate) fn text_kind(number: i32) -> Result<TextKind, Status> {
    match proto::TextKind::try_from(number) {
        Ok(proto::TextKind::Unspecified | proto::TextKind::Document) => Ok(TextKind::Document),
        Ok(proto::TextKind::Query) => Ok(TextKind::Query),
        Err(_) => Err(Status::invalid_argument(format!(
            "unknown text kind {number}: expected document or query"
        ))),
    }
}

/// Writes an id.
pub(crate) fn id_message(id: &PointId) -> proto::PointId {
    let id = match id.as_number() {
        Some(number) => proto::point_id::Id::Num(number),
        None => proto::point_id::Id::Text(id.to_string()),
    };
    proto::PointId { id: Some(id) }
}

/// Which parts of a stored point a reply carries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    /// The vector.
    pub vectors: bool,
    /// The payload.
    pub payload: bool,
}

/// Writes a stored point of a collection whose first field is called `first`.
pub(crate) fn stored_point(
    point: engine::StoredPoint,
    parts: Parts,
    first: &str,
) -> Result<proto::StoredPoint, Status> {
    let mut message = proto::StoredPoint {
        id: Some(id_message(&point.id)),
        payload_json: payload_message(&point.payload, parts.payload)?,
        seq: point.seq.0,
        ..proto::StoredPoint::default()
    };
    for engine::StoredVector { field, values } in point.vectors {
        if parts.vectors && &*field == first {
            message.vector = values;
        } else if parts.vectors {
            let field = field.to_string();
            message.vectors.push(proto::NamedVector { field, values, ..Default::default() });
        }
    }
    for engine::StoredSparseVector { field, vector } in point.sparse {
        if parts.vectors {
            let (field, sparse) = (field.to_string(), Some(sparse_message(&vector)));
            message.vectors.push(proto::NamedVector { field, sparse, ..Default::default() });
        }
    }
    Ok(message)
}

fn payload_message(payload: &Payload, wanted: bool) -> Result<String, Status> {
    if !wanted {
        return Ok(String::new());
    }
    let unwritable = |error: &dyn Display| Status::internal(format!("stored payload: {error}"));
    let json = payload.to_json().map_err(|error| unwritable(&error))?;
    String::from_utf8(json).map_err(|error| unwritable(&error))
}

/// Writes the answer to a write.
pub(crate) fn upsert_reply(
    output: &engine::UpsertOutput,
    server_time_us: u64,
) -> proto::UpsertReply {
    proto::UpsertReply {
        seq: output.seq.0,
        inserted: output.inserted,
        updated: output.updated,
        server_time_us,
    }
}

/// Writes results; the caller adds what it alone knows: encoding and server time.
pub(crate) fn search_reply(
    output: engine::SearchOutput,
    with_payload: bool,
) -> Result<proto::SearchReply, Status> {
    Ok(proto::SearchReply {
        points: scored_points(output.points, with_payload)?,
        stats: Some(stats(&output.stats)),
        plan_json: plan_json(output.plan.as_ref())?,
        query_truncated: false,
        server_time_us: 0,
    })
}

fn scored_points(
    points: Vec<engine::ScoredPoint>,
    with_payload: bool,
) -> Result<Vec<proto::ScoredPoint>, Status> {
    let point = |point: engine::ScoredPoint| {
        Ok(proto::ScoredPoint {
            id: Some(id_message(&point.id)),
            score: point.score,
            payload_json: payload_message(&point.payload, with_payload)?,
        })
    };
    points.into_iter().map(point).collect()
}

fn plan_json(plan: Option<&engine::SearchPlan>) -> Result<Option<String>, Status> {
    let json = plan.map(serde_json::to_string).transpose();
    json.map_err(|error| Status::internal(format!("search plan: {error}")))
}

fn stats(stats: &engine::SearchStats) -> proto::SearchStats {
    proto::SearchStats {
        segments: stats.segments,
        codes_scanned: stats.codes_scanned,
        candidates: stats.candidates,
        rows_read: stats.rows_read,
        bytes_read: stats.bytes_read,
        encode_us: 0,
        prepare_us: micros(stats.times.prepare),
        filter_us: micros(stats.times.filter),
        candidates_us: micros(stats.times.candidates),
        verify_us: micros(stats.times.verify),
        payload_us: micros(stats.times.payload),
        lists: stats.lists,
        components: stats.components,
    }
}

/// Returns whole microseconds, saturating after half a million years.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

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
        merging: info.merging.map(merge_info),
        sparse_fields: info.sparse.into_iter().map(sparse_field_info).collect(),
        hybrid_fit_json: info.hybrid_fit.and_then(|fit| serde_json::to_string(&fit).ok()),
    }
}

fn merge_info(info: engine::MergeInfo) -> proto::MergeInfo {
    let engine::MergeInfo { segments, rows, percent, .. } = info;
    proto::MergeInfo { segments, rows, percent: percent.into() }
}

fn sparse_field_info(info: engine::SparseFieldInfo) -> proto::SparseFieldInfo {
    let engine::SparseFieldInfo { name, vectors, components, disk_bytes, .. } = info;
    proto::SparseFieldInfo { name, vectors, components, disk_bytes }
}

fn field_info(info: engine::FieldInfo) -> proto::FieldInfo {
    proto::FieldInfo {
        name: info.name,
        vectors: info.vectors,
        code_bytes: info.code_bytes,
        disk_bytes: info.disk_bytes,
    }
}

fn config_message(config: &engine::CollectionConfig) -> proto::CollectionConfig {
    let text_fields = config.texts().iter().map(text_field_message).collect();
    let sparse_field =
        |field: &SparseFieldConfig| proto::SparseFieldConfig { name: field.name.clone() };
    let sparse_fields = config.sparse().iter().map(sparse_field).collect();
    let mut fields = config.fields().iter().map(field_message);
    let Some(first) = fields.next() else {
        return proto::CollectionConfig { text_fields, sparse_fields, ..Default::default() };
    };
    proto::CollectionConfig {
        dims: first.dims,
        metric: first.metric,
        levels: first.levels,
        space: first.space,
        model: first.model,
        dense: first.dense,
        lists: first.lists,
        field: Some(first.name),
        other_fields: fields.collect(),
        text_fields,
        sparse_fields,
    }
}

fn text_field_message(field: &TextField) -> proto::TextField {
    proto::TextField {
        paths: field.paths.iter().map(ToString::to_string).collect(),
        language: field.language.to_string(),
        drop_stop_words: field.drop_stop_words,
    }
}

fn field_message(config: &FieldConfig) -> proto::FieldConfig {
    let metric = match config.metric {
        Metric::Cosine => proto::Metric::Cosine,
        Metric::Dot => proto::Metric::Dot,
        Metric::L2 => proto::Metric::L2,
        // A metric the protocol cannot name yet.
        _ => proto::Metric::Unspecified,
    };
    let dense = match config.dense {
        DenseFormat::F32 => proto::DenseFormat::F32,
        DenseFormat::F16 => proto::DenseFormat::F16,
        DenseFormat::I8 => proto::DenseFormat::I8,
        // A format the protocol cannot name yet.
        _ => proto::DenseFormat::Unspecified,
    };
    proto::FieldConfig {
        name: config.name.clone(),
        dims: small(config.dims),
        metric: metric.into(),
        levels: Some(u32::from(config.levels.get())),
        space: config.space.map(|space| space.to_string()),
        model: config.model.clone(),
        dense: dense.into(),
        lists: config.lists,
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

/// Writes the description of a model.
pub(crate) fn model_info(model: &Model) -> proto::ModelInfo {
    proto::ModelInfo {
        name: model.name().to_owned(),
        dims: small(model.dims()),
        space: model.space().to_string(),
        max_tokens: small(model.max_tokens()),
    }
}

/// Writes embeddings, one message for each row.
pub(crate) fn encode_reply(model: &Model, encoded: &Embeddings) -> proto::EncodeReply {
    let embedding = |row: &[f32]| proto::Embedding { values: row.to_vec() };
    let stats = encoded.stats();
    proto::EncodeReply {
        embeddings: encoded.iter().map(embedding).collect(),
        dims: small(encoded.dims()),
        space: model.space().to_string(),
        model: model.name().to_owned(),
        tokens: stats.tokens,
        truncated_texts: stats.truncated,
        server_time_us: 0,
    }
}

/// Writes a count that is bounded far below 32 bits, such as dimensions.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Writes why one batch of a stream was refused.
pub(crate) fn batch_error(status: &Status) -> proto::BatchError {
    debug_assert!(status::concerns_one_batch(status.code()), "{status:?}");
    proto::BatchError { code: status.code().into(), message: status.message().to_owned() }
}

fn invalid(error: impl Display) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Names the position that a refusal is about.
pub(crate) fn at(field: &str, position: usize, status: &Status) -> Status {
    Status::new(status.code(), format!("{field}[{position}]: {}", status.message()))
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

    #[test]
    fn absent_options_are_the_defaults() {
        let params = search_params(&proto::SearchOptions::default()).unwrap();
        assert_eq!(params, SearchParams::new(engine::DEFAULT_LIMIT).unwrap());
    }

    #[test]
    fn every_option_reaches_the_engine() {
        let options = proto::SearchOptions {
            limit: Some(3),
            oversampling: Some(2.0),
            exact: true,
            explain: true,
            with_payload: Some(false),
            target_recall: Some(0.9),
            probes: Some(7),
            verify: Some(false),
            score_threshold: Some(0.25),
            diversity: Some(proto::Diversity { weight: 0.5, depth: Some(77) }),
        };
        let diversity = Diversity::new(0.5).and_then(|diversity| diversity.with_depth(77));
        let params = SearchParams::new(3)
            .and_then(|params| params.with_oversampling(2.0))
            .and_then(|params| params.with_target_recall(0.9))
            .and_then(|params| params.with_probes(7))
            .and_then(|params| params.with_score_threshold(0.25))
            .map(|params| params.with_diversity(diversity.ok()));
        let params = params.unwrap().with_exact(true).with_explain(true).with_payload(false);
        assert_eq!(search_params(&options).unwrap(), params.with_verify(false));
    }

    #[test]
    fn options_out_of_range_are_refused() {
        let limit = proto::SearchOptions { limit: Some(u32::MAX), ..Default::default() };
        assert!(search_params(&limit).unwrap_err().message().contains("4294967295"));
        let nan = proto::SearchOptions { oversampling: Some(f32::NAN), ..Default::default() };
        assert!(search_params(&nan).unwrap_err().message().contains("NaN"));
        let target = proto::SearchOptions { target_recall: Some(1.5), ..Default::default() };
        assert!(search_params(&target).unwrap_err().message().starts_with("target recall out of"));
        let probes = proto::SearchOptions { probes: Some(0), ..Default::default() };
        assert!(search_params(&probes).unwrap_err().message().starts_with("probes out of range"));
    }

    #[test]
    fn a_configuration_round_trips() {
        let space = EmbeddingSpaceId::from_bytes(*b"0123456789abcdef");
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let text = FieldConfig::new("text", 384, metric)
                .with_levels(Levels::ONE)
                .with_space(space)
                .with_dense(DenseFormat::F16)
                .with_lists(77)
                .with_model("mini");
            let image = FieldConfig::new("image", 7, Metric::Dot);
            let words = TextField::new("title", Language::English).unwrap().and("body").unwrap();
            let words = words.without_stop_words();
            let sparse = SparseFieldConfig::new("splade");
            let config = engine::CollectionConfig::of(text)
                .with_field(image)
                .with_sparse(sparse.clone())
                .with_text(words.clone());
            assert_eq!(sparse_fields(&config_message(&config)), [sparse]);
            let texts = &config_message(&config).text_fields;
            assert_eq!(text_field(&texts[0]).unwrap(), words);
            let read = |message: proto::FieldConfig| {
                let space = super::space(message.space.as_deref()).unwrap();
                let dims = message.dims as usize;
                field_config(message, dims, space).unwrap()
            };
            let fields = field_messages(config_message(&config)).into_iter().map(read);
            assert_eq!(fields.collect::<Vec<_>>(), config.fields());
        }
    }

    #[test]
    fn a_configuration_of_sparse_fields_only_has_no_other_members() {
        let sparse = SparseFieldConfig::new("splade");
        let config = engine::CollectionConfig::of_sparse(sparse.clone());
        let message = config_message(&config);
        assert_eq!(sparse_fields(&message), [sparse]);
        assert!(field_messages(message.clone()).is_empty());
        let with_dense = proto::CollectionConfig { dims: 3, ..message };
        assert_eq!(field_messages(with_dense).len(), 1);
        // Without any field it is the first one that says what is missing.
        assert_eq!(field_messages(proto::CollectionConfig::default()).len(), 1);
    }

    #[test]
    fn levels_that_do_not_fit_a_byte_are_refused() {
        let config = proto::FieldConfig {
            metric: proto::Metric::Dot.into(),
            levels: Some(258),
            ..Default::default()
        };
        let status = field_config(config, 2, None).unwrap_err();
        assert!(status.message().starts_with("levels out of range"), "{status:?}");
    }

    #[test]
    fn an_unknown_dense_format_is_refused_and_none_is_f32() {
        let config = |dense| proto::FieldConfig {
            metric: proto::Metric::Dot.into(),
            dense,
            ..Default::default()
        };
        assert_eq!(field_config(config(0), 2, None).unwrap().dense, DenseFormat::F32);
        let status = field_config(config(9), 2, None).unwrap_err();
        assert_eq!(status.message(), "unknown dense format 9: expected f32, f16 or i8");
    }

    #[test]
    fn a_payload_keeps_its_integers() {
        let json = r#"{"b":18446744073709551615,"a":[1.5,null,"x"]}"#;
        let written = payload_message(&payload(json).unwrap(), true).unwrap();
        assert_eq!(payload(&written).unwrap(), payload(json).unwrap());
        assert!(written.contains("18446744073709551615"), "{written}");
        assert!(payload("").unwrap().is_empty());
        assert!(payload("[]").is_err());
    }
}
