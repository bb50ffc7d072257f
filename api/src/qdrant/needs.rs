//! What each call of the protocol needs. One that is not here takes a key that writes, like any other, and is not
//! told apart by metrics.
//!
//! What concerns one collection is checked against the key where the collection is looked up; what concerns all of
//! them, or the folder of backups, takes a key for all.

use tonic::codegen::http::Method;

use crate::access::Need;

/// Calls over gRPC, by service.
const GRPC: [(&str, Need, &[&str]); 8] = [
    ("qdrant.Qdrant", Need::Open, &["HealthCheck"]),
    (
        "qdrant.Collections",
        Need::Read,
        &[
            "Get",
            "List",
            "ListCollectionAliases",
            "ListAliases",
            "CollectionExists",
            "CollectionClusterInfo",
            "ListShardKeys",
        ],
    ),
    (
        "qdrant.Collections",
        Need::Write,
        &[
            "Create",
            "Update",
            "Delete",
            "UpdateAliases",
            "UpdateCollectionClusterSetup",
            "CreateShardKey",
            "DeleteShardKey",
        ],
    ),
    (
        "qdrant.Points",
        Need::Read,
        &[
            "Get",
            "Search",
            "SearchBatch",
            "SearchGroups",
            "Scroll",
            "Recommend",
            "RecommendBatch",
            "RecommendGroups",
            "Discover",
            "DiscoverBatch",
            "Count",
            "Query",
            "QueryBatch",
            "QueryGroups",
            "Facet",
            "SearchMatrixPairs",
            "SearchMatrixOffsets",
        ],
    ),
    (
        "qdrant.Points",
        Need::Write,
        &[
            "Upsert",
            "Delete",
            "UpdateVectors",
            "DeleteVectors",
            "SetPayload",
            "OverwritePayload",
            "DeletePayload",
            "ClearPayload",
            "CreateFieldIndex",
            "DeleteFieldIndex",
            "CreateVectorName",
            "DeleteVectorName",
            "UpdateBatch",
        ],
    ),
    ("qdrant.Snapshots", Need::Read, &["List"]),
    ("qdrant.Snapshots", Need::Write, &["Create", "Delete"]),
    ("qdrant.Snapshots", Need::Operate, &["CreateFull", "ListFull", "DeleteFull"]),
];

/// Calls over REST that are of the whole server, or of a name in their body.
const WHOLE: [(Method, Need, &[&str]); 6] = [
    (Method::GET, Need::Open, &["/"]),
    (
        Method::GET,
        Need::Read,
        &["/collections", "/aliases", "/cluster", "/telemetry", "/issues", "/locks", "/quotas"],
    ),
    (Method::POST, Need::Write, &["/collections/aliases"]),
    (Method::GET, Need::Operate, &["/snapshots", "/snapshots/{snapshot}"]),
    (Method::POST, Need::Operate, &["/snapshots"]),
    (Method::DELETE, Need::Operate, &["/snapshots/{snapshot}"]),
];

/// Calls over REST below the path of a collection.
const OF_COLLECTION: [(Method, Need, &[&str]); 6] = [
    (
        Method::GET,
        Need::Read,
        &[
            "",
            "/exists",
            "/aliases",
            "/points/{id}",
            "/snapshots",
            "/snapshots/{snapshot}",
            "/shards",
            "/cluster",
            "/optimizations",
        ],
    ),
    (
        Method::POST,
        Need::Read,
        &[
            "/points",
            "/points/scroll",
            "/points/count",
            "/facet",
            "/points/query",
            "/points/query/batch",
            "/points/query/groups",
            "/points/search/matrix/pairs",
            "/points/search/matrix/offsets",
            "/points/search",
            "/points/search/batch",
            "/points/search/groups",
            "/points/recommend",
            "/points/recommend/batch",
            "/points/recommend/groups",
            "/points/discover",
            "/points/discover/batch",
        ],
    ),
    (
        Method::PUT,
        Need::Write,
        &["", "/index", "/vectors/{vector}", "/points", "/points/payload", "/points/vectors"],
    ),
    (Method::PATCH, Need::Write, &[""]),
    (
        Method::POST,
        Need::Write,
        &[
            "/points/delete",
            "/points/batch",
            "/points/payload",
            "/points/payload/delete",
            "/points/payload/clear",
            "/points/vectors/delete",
            "/snapshots",
        ],
    ),
    (
        Method::DELETE,
        Need::Write,
        &["", "/index/{field}", "/vectors/{vector}", "/snapshots/{snapshot}"],
    ),
];

/// Returns every call, by method and path, and what it needs.
pub(crate) fn calls() -> impl Iterator<Item = (Method, String, Need)> {
    let grpc = GRPC.into_iter().flat_map(|(service, need, calls)| {
        calls.iter().map(move |call| (Method::POST, format!("/{service}/{call}"), need))
    });
    grpc.chain(below("", WHOLE)).chain(below("/collections/{collection}", OF_COLLECTION))
}

fn below<const N: usize>(
    beginning: &'static str,
    rows: [(Method, Need, &'static [&'static str]); N],
) -> impl Iterator<Item = (Method, String, Need)> {
    rows.into_iter().flat_map(move |(method, need, paths)| {
        paths.iter().map(move |path| (method.clone(), format!("{beginning}{path}"), need))
    })
}
