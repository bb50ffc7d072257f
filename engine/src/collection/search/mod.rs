//! Searching: by vector, dense or sparse, by multi-vector, by words, and fused.
//!
//! ```text
//!  query ──> VectorSearch   view ──> in memory ─────┐
//!                             └────> filtered ──> approximate (candidates, verify) or exact ──> hits
//!                                                    └─ adapted, where the query has an adapter ─┘
//!  sparse ─> SparseVectorSearch   view ──> inverted lists, exactly ──────────────────────────> hits
//!  tokens ─> MultiVectorSearch    view ──> sketches ──> exact MaxSim of the best ─────────────> hits
//!  words ──> TextSearch     view ──> statistics of all ──> scores ───────────────────────────> hits
//!  some  ──> hybrid         several of the above, fused
//!  groups                    searches of any kind, several for one answer
//!  recommend                 searches by vector, several for one answer
//!                                                     hits ──> payloads ──> points, or once more
//! ```
//!
//! A search by vector looks at one field. It takes its [view](view) in one step: under the state lock
//! it copies the list of segments that have files of the field, with their deleted rows, and scans and
//! scores the memtable, which may grow as soon as the lock is released. Everything else happens without
//! a lock. Candidates of all sources compete in one list, so that rows are read in the order of their
//! bounds whatever segment they lie in.
//!
//! While a field goes over to another encoder its search is two: that of the field [before](predecessor) joins
//! the list.
//!
//! Payloads are read last, from the store as it is then. A result that was deleted or replaced
//! meanwhile makes the whole search run [again](retry).

mod adapted;
mod approximate;
mod batch;
mod candidates;
mod diverse;
mod exact;
mod field_source;
mod filtered;
mod groups;
mod hit;
mod hybrid;
mod in_memory;
mod multi_search;
mod payloads;
mod plan;
mod predecessor;
mod query_versions;
mod recommend;
mod retry;
mod sought;
mod sparse_search;
mod stored_vectors;
mod tail;
mod text_search;
mod vector_search;
mod view;

use diverse::refuse_diversity;
use hit::Hit;
use multi_search::MultiVectorSearch;
use payloads::without_payload;
use sparse_search::SparseVectorSearch;
use text_search::TextSearch;
use vector_search::VectorSearch;
