//! Collections, their vectors, and what is declared of their payloads.
#![expect(
    clippy::needless_pass_by_value,
    reason = "a call takes its message, whether or not anything of it is kept"
)]

use bigrain_engine::{AliasChange, Cancel};
use qdrant_client::qdrant as q;
use tonic::{Code, Status};

use crate::grpc::Context;
use crate::qdrant::convert::{self, NewField};
use crate::qdrant::error::{missing, unsupported};
use crate::qdrant::names::field_of;
use crate::status;

/// Makes a collection.
pub(in crate::qdrant) fn create(
    context: &Context,
    request: q::CreateCollection,
    _: &Cancel,
) -> Result<q::CollectionOperationResponse, Status> {
    let config = convert::collection_config(&request)?;
    let name = &request.collection_name;
    context.create_collection(name, config).map_err(|status| {
        if status.code() == Code::AlreadyExists {
            return Status::already_exists(format!("Collection `{name}` already exists!"));
        }
        status
    })?;
    Ok(done(true))
}

/// Describes a collection.
pub(in crate::qdrant) fn get(
    context: &Context,
    request: q::GetCollectionInfoRequest,
    _: &Cancel,
) -> Result<q::GetCollectionInfoResponse, Status> {
    let info = context.collection(&request.collection_name)?.info();
    let result = Some(convert::description(&info));
    Ok(q::GetCollectionInfoResponse { result, ..Default::default() })
}

/// Lists the collections.
pub(in crate::qdrant) fn list(
    context: &Context,
    _: q::ListCollectionsRequest,
    _: &Cancel,
) -> Result<q::ListCollectionsResponse, Status> {
    let all = context.collections()?.into_iter();
    let collections = all.map(|status| q::CollectionDescription { name: status.name }).collect();
    Ok(q::ListCollectionsResponse { collections, ..Default::default() })
}

/// Whether there is a collection.
pub(in crate::qdrant) fn exists(
    context: &Context,
    request: q::CollectionExistsRequest,
    _: &Cancel,
) -> Result<q::CollectionExistsResponse, Status> {
    let exists = match context.collection(&request.collection_name) {
        Ok(_) => true,
        Err(status) if status.code() == Code::NotFound => false,
        // One that does not open is there all the same.
        Err(status) if matches!(status.code(), Code::DataLoss | Code::Unavailable) => true,
        Err(status) => return Err(status),
    };
    let result = Some(q::CollectionExists { exists });
    Ok(q::CollectionExistsResponse { result, ..Default::default() })
}

/// Drops a collection; one that is not there is no error, as in Qdrant.
pub(in crate::qdrant) fn delete(
    context: &Context,
    request: q::DeleteCollection,
    _: &Cancel,
) -> Result<q::CollectionOperationResponse, Status> {
    match context.drop_collection(&request.collection_name) {
        Ok(()) => Ok(done(true)),
        Err(status) if status.code() == Code::NotFound => Ok(done(false)),
        Err(status) => Err(status),
    }
}

/// Changes settings of a collection: of those that can be changed in Qdrant, what says how and not what
/// is accepted.
pub(in crate::qdrant) fn update(
    context: &Context,
    request: q::UpdateCollection,
    _: &Cancel,
) -> Result<q::CollectionOperationResponse, Status> {
    context.collection(&request.collection_name)?;
    if request.strict_mode_config.is_some_and(|strict| strict.enabled == Some(true)) {
        return Err(unsupported("strict_mode_config"));
    }
    if !request.metadata.is_empty() {
        return Err(unsupported("metadata of a collection"));
    }
    if request.sparse_vectors_config.is_some() {
        return Err(unsupported("change of sparse vectors"));
    }
    let quantized = request.vectors_config.and_then(|config| config.config);
    let quantized = quantized.is_some_and(|config| match config {
        q::vectors_config_diff::Config::Params(params) => params.quantization_config.is_some(),
        q::vectors_config_diff::Config::ParamsMap(map) => {
            map.map.values().any(|params| params.quantization_config.is_some())
        }
    });
    if quantized || request.quantization_config.is_some() {
        return Err(unsupported("change of quantization"));
    }
    Ok(done(true))
}

