//! Which path is which call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any, get, on};
use axum::{Json, Router};
use qdrant_client::qdrant as q;
use serde_json::{Value, json};
use tonic::Status;

use super::handle::{Given, Lane, Options, refused};
use super::members::{Members, Read};
use super::{read_collections, read_points, read_query, write};
use crate::grpc::Context;
use crate::http;
use crate::qdrant::calls::{batch, collections, query, reads, snapshots, writes};
use crate::qdrant::error::unsupported;
use crate::qdrant::service::{Call, Service};
use crate::qdrant::{PROTOCOL_VERSION, TITLE};

/// The parts of a path that are names.
type Names = HashMap<String, String>;

const GET: MethodFilter = MethodFilter::GET;
const PUT: MethodFilter = MethodFilter::PUT;
const POST: MethodFilter = MethodFilter::POST;
const PATCH: MethodFilter = MethodFilter::PATCH;
const DELETE: MethodFilter = MethodFilter::DELETE;

/// Returns the routes of the protocol. Those that all of HTTP has (`/healthz`, `/metrics` and so on) are elsewhere.
pub(crate) fn router(context: &Arc<Context>) -> Router {
    Router::new()
        .route("/", get(root))
        .merge(collection_routes())
        .merge(point_routes())
        .merge(query_routes())
        .merge(snapshot_routes())
        .merge(refusals())
        .layer(DefaultBodyLimit::max(context.limits.max_message_bytes))
        .with_state(Service(Arc::clone(context)))
}

/// Says what is here: clients ask for the version; to a browser it is the console.
async fn root(headers: HeaderMap) -> Response {
    let version = || Json(json!({"title": TITLE, "version": PROTOCOL_VERSION})).into_response();
    http::front(&headers).unwrap_or_else(version)
}

/// One call: how its message is read, what it does, and how its answer is written.
fn reads<M, A>(
    method: MethodFilter,
    read: fn(&mut Members, Names) -> Read<M>,
    call: Call<M, A>,
    write: fn(A) -> Value,
) -> MethodRouter<Service>
where
    M: Send + 'static,
    A: Send + 'static,
{
    route(method, Lane::Reads, read, call, write)
}

/// As [`reads`], of a call that writes.
fn writes<M, A>(
    method: MethodFilter,
    read: fn(&mut Members, Names) -> Read<M>,
    call: Call<M, A>,
    write: fn(A) -> Value,
) -> MethodRouter<Service>
where
    M: Send + 'static,
    A: Send + 'static,
{
    route(method, Lane::Writes, read, call, write)
}

fn route<M, A>(
    method: MethodFilter,
    lane: Lane,
    read: fn(&mut Members, Names) -> Read<M>,
    call: Call<M, A>,
    write: fn(A) -> Value,
) -> MethodRouter<Service>
where
    M: Send + 'static,
    A: Send + 'static,
{
    let handler = async move |State(service): State<Service>,
                              Path(names): Path<Names>,
                              Query(options): Query<Options>,
                              body: Result<Bytes, BytesRejection>| {
        let given = Given { options, body };
        service.answer(lane, given, move |members| read(members, names), call, write).await
    };
    on(method, handler)
}

/// Returns the collection of a path.
fn collection(names: &mut Names) -> String {
    names.remove("collection").unwrap_or_default()
}

