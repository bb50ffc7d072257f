//! The service `Collections`.

use std::sync::Arc;

use bigrain_engine::{Collection, CollectionConfig, EmbeddingSpaceId, FieldConfig};
use tonic::{Request, Response, Status};

use super::Context;
use crate::proto::collections_server::Collections;
use crate::proto::{
    self, AddFieldReply, AddFieldRequest, AddTextFieldReply, AddTextFieldRequest, CollectionInfo,
    CompactCollectionReply, CompactCollectionRequest, CreateCollectionReply,
    CreateCollectionRequest, DropCollectionReply, DropCollectionRequest, DropFieldReply,
    DropFieldRequest, DropTextFieldReply, DropTextFieldRequest, GetCollectionReply,
    GetCollectionRequest, ListCollectionsReply, ListCollectionsRequest, SetHybridFitReply,
    SetHybridFitRequest,
};
use crate::request_scope::Arrival;
use crate::{convert, status};

/// Creates, describes, changes and drops collections.
#[derive(Clone, Debug)]
pub(crate) struct CollectionsService(pub(crate) Arc<Context>);

#[tonic::async_trait]
impl Collections for CollectionsService {
    async fn create(
        &self,
        request: Request<CreateCollectionRequest>,
    ) -> Result<Response<CreateCollectionReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let context = Arc::clone(&self.0);
        let collection = self.0.runtime.writes.run(move |_| create(&context, request)).await?;
        let server_time_us = arrival.server_time_us();
        Ok(Response::new(CreateCollectionReply { collection: Some(collection), server_time_us }))
    }

    async fn list(
        &self,
        request: Request<ListCollectionsRequest>,
    ) -> Result<Response<ListCollectionsReply>, Status> {
        let arrival = Arrival::of(&request);
        let context = Arc::clone(&self.0);
        let statuses = self.0.runtime.searches.run(move |_| context.collections()).await?;
        Ok(Response::new(ListCollectionsReply {
            collections: statuses.into_iter().map(convert::collection_description).collect(),
            server_time_us: arrival.server_time_us(),
        }))
    }

    async fn get(
        &self,
        request: Request<GetCollectionRequest>,
    ) -> Result<Response<GetCollectionReply>, Status> {
        let arrival = Arrival::of(&request);
        let name = request.into_inner().name;
        let context = Arc::clone(&self.0);
        let info = move |_: &_| Ok(context.collection(&name)?.info());
        let info = self.0.runtime.searches.run(info).await?;
        Ok(Response::new(GetCollectionReply {
            collection: Some(convert::collection_info(info)),
            server_time_us: arrival.server_time_us(),
        }))
    }

    async fn add_field(
        &self,
        request: Request<AddFieldRequest>,
    ) -> Result<Response<AddFieldReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let context = Arc::clone(&self.0);
        let collection = self.0.runtime.writes.run(move |_| add_field(&context, request)).await?;
        let server_time_us = arrival.server_time_us();
        Ok(Response::new(AddFieldReply { collection: Some(collection), server_time_us }))
    }

    async fn drop_field(
        &self,
        request: Request<DropFieldRequest>,
    ) -> Result<Response<DropFieldReply>, Status> {
        let arrival = Arrival::of(&request);
        let DropFieldRequest { collection, field } = request.into_inner();
        let dropped = move |collection: &Collection| collection.drop_field(&field);
        let collection = self.alter(collection, dropped).await?;
        let server_time_us = arrival.server_time_us();
        Ok(Response::new(DropFieldReply { collection: Some(collection), server_time_us }))
    }

    async fn add_text_field(
        &self,
        request: Request<AddTextFieldRequest>,
    ) -> Result<Response<AddTextFieldReply>, Status> {
        let arrival = Arrival::of(&request);
        let AddTextFieldRequest { collection, text_field } = request.into_inner();
        let field = text_field.ok_or_else(|| Status::invalid_argument("text field is missing"))?;
        let field = convert::text_field(&field)?;
        let added = |collection: &Collection| collection.add_text_field(field);
        let collection = self.alter(collection, added).await?;
        let server_time_us = arrival.server_time_us();
        Ok(Response::new(AddTextFieldReply { collection: Some(collection), server_time_us }))
    }

    async fn drop_text_field(
        &self,
        request: Request<DropTextFieldRequest>,
    ) -> Result<Response<DropTextFieldReply>, Status> {
        let arrival = Arrival::of(&request);
        let DropTextFieldRequest { collection, text_field } = request.into_inner();
        let dropped = move |collection: &Collection| collection.drop_text_field(&text_field);
        let collection = self.alter(collection, dropped).await?;
        let server_time_us = arrival.server_time_us();
        Ok(Response::new(DropTextFieldReply { collection: Some(collection), server_time_us }))
    }

    async fn set_hybrid_fit(
        &self,
        request: Request<SetHybridFitRequest>,
    ) -> Result<Response<SetHybridFitReply>, Status> {
        let arrival = Arrival::of(&request);
        let SetHybridFitRequest { collection, fit_json, name } = request.into_inner();
        let fit = convert::hybrid_fit(fit_json.as_deref())?;
        let set = |collection: &Collection| match name {
            None => collection.set_hybrid_fit(fit),
            Some(name) => collection.set_named_hybrid_fit(&name, fit),
        };
        let collection = self.alter(collection, set).await?;
        let server_time_us = arrival.server_time_us();
        Ok(Response::new(SetHybridFitReply { collection: Some(collection), server_time_us }))
    }

    async fn compact(
        &self,
        request: Request<CompactCollectionRequest>,
    ) -> Result<Response<CompactCollectionReply>, Status> {
        let arrival = Arrival::of(&request);
        let name = request.into_inner().name;
        let context = Arc::clone(&self.0);
        let compact =
            move |_: &_| context.collection(&name)?.compact().map_err(status::from_engine);
        self.0.runtime.writes.run(compact).await?;
        let server_time_us = arrival.server_time_us();
        Ok(Response::new(CompactCollectionReply { server_time_us }))
    }

    async fn drop(
        &self,
        request: Request<DropCollectionRequest>,
    ) -> Result<Response<DropCollectionReply>, Status> {
        let arrival = Arrival::of(&request);
        let name = request.into_inner().name;
        let context = Arc::clone(&self.0);
        let dropped = move |_: &_| context.drop_collection(&name);
        self.0.runtime.writes.run(dropped).await?;
        Ok(Response::new(DropCollectionReply { server_time_us: arrival.server_time_us() }))
    }
}