/// Adds a vector to a collection.
pub(in crate::qdrant) fn create_vector_name(
    context: &Context,
    request: q::CreateVectorNameRequest,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    use q::create_vector_name_request::VectorConfig;

    let name = &request.vector_name;
    let field = match request.vector_config.as_ref().ok_or_else(|| missing("vector config"))? {
        VectorConfig::DenseConfig(config) => convert::dense_vector_config(name, config)?,
        VectorConfig::SparseConfig(config) => convert::sparse_vector_config(name, config)?,
    };
    let collection = context.collection(&request.collection_name)?;
    match field {
        NewField::Dense(field) => collection.add_field(field),
        NewField::Sparse(field) => collection.add_sparse_field(field),
        NewField::Multi(field) => collection.add_multi_field(field),
    }
    .map_err(status::from_engine)?;
    Ok(completed(None))
}

/// Removes a vector from a collection, with all there are.
pub(in crate::qdrant) fn delete_vector_name(
    context: &Context,
    request: q::DeleteVectorNameRequest,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    let collection = context.collection(&request.collection_name)?;
    collection.drop_field(&field_of(&request.vector_name)).map_err(status::from_engine)?;
    Ok(completed(None))
}

/// Accepts that a payload field is to be indexed: every one is, from the first write.
pub(in crate::qdrant) fn create_field_index(
    context: &Context,
    request: q::CreateFieldIndexCollection,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    context.collection(&request.collection_name)?;
    Ok(completed(None))
}

/// Accepts that a payload field need not be indexed.
pub(in crate::qdrant) fn delete_field_index(
    context: &Context,
    request: q::DeleteFieldIndexCollection,
    _: &Cancel,
) -> Result<q::PointsOperationResponse, Status> {
    context.collection(&request.collection_name)?;
    Ok(completed(None))
}

/// Lists the aliases of all collections.
pub(in crate::qdrant) fn list_aliases(
    context: &Context,
    _: q::ListAliasesRequest,
    _: &Cancel,
) -> Result<q::ListAliasesResponse, Status> {
    aliases(context, |_| true)
}

/// Lists the aliases of a collection.
pub(in crate::qdrant) fn list_collection_aliases(
    context: &Context,
    request: q::ListCollectionAliasesRequest,
    _: &Cancel,
) -> Result<q::ListAliasesResponse, Status> {
    let collection = context.collection(&request.collection_name)?;
    aliases(context, |of| of == collection.name())
}

/// Returns the aliases of those collections that are wanted.
fn aliases(
    context: &Context,
    wanted: impl Fn(&str) -> bool,
) -> Result<q::ListAliasesResponse, Status> {
    let all = context.aliases()?.into_iter().filter(|(_, of)| wanted(of));
    let aliases = all
        .map(|(alias_name, collection_name)| q::AliasDescription { alias_name, collection_name })
        .collect();
    Ok(q::ListAliasesResponse { aliases, ..Default::default() })
}

/// Changes aliases.
pub(in crate::qdrant) fn change_aliases(
    context: &Context,
    request: q::ChangeAliases,
    _: &Cancel,
) -> Result<q::CollectionOperationResponse, Status> {
    use q::alias_operations::Action;

    let change = |action: q::AliasOperations| {
        Ok(match action.action.ok_or_else(|| missing("action on an alias"))? {
            Action::CreateAlias(q::CreateAlias { collection_name, alias_name }) => {
                AliasChange::Set { alias: alias_name, collection: collection_name }
            }
            Action::RenameAlias(q::RenameAlias { old_alias_name, new_alias_name }) => {
                AliasChange::Rename { from: old_alias_name, to: new_alias_name }
            }
            Action::DeleteAlias(q::DeleteAlias { alias_name }) => {
                AliasChange::Remove { alias: alias_name }
            }
        })
    };
    let changes = request.actions.into_iter().map(change).collect::<Result<Vec<_>, Status>>()?;
    context.change_aliases(&changes)?;
    Ok(done(true))
}

fn done(result: bool) -> q::CollectionOperationResponse {
    q::CollectionOperationResponse { result, ..Default::default() }
}

/// Returns the answer to a write, which has the number that the engine gave it.
pub(in crate::qdrant) fn completed(seq: Option<u64>) -> q::PointsOperationResponse {
    q::PointsOperationResponse { result: Some(update_result(seq)), ..Default::default() }
}

/// Returns what became of a write: whatever is answered is on disk.
pub(in crate::qdrant) fn update_result(seq: Option<u64>) -> q::UpdateResult {
    q::UpdateResult {
        operation_id: Some(seq.unwrap_or_default()),
        status: q::UpdateStatus::Completed as i32,
    }
}