fn collection_routes() -> Router<Service> {
    let one = reads(
        GET,
        |_, mut names| Ok(q::GetCollectionInfoRequest { collection_name: collection(&mut names) }),
        collections::get,
        write::collection,
    )
    .merge(writes(
        PUT,
        |members, mut names| {
            let request = read_collections::create(members)?;
            Ok(q::CreateCollection { collection_name: collection(&mut names), ..request })
        },
        collections::create,
        write::done,
    ))
    .merge(writes(
        PATCH,
        |members, mut names| {
            let request = read_collections::update(members)?;
            Ok(q::UpdateCollection { collection_name: collection(&mut names), ..request })
        },
        collections::update,
        write::done,
    ))
    .merge(writes(
        DELETE,
        |_, mut names| {
            let collection_name = collection(&mut names);
            Ok(q::DeleteCollection { collection_name, timeout: None })
        },
        collections::delete,
        write::done,
    ));
    let exists = reads(
        GET,
        |_, mut names| Ok(q::CollectionExistsRequest { collection_name: collection(&mut names) }),
        collections::exists,
        write::exists,
    );
    let aliases = reads(
        GET,
        |_, mut names| {
            Ok(q::ListCollectionAliasesRequest { collection_name: collection(&mut names) })
        },
        collections::list_collection_aliases,
        write::aliases,
    );
    let index = writes(
        PUT,
        |members, mut names| {
            let request = read_collections::create_field_index(members)?;
            let collection_name = collection(&mut names);
            Ok(q::CreateFieldIndexCollection { collection_name, ..request })
        },
        collections::create_field_index,
        write::updated,
    );
    let index_of_field = writes(
        DELETE,
        |_, mut names| {
            Ok(q::DeleteFieldIndexCollection {
                collection_name: collection(&mut names),
                field_name: names.remove("field").unwrap_or_default(),
                ..Default::default()
            })
        },
        collections::delete_field_index,
        write::updated,
    );
    let vector = writes(
        PUT,
        |members, mut names| {
            let request = read_collections::create_vector_name(members)?;
            Ok(q::CreateVectorNameRequest {
                collection_name: collection(&mut names),
                vector_name: names.remove("vector").unwrap_or_default(),
                ..request
            })
        },
        collections::create_vector_name,
        write::updated,
    )
    .merge(writes(
        DELETE,
        |_, mut names| {
            Ok(q::DeleteVectorNameRequest {
                collection_name: collection(&mut names),
                vector_name: names.remove("vector").unwrap_or_default(),
                ..Default::default()
            })
        },
        collections::delete_vector_name,
        write::updated,
    ));
    Router::new()
        .route(
            "/collections",
            reads(
                GET,
                |_, _| Ok(q::ListCollectionsRequest {}),
                collections::list,
                write::collections,
            ),
        )
        .route(
            "/collections/aliases",
            writes(
                POST,
                |members, _| read_collections::change_aliases(members),
                collections::change_aliases,
                write::done,
            ),
        )
        .route(
            "/aliases",
            reads(
                GET,
                |_, _| Ok(q::ListAliasesRequest {}),
                collections::list_aliases,
                write::aliases,
            ),
        )
        .route("/collections/{collection}", one)
        .route("/collections/{collection}/exists", exists)
        .route("/collections/{collection}/aliases", aliases)
        .route("/collections/{collection}/index", index)
        .route("/collections/{collection}/index/{field}", index_of_field)
        .route("/collections/{collection}/vectors/{vector}", vector)
}

fn point_routes() -> Router<Service> {
    let points = writes(
        PUT,
        |members, mut names| {
            let list = read_points::upsert(members)?;
            Ok(q::UpsertPoints {
                collection_name: collection(&mut names),
                points: list.points,
                shard_key_selector: list.shard_key_selector,
                update_filter: list.update_filter,
                update_mode: list.update_mode,
                ..Default::default()
            })
        },
        writes::upsert,
        write::updated,
    )
    .merge(reads(
        POST,
        |members, mut names| {
            let collection_name = collection(&mut names);
            Ok(q::GetPoints { collection_name, ..read_query::get(members)? })
        },
        reads::get,
        write::records,
    ));
    let delete = writes(
        POST,
        |members, mut names| {
            let delete = read_points::delete(members)?;
            Ok(q::DeletePoints {
                collection_name: collection(&mut names),
                points: delete.points,
                shard_key_selector: delete.shard_key_selector,
                ..Default::default()
            })
        },
        writes::delete,
        write::updated,
    );
    let batch = writes(
        POST,
        |members, mut names| {
            Ok(q::UpdateBatchPoints {
                collection_name: collection(&mut names),
                operations: read_points::batch(members)?,
                ..Default::default()
            })
        },
        batch::update_batch,
        write::updated_batch,
    );
    Router::new()
        .route("/collections/{collection}/points", points)
        .route("/collections/{collection}/points/{id}", one_point())
        .route("/collections/{collection}/points/delete", delete)
        .route("/collections/{collection}/points/batch", batch)
        .merge(payload_routes())
        .merge(vector_routes())
}

/// A point by its id in the path: the only read whose absence is an error.
fn one_point() -> MethodRouter<Service> {
    reads(
        GET,
        |_, mut names| {
            let id = names.remove("id").unwrap_or_default();
            Ok(q::GetPoints {
                collection_name: collection(&mut names),
                ids: vec![read_points::point_id_of_path(&id)],
                with_vectors: Some(true.into()),
                ..Default::default()
            })
        },
        reads::get_one,
        write::record,
    )
}

