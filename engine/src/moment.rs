//! What a data folder holds at one moment, and goes on holding for whoever looks at it.
//!
//! Rows come from one view of the store. Segments are immutable but go away: a merge or a drop
//! removes them. So the segments that the view's manifest names are held open, and an open file can
//! be read whatever becomes of its name. No lock is held over any of this; writers go on.
//!
//! Which segments to hold is known only when the view is there, and between a commit to the store
//! and the list of segments that follows it there is a gap. So the lists are taken before the view
//! and after it: what was committed before the view is in one of them, unless it came and went
//! within that blink. Then the moment is taken again.

use std::sync::Arc;

use bigrain_storage::{CollectionKey, CollectionRow, CountsRow, ReadView, SegmentRow, Store};

use crate::collection::Collection;
use crate::field::{Fields, Schema};
use crate::segment::Segment;
use crate::{Error, ErrorKind, Result};

/// How often a moment is taken before somebody is told that it cannot be.
const TRIES: usize = 20;

/// What some collections of a data folder hold at one moment.
pub(crate) struct Moment<'s> {
    pub view: ReadView<'s>,
    /// In the order they were asked for, without those that do not exist at the moment.
    pub collections: Vec<Held>,
}

/// What a collection holds at one moment.
pub(crate) struct Held {
    pub key: CollectionKey,
    pub row: CollectionRow,
    pub counts: CountsRow,
    pub segments: Vec<HeldSegment>,
}

/// A segment that stays readable.
pub(crate) struct HeldSegment {
    /// The manifest's row, without files of fields that were dropped.
    pub row: SegmentRow,
    pub segment: Arc<Segment>,
}

impl<'s> Moment<'s> {
    /// Takes a moment of some collections.
    pub fn take(store: &'s Store, wanted: &[Collection]) -> Result<Self> {
        for _ in 0..TRIES {
            if let Some(moment) = Self::try_take(store, wanted)? {
                return Ok(moment);
            }
        }
        let reason =
            format!("segments were replaced faster than they could be held, {TRIES} times");
        Err(Error::new(ErrorKind::ResourceExhausted, reason))
    }

    fn try_take(store: &'s Store, wanted: &[Collection]) -> Result<Option<Self>> {
        let before: Vec<_> = wanted.iter().map(Collection::segments_now).collect();
        let view = store.view();
        let mut collections = Vec::with_capacity(wanted.len());
        for (collection, before) in wanted.iter().zip(before) {
            let segments = [before, collection.segments_settled()].concat();
            let Some(row) = view.collection(collection.key())? else { continue };
            match Held::new(&view, collection.key(), row, &segments)? {
                Some(held) => collections.push(held),
                None => return Ok(None),
            }
        }
        Ok(Some(Self { view, collections }))
    }
}

impl Held {
    fn new(
        view: &ReadView<'_>,
        key: CollectionKey,
        row: CollectionRow,
        open: &[Arc<Segment>],
    ) -> Result<Option<Self>> {
        let missing = || Error::new(ErrorKind::Corruption, "store has no counts");
        let counts = view.counts(key)?.ok_or_else(missing)?;
        let fields = Fields::new(&Schema::from_json(&row.config)?)?;
        let mut segments = Vec::new();
        for row in view.segments(key)? {
            let Some(segment) = HeldSegment::new(row, &fields, open) else { return Ok(None) };
            segments.push(segment);
        }
        Ok(Some(Self { key, row, counts, segments }))
    }
}

impl HeldSegment {
    /// Finds the segment of a row among open ones, with the files of all fields there are.
    fn new(mut row: SegmentRow, fields: &Fields, open: &[Arc<Segment>]) -> Option<Self> {
        let present = Segment::fields_in(&row, fields);
        let is_whole = |segment: &&Arc<Segment>| {
            segment.id == row.id
                && present.dense.iter().all(|(field, _)| segment.field(field.id).is_some())
                && present.sparse.iter().all(|field| segment.sparse(field.id).is_some())
                && present.multi.iter().all(|field| segment.multi(field.id).is_some())
        };
        let segment = Arc::new(open.iter().find(is_whole)?.with_only(fields));
        let names: Vec<String> = segment.files().into_iter().map(|(name, _)| name).collect();
        row.files.retain(|file| names.contains(&file.name));
        Some(Self { row, segment })
    }
}