impl CollectionsService {
    /// Changes a collection, and describes it as it is then.
    async fn alter(
        &self,
        name: String,
        change: impl FnOnce(&Collection) -> bigrain_engine::Result<()> + Send + 'static,
    ) -> Result<CollectionInfo, Status> {
        let context = Arc::clone(&self.0);
        let altered = move |_: &_| {
            let collection = context.collection(&name)?;
            change(&collection).map_err(status::from_engine)?;
            Ok(convert::collection_info(collection.info()))
        };
        self.0.runtime.writes.run(altered).await
    }
}

fn create(context: &Context, request: CreateCollectionRequest) -> Result<CollectionInfo, Status> {
    let config =
        request.config.ok_or_else(|| Status::invalid_argument("collection config is missing"))?;
    let texts: Vec<_> =
        config.text_fields.iter().map(convert::text_field).collect::<Result<_, _>>()?;
    let multi = config.multi_fields.iter().map(convert::multi_field);
    let mut multi = multi.collect::<Result<Vec<_>, _>>()?.into_iter();
    let mut sparse = convert::sparse_fields(&config)?.into_iter();
    let mut fields = convert::field_messages(config).into_iter();
    let mut config = match (fields.next(), sparse.next()) {
        (Some(first), next) => {
            let config = CollectionConfig::of(field_config(context, first)?);
            next.into_iter().fold(config, CollectionConfig::with_sparse)
        }
        (None, Some(first)) => CollectionConfig::of_sparse(first),
        (None, None) => CollectionConfig::of_multi(
            multi.next().ok_or_else(|| Status::internal("a collection without fields"))?,
        ),
    };
    for field in fields {
        config = config.with_field(field_config(context, field)?);
    }
    let config = sparse.fold(config, CollectionConfig::with_sparse);
    let config = multi.fold(config, CollectionConfig::with_multi);
    let config = texts.into_iter().fold(config, CollectionConfig::with_text);
    let collection = context.create_collection(&request.name, config)?;
    Ok(convert::collection_info(collection.info()))
}

fn add_field(context: &Context, request: AddFieldRequest) -> Result<CollectionInfo, Status> {
    let collection = context.collection(&request.collection)?;
    match (request.field, request.sparse_field, request.multi_field) {
        (Some(field), None, None) => collection.add_field(field_config(context, field)?),
        (None, Some(field), None) => collection.add_sparse_field(convert::sparse_field(&field)?),
        (None, None, Some(field)) => collection.add_multi_field(convert::multi_field(&field)?),
        (None, None, None) => return Err(Status::invalid_argument("field config is missing")),
        (Some(_), Some(_), None) => {
            let reason = "expected either a field or a sparse field: found both";
            return Err(Status::invalid_argument(reason));
        }
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            let reason = "expected a multi-vector field or another one: found both";
            return Err(Status::invalid_argument(reason));
        }
    }
    .map_err(status::from_engine)?;
    Ok(convert::collection_info(collection.info()))
}

fn field_config(context: &Context, config: proto::FieldConfig) -> Result<FieldConfig, Status> {
    let (dims, space) = resolve(context, &config)?;
    convert::field_config(config, dims, space)
}

/// Returns the dimensions and the space of a new field: those that were given, which must
/// agree with the model's, or the model's.
fn resolve(
    context: &Context,
    config: &proto::FieldConfig,
) -> Result<(usize, Option<EmbeddingSpaceId>), Status> {
    let dims = config.dims as usize;
    let space = convert::space(config.space.as_deref())?;
    let Some(name) = &config.model else {
        return Ok((dims, space));
    };
    let model = context.models.get(name)?;
    if dims != 0 && dims != model.dims() {
        return Err(Status::invalid_argument(format!(
            "dims mismatch: model {name:?} has {}, the config of field {:?} has {dims}",
            model.dims(),
            config.name
        )));
    }
    model.check_space(space)?;
    Ok((model.dims(), Some(model.space())))
}