fn payload_routes() -> Router<Service> {
    let set: fn(&mut Members, Names) -> Read<q::SetPayloadPoints> = |members, mut names| {
        let set = read_points::set_payload(members)?;
        Ok(q::SetPayloadPoints {
            collection_name: collection(&mut names),
            payload: set.payload,
            points_selector: set.points_selector,
            shard_key_selector: set.shard_key_selector,
            key: set.key,
            ..Default::default()
        })
    };
    let payload = writes(POST, set, writes::set_payload, write::updated).merge(writes(
        PUT,
        set,
        writes::overwrite_payload,
        write::updated,
    ));
    let delete = writes(
        POST,
        |members, mut names| {
            let delete = read_points::delete_payload(members)?;
            Ok(q::DeletePayloadPoints {
                collection_name: collection(&mut names),
                keys: delete.keys,
                points_selector: delete.points_selector,
                shard_key_selector: delete.shard_key_selector,
                ..Default::default()
            })
        },
        writes::delete_payload,
        write::updated,
    );
    let clear = writes(
        POST,
        |members, mut names| {
            let clear = read_points::clear_payload(members)?;
            Ok(q::ClearPayloadPoints {
                collection_name: collection(&mut names),
                points: clear.points,
                shard_key_selector: clear.shard_key_selector,
                ..Default::default()
            })
        },
        writes::clear_payload,
        write::updated,
    );
    Router::new()
        .route("/collections/{collection}/points/payload", payload)
        .route("/collections/{collection}/points/payload/delete", delete)
        .route("/collections/{collection}/points/payload/clear", clear)
}

fn vector_routes() -> Router<Service> {
    let update = writes(
        PUT,
        |members, mut names| {
            let update = read_points::update_vectors(members)?;
            Ok(q::UpdatePointVectors {
                collection_name: collection(&mut names),
                points: update.points,
                shard_key_selector: update.shard_key_selector,
                update_filter: update.update_filter,
                ..Default::default()
            })
        },
        writes::update_vectors,
        write::updated,
    );
    let delete = writes(
        POST,
        |members, mut names| {
            let delete = read_points::delete_vectors(members)?;
            Ok(q::DeletePointVectors {
                collection_name: collection(&mut names),
                points_selector: delete.points_selector,
                vectors: delete.vectors,
                shard_key_selector: delete.shard_key_selector,
                ..Default::default()
            })
        },
        writes::delete_vectors,
        write::updated,
    );
    Router::new()
        .route("/collections/{collection}/points/vectors", update)
        .route("/collections/{collection}/points/vectors/delete", delete)
}

fn query_routes() -> Router<Service> {
    let scroll = reads(
        POST,
        |members, mut names| {
            let collection_name = collection(&mut names);
            Ok(q::ScrollPoints { collection_name, ..read_query::scroll(members)? })
        },
        reads::scroll,
        write::scroll,
    );
    let count = reads(
        POST,
        |members, mut names| {
            let collection_name = collection(&mut names);
            Ok(q::CountPoints { collection_name, ..read_query::count(members)? })
        },
        reads::count,
        write::count,
    );
    let facet = reads(
        POST,
        |members, mut names| {
            let collection_name = collection(&mut names);
            Ok(q::FacetCounts { collection_name, ..read_query::facet(members)? })
        },
        reads::facet,
        write::facet,
    );
    let query_points = reads(
        POST,
        |members, mut names| {
            let collection_name = collection(&mut names);
            Ok(q::QueryPoints { collection_name, ..read_query::query_points(members)? })
        },
        query::query,
        write::query,
    );
    let query_batch = reads(
        POST,
        |members, mut names| {
            let query_points = read_query::query_batch(members)?;
            let collection_name = collection(&mut names);
            Ok(q::QueryBatchPoints { collection_name, query_points, ..Default::default() })
        },
        query::query_batch,
        write::query_batch,
    );
    let query_groups = reads(
        POST,
        |members, mut names| {
            let collection_name = collection(&mut names);
            Ok(q::QueryPointGroups { collection_name, ..read_query::query_groups(members)? })
        },
        query::query_groups,
        write::query_groups,
    );
    let matrix: fn(&mut Members, Names) -> Read<q::SearchMatrixPoints> = |members, mut names| {
        let collection_name = collection(&mut names);
        Ok(q::SearchMatrixPoints { collection_name, ..read_query::matrix(members)? })
    };
    let pairs = reads(POST, matrix, query::matrix_pairs, write::matrix_pairs);
    let offsets = reads(POST, matrix, query::matrix_offsets, write::matrix_offsets);
    Router::new()
        .route("/collections/{collection}/points/scroll", scroll)
        .route("/collections/{collection}/points/count", count)
        .route("/collections/{collection}/facet", facet)
        .route("/collections/{collection}/points/query", query_points)
        .route("/collections/{collection}/points/query/batch", query_batch)
        .route("/collections/{collection}/points/query/groups", query_groups)
        .route("/collections/{collection}/points/search/matrix/pairs", pairs)
        .route("/collections/{collection}/points/search/matrix/offsets", offsets)
}

