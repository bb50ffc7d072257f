//! Building a segment's folder, for flushes and merges alike.

use std::path::Path;
use std::sync::Arc;

use bigrain_index::{lists, sparse};
use bigrain_storage::{FileRow, SegmentRow, fs};
use bigrain_types::{SegmentId, SeqNo};

use super::handle::Shared;
use crate::Result;
use crate::device::Builder;
use crate::error::Doing;
use crate::field::{Field, MultiField};
use crate::segment::{
    BuildMemory, BuiltSegment, Segment, SegmentInput, SegmentParams, build_segment,
};
use crate::threads::Threads;

/// Bytes for each point while its segment is built: its place in the order, both ways, and its id.
const POINT_BYTES: u64 = 64;

/// Bytes that making an index of payloads takes before it has a term, and for each text field: tables of terms,
/// pages of posting lists, what shares the endings of terms.
const LEXICAL_BYTES: u64 = 3 << 19;
const TEXT_FIELD_BYTES: u64 = 2 << 20;

/// Bytes that it takes for each point, beside the terms: where posting lists are, and terms while they are sorted.
const LEXICAL_POINT_BYTES: u64 = 448;

/// So many times the bytes of an index of payloads are in memory while it is made: posting lists as they
/// grow, and the finished files.
const TERM_COPIES: u64 = 3;

/// Bytes for each point while a sparse field is written: where its row ends.
const ROW_END_BYTES: u64 = 8;

/// What a segment to be is called, and the newest write in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewSegment {
    pub id: SegmentId,
    pub seq: SeqNo,
}

/// A segment that no manifest names yet.
pub(super) struct Built {
    pub segment: Segment,
    pub row: SegmentRow,
    /// For each offset, the point of the input that lies there.
    pub order: Vec<u32>,
}

impl Shared {
    /// Writes a segment into a folder of its own and opens it. After an error the folder is gone.
    pub fn build<I: SegmentInput>(
        &self,
        input: &I,
        new: &NewSegment,
        threads: &Threads,
    ) -> Result<Built> {
        let directory = &*self.resources.directory;
        let folder = self.segment_folder(new.id);
        fs::create_folder(directory, &folder)?;
        self.build_in(&folder, input, new, threads).inspect_err(|_| {
            // Unfinished files would take the room that the next try needs.
            if let Err(error) = fs::remove_folder(directory, &folder) {
                tracing::warn!(folder = %folder.display(), %error, "unfinished segment stays");
            }
        })
    }

    /// Returns about how much memory building a segment takes: what the largest field takes, as its index or
    /// as a window of its rows, or what a sparse field does, or the index of payloads, whose terms have about
    /// `terms` bytes; and what maps points to offsets.
    pub fn build_bytes(&self, points: usize, terms: u64) -> u64 {
        let memory = self.build_memory();
        let fields = self.fields();
        let threads = self.resources.device.as_ref().map_or(0, |_| self.resources.builders.count());
        let to_device = (threads * lists::stage_bytes()) as u64;
        let of_field = |field: &Arc<Field>| {
            let index = memory.index(field, 0).memory_bytes(points, &field.binarizer);
            let rows = points as u64 * 4 * field.config.dims as u64;
            (index + to_device.min(2 * rows)).max(rows.min(memory.window_bytes as u64))
        };
        let of_multi = |field: &Arc<MultiField>| {
            let build = field.build(0);
            build.memory_bytes(points) + to_device.min(build.listed_bytes(points))
        };
        let of_multi = fields.multi().map(of_multi);
        let points = points as u64;
        let of_sparse = fields.sparse().map(|_| sparse::BUILD_BYTES + points * ROW_END_BYTES);
        let of_texts = fields.texts().len() as u64 * TEXT_FIELD_BYTES;
        let of_rows = points * LEXICAL_POINT_BYTES + terms * TERM_COPIES;
        let of_lexical = LEXICAL_BYTES + of_texts + of_rows;
        let of_fields = fields.iter().map(of_field).chain(of_sparse).chain(of_multi);
        let largest = of_fields.chain([of_lexical]).max();
        largest.unwrap_or(0) + points * POINT_BYTES
    }

    fn build_memory(&self) -> BuildMemory {
        BuildMemory::within(self.resources.limits.memory_budget_bytes)
    }

    fn build_in<I: SegmentInput>(
        &self,
        folder: &Path,
        input: &I,
        &NewSegment { id, seq }: &NewSegment,
        threads: &Threads,
    ) -> Result<Built> {
        let directory = &self.resources.directory;
        let all = self.fields();
        let fields: Vec<_> = all.iter().cloned().collect();
        let sparse: Vec<_> = all.sparse().cloned().collect();
        let multi: Vec<_> = all.multi().cloned().collect();
        let texts: Vec<_> = all.texts().iter().map(|text| text.config.clone()).collect();
        let (seed, memory) = (id.0, self.build_memory());
        let (fields, sparse, multi, texts) = (&fields[..], &sparse[..], &multi[..], &texts[..]);
        let device = self.resources.device.as_ref();
        let device = device.map(|device| Builder { device, counts: &self.scans });
        let params = SegmentParams { fields, sparse, multi, texts, seed, memory, device };
        let built = build_segment(&**directory, folder, input, &params, threads);
        let BuiltSegment { order, fields } = built.doing(|| format!("build segment {id}"))?;
        let segment = Segment::open(&**directory, folder, id, &fields)
            .doing(|| format!("open new segment {id}"))?
            .charged_to(&self.resources.memory);
        let files = segment.files().into_iter();
        let files = files.map(|(name, file)| FileRow::new(name, file.identity())).collect();
        let rows = segment.rows();
        let row = SegmentRow { id, rows, files, seq, arrived: rows };
        Ok(Built { segment, row, order })
    }
}
