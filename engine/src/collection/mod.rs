//! A named set of points: what its handle offers, and the state behind it.
//!
//! ```text
//!  upsert, delete ──> writer ──> one synced store batch ──> memtable ──┐ full
//!                                                                     v
//!  search, get    <── state: segments + frozen memtable + memtable <── flush ──> segment
//!                                 ^ └────────────── merge ──────────────┘
//! ```
//!
//! # Locks, and their order
//!
//! 1. `flush` — held for a whole flush; one at a time.
//! 2. `merge` — held for a whole merge; one at a time.
//! 3. `commit` — held while a batch goes to the store and the state is brought up to it. Whoever
//!    holds it knows that store and state agree.
//! 4. `state` — held for pointer swaps and appends, and by a search while it scans the memtable.
//!
//! A thread that holds one may take a later one, never an earlier one.

mod alter;
mod building;
mod chores;
mod facets;
mod flush;
mod guides;
mod handle;
mod info;
mod matching;
mod merge;
mod moving;
mod progress;
mod read;
mod rewrite;
mod search;
mod selected_page;
mod state;
mod succession;
mod upgrade;
mod writer;

pub use handle::Collection;
pub(crate) use handle::{
    Opening, check_against_manifest, collection_folder, collections_folder,
    remove_collection_folder,
};
pub use info::{
    CollectionInfo, CollectionState, CollectionStatus, FieldInfo, FlushInfo, MergeInfo,
    MultiFieldInfo, SegmentInfo, SparseFieldInfo,
};
pub use succession::FormerField;
pub use upgrade::UpgradeInfo;