fn snapshot_routes() -> Router<Service> {
    // Of a snapshot that is there: to read it, and to restore from it.
    const REFUSED: &str =
        "reading and restoring snapshots over this protocol (use `bigrain restore`)";
    let snapshots = reads(
        GET,
        |_, mut names| Ok(q::ListSnapshotsRequest { collection_name: collection(&mut names) }),
        snapshots::list,
        write::snapshots,
    )
    .merge(writes(
        POST,
        |_, mut names| Ok(q::CreateSnapshotRequest { collection_name: collection(&mut names) }),
        snapshots::create,
        write::snapshot,
    ));
    let snapshot = writes(
        DELETE,
        |_, mut names| {
            let collection_name = collection(&mut names);
            let snapshot_name = names.remove("snapshot").unwrap_or_default();
            Ok(q::DeleteSnapshotRequest { collection_name, snapshot_name })
        },
        snapshots::delete,
        write::snapshot_deleted,
    );
    let full = reads(
        GET,
        |_, _| Ok(q::ListFullSnapshotsRequest {}),
        snapshots::list_full,
        write::snapshots,
    )
    .merge(writes(
        POST,
        |_, _| Ok(q::CreateFullSnapshotRequest {}),
        snapshots::create_full,
        write::snapshot,
    ));
    let one_of_all = writes(
        DELETE,
        |_, mut names| {
            let snapshot_name = names.remove("snapshot").unwrap_or_default();
            Ok(q::DeleteFullSnapshotRequest { snapshot_name })
        },
        snapshots::delete_full,
        write::snapshot_deleted,
    );
    let refused = async || refusal(&unsupported(REFUSED));
    Router::new()
        .route("/collections/{collection}/snapshots", snapshots)
        .route("/collections/{collection}/snapshots/{snapshot}", snapshot.fallback(refused))
        .route("/snapshots", full)
        .route("/snapshots/{snapshot}", one_of_all.fallback(refused))
}

/// Paths of Qdrant's that have no counterpart, so that they are refused by name.
fn refusals() -> Router<Service> {
    let older = "the older searches over REST (use points/query)";
    [
        ("/collections/{collection}/shards", "a cluster"),
        ("/collections/{collection}/shards/{*rest}", "a cluster"),
        ("/collections/{collection}/cluster", "a cluster"),
        ("/cluster", "a cluster"),
        ("/cluster/{*rest}", "a cluster"),
        ("/collections/{collection}/optimizations", "the list of optimizations"),
        ("/collections/{collection}/points/search", older),
        ("/collections/{collection}/points/search/batch", older),
        ("/collections/{collection}/points/search/groups", older),
        ("/collections/{collection}/points/recommend", older),
        ("/collections/{collection}/points/recommend/batch", older),
        ("/collections/{collection}/points/recommend/groups", older),
        ("/collections/{collection}/points/discover", older),
        ("/collections/{collection}/points/discover/batch", older),
        ("/telemetry", "telemetry"),
        ("/issues", "the list of issues"),
        ("/locks", "locks"),
        ("/quotas", "quotas"),
    ]
    .into_iter()
    .fold(Router::new(), |router, (path, what)| {
        router.route(path, any(async move || refusal(&unsupported(what))))
    })
}

fn refusal(status: &Status) -> Response {
    refused(status, Instant::now())
}
