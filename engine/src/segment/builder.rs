//! Building a segment: a pure function from points to files.

use std::path::Path;
use std::sync::Arc;

use bigrain_index::build::{BuildParams, BuiltIndex, MAX_SAMPLE_BYTES, Rows, build};
use bigrain_index::lists::DeviceLists;
use bigrain_index::multi::{self, BuildMulti};
use bigrain_index::{IndexError, codes, dense::DenseWriter, ids, lists, order, sparse};
use bigrain_lexical::LexicalWriter;
use bigrain_storage::{Directory, FileKind};
use bigrain_types::TextField;

use super::input::{FieldRows, MultiFieldRows, SparseFieldRows};
use super::{Placement, SegmentFields, SegmentInput};
use crate::device::Builder;
use crate::field::{Field, MultiField, SparseField};
use crate::threads::Threads;

/// Payloads that are asked for together.
const PAYLOAD_BATCH: usize = 1024;

/// What a build may take beside codes and terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BuildMemory {
    /// Rows that centroids are trained on.
    pub sample_bytes: usize,
    /// Dense rows that are put in order in memory: within so many bytes rows are read in the order in
    /// which they lie, which for a merge is the order of its files.
    pub window_bytes: usize,
}

impl BuildMemory {
    /// Returns what suits a memory budget.
    pub fn within(budget: Option<u64>) -> Self {
        const WINDOW_BYTES: usize = 16 << 20;
        const LEAST: usize = 1 << 20;
        let part = |of: u64, most: usize| {
            let part = budget.map(|budget| usize::try_from(budget / of).unwrap_or(usize::MAX));
            part.map_or(most, |part| part.clamp(LEAST, most))
        };
        Self { sample_bytes: part(8, MAX_SAMPLE_BYTES), window_bytes: part(32, WINDOW_BYTES) }
    }

    /// Returns how the index of a field is built.
    pub fn index(self, field: &Field, seed: u64) -> BuildParams<'static> {
        let (lists, sample_bytes) = (field.config.lists, Some(self.sample_bytes));
        BuildParams { lists, seed, sample_bytes, device: None }
    }
}

/// How to build a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentParams<'a> {
    /// The fields whose vectors are written; others are left out.
    pub fields: &'a [Arc<Field>],
    /// The same of sparse fields.
    pub sparse: &'a [Arc<SparseField>],
    /// The same of multi-vector fields.
    pub multi: &'a [Arc<MultiField>],
    /// The payload fields whose words are indexed.
    pub texts: &'a [TextField],
    /// Where randomness begins.
    pub seed: u64,
    /// What it may take beside codes and terms.
    pub memory: BuildMemory,
    /// What finds the lists of rows, if not the CPU.
    pub device: Option<Builder<'a>>,
}

/// What was written.
#[derive(Debug)]
pub(crate) struct BuiltSegment {
    /// For each offset, the point of the input that lies there.
    pub order: Vec<u32>,
    /// The fields that have files: those in which any point has a vector.
    pub fields: SegmentFields,
}

/// Writes the files of a segment into an existing folder.
///
/// Offsets are the list order of the first dense field in which any point has a vector. Points without a
/// vector in that field come last, in the order of the input; where no point has a dense vector, all
/// are in that order.
///
/// The same input gives the same bytes, for any number of threads. Memory is bounded by the codes of
/// one field and a sample of its rows, 12 bytes a point, and the terms of all payloads; dense and sparse
/// rows are streamed.
///
/// # Errors
///
/// [`Error`](crate::Error) when the directory refuses or the input cannot be read. The folder then holds
/// unfinished files that no manifest names.
pub(crate) fn build_segment<I: SegmentInput>(
    directory: &dyn Directory,
    folder: &Path,
    input: &I,
    params: &SegmentParams<'_>,
    threads: &Threads,
) -> crate::Result<BuiltSegment> {
    let mut written = BuiltSegment { order: Vec::new(), fields: SegmentFields::default() };
    let mut offsets = Vec::new();
    for field in params.fields {
        let rows = FieldRows::new(input, field.id)?;
        if rows.is_empty() {
            continue;
        }
        let files = FieldWriter { directory, folder, field };
        let index = params.memory.index(field, params.seed);
        // The codes go before the next thing takes memory.
        let order = {
            let with = |device: Option<&DeviceLists<'_>>| {
                let index = BuildParams { device, ..index };
                threads.run(|| build(&rows, &field.binarizer, &index))
            };
            let built = params.device.as_ref().map_or_else(|| with(None), |own| own.with(with))?;
            files.write_index(&built)?;
            built.order
        };
        files.write_dense(&rows, &order, params.memory.window_bytes)?;
        let points = rows.points();
        let points: Vec<u32> = order.iter().map(|&row| points[row as usize]).collect();
        if written.fields.dense.is_empty() {
            (written.order, offsets) = leading_order(points, input.len());
            written.fields.dense.push((Arc::clone(field), Placement::Leading));
        } else {
            let offsets_here: Vec<u32> =
                points.iter().map(|&point| offsets[point as usize]).collect();
            order::write(directory, &files.path(FileKind::Order), &offsets_here, input.len())?;
            written.fields.dense.push((Arc::clone(field), Placement::Ordered));
        }
    }
    if written.fields.dense.is_empty() {
        written.order = (0..input.len() as u32).collect();
    }
    for field in params.sparse {
        let rows = SparseFieldRows { input, field: field.id, order: &written.order };
        if !rows.is_empty()? {
            let path = folder.join(FileKind::Sparse.file_name(&field.file_stem));
            sparse::write(directory, &path, &rows)?;
            written.fields.sparse.push(Arc::clone(field));
        }
    }
    for field in params.multi {
        let rows = MultiFieldRows { input, field: field.id, order: &written.order };
        if !rows.is_empty()? {
            let path = |kind: FileKind| folder.join(kind.file_name(&field.file_stem));
            let (tokens, sketches) = (path(FileKind::Tokens), path(FileKind::Sketches));
            let with = |device: Option<&DeviceLists<'_>>| {
                let build = BuildMulti { device, ..field.build(params.seed) };
                threads.run(|| multi::write(directory, (&tokens, &sketches), &rows, &build))
            };
            params.device.as_ref().map_or_else(|| with(None), |own| own.with(with))?;
            written.fields.multi.push(Arc::clone(field));
        }
    }
    let ids = written.order.iter().map(|&point| input.id(point as usize));
    ids::write(directory, &folder.join(FileKind::Ids.file_name("")), ids)?;
    let mut lexical = LexicalWriter::new(params.texts)?;
    add_payloads(&mut lexical, input, &written.order)?;
    lexical.finish(directory, &folder.join(FileKind::Lexical.file_name("")))?;
    Ok(written)
}

/// Indexes ids and payloads, in the order of the offsets.
fn add_payloads<I: SegmentInput>(
    writer: &mut LexicalWriter,
    input: &I,
    order: &[u32],
) -> crate::Result<()> {
    for points in order.chunks(PAYLOAD_BATCH) {
        for (&point, payload) in points.iter().zip(input.payloads(points)?) {
            writer.add(&*input.id(point as usize)?, &payload)?;
        }
    }
    Ok(())
}

/// Puts the points that are not among `leading` behind them; returns the point of each offset and
/// the offset of each point.
fn leading_order(leading: Vec<u32>, points: usize) -> (Vec<u32>, Vec<u32>) {
    const NONE: u32 = u32::MAX;
    let mut offsets = vec![NONE; points];
    let mut order = leading;
    for (offset, &point) in order.iter().enumerate() {
        offsets[point as usize] = offset as u32;
    }
    for (point, offset) in offsets.iter_mut().enumerate().filter(|(_, offset)| **offset == NONE) {
        *offset = order.len() as u32;
        order.push(point as u32);
    }
    (order, offsets)
}

/// Writes the files of one field.
struct FieldWriter<'a> {
    directory: &'a dyn Directory,
    folder: &'a Path,
    field: &'a Field,
}

impl FieldWriter<'_> {
    fn path(&self, kind: FileKind) -> std::path::PathBuf {
        self.folder.join(kind.file_name(&self.field.file_stem))
    }

    fn write_index(&self, built: &BuiltIndex) -> Result<(), IndexError> {
        let (directory, space) = (self.directory, self.field.binarizer.id());
        let codes = |kind, codes| codes::write(directory, &self.path(kind), kind, space, codes);
        codes(FileKind::Codes, &built.codes)?;
        codes(FileKind::Centroids, built.centroids.codes())?;
        lists::write(directory, &self.path(FileKind::Lists), space, built)
    }

    fn write_dense(
        &self,
        rows: &dyn Rows,
        order: &[u32],
        window_bytes: usize,
    ) -> Result<(), IndexError> {
        let path = self.path(FileKind::Dense);
        let (count, config) = (rows.len() as u64, &self.field.config);
        let mut writer =
            DenseWriter::create(self.directory, &path, count, config.dims, config.dense)?;
        let dims = config.dims;
        let rows_at_once = (window_bytes / (4 * dims)).clamp(1, order.len().max(1));
        let mut window = vec![0.0; rows_at_once * dims];
        for order in order.chunks(rows_at_once) {
            let mut reads: Vec<(u32, usize)> = order.iter().copied().zip(0..).collect();
            reads.sort_unstable();
            for (row, place) in reads {
                let vector = rows.row(row as usize)?;
                if vector.len() != dims {
                    let reason = format!("row {row} has {} of {dims} components", vector.len());
                    return Err(IndexError::Malformed { path, reason });
                }
                window[place * dims..][..dims].copy_from_slice(&vector);
            }
            let ordered = window.chunks_exact(dims).take(order.len());
            { ordered }.try_for_each(|row| writer.push(row))?;
        }
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use bigrain_storage::RamDirectory;
    use bigrain_types::{
        FieldId, HalfTokens, Levels, Metric, MultiVector, Offset, Payload, PointId, SegmentId,
        SparseVector, SparseView, TokensView,
    };

    use super::super::Segment;
    use super::*;
    use crate::field::{Fields, Schema};
    use crate::{CollectionConfig, FieldConfig, MultiFieldConfig, SparseFieldConfig};

    const DIMS: [usize; 3] = [5, 3, 4];
    /// The field behind the dense ones.
    const SPARSE: usize = 3;
    /// The field behind that.
    const MULTI: usize = 4;

    /// Points by number; which fields each has a vector in.
    struct Points {
        ids: Vec<PointId>,
        sparse: Vec<SparseVector>,
        multi: Vec<HalfTokens>,
        has: fn(usize, usize) -> bool,
    }

    impl Points {
        fn new(count: u64, has: fn(usize, usize) -> bool) -> Self {
            let sparse = |point: u64| {
                let dimensions = vec![point as u32 % 13, 100 + point as u32 % 7];
                SparseVector::new(dimensions, vec![1.0 + point as f32, 0.5]).unwrap()
            };
            let multi = |point: u64| {
                let value = |d: u64| ((point * 31 + d * 7) % 17) as f32 - 8.5;
                let values = (0..5 * (1 + point % 15)).map(value).collect();
                multi::round(&MultiVector::new(5, values).unwrap())
            };
            let ids = (0..count).map(PointId::from).collect();
            let sparse = (0..count).map(sparse).collect();
            Self { ids, sparse, multi: (0..count).map(multi).collect(), has }
        }

        fn vector_of(point: usize, field: usize) -> Vec<f32> {
            let value = |d: usize| ((point * 7 + d * 3 + field) % 11) as f32 - 5.0;
            (0..DIMS[field]).map(value).collect()
        }
    }

    impl SegmentInput for Points {
        fn len(&self) -> usize {
            self.ids.len()
        }
        fn id(&self, point: usize) -> Result<Cow<'_, PointId>, IndexError> {
            Ok(Cow::Borrowed(&self.ids[point]))
        }
        fn has(&self, point: usize, field: FieldId) -> Result<bool, IndexError> {
            Ok((self.has)(point, field.0 as usize))
        }
        fn vector(
            &self,
            point: usize,
            field: FieldId,
        ) -> Result<Option<Cow<'_, [f32]>>, IndexError> {
            let vector = || Self::vector_of(point, field.0 as usize).into();
            Ok(self.has(point, field)?.then(vector))
        }
        fn sparse(
            &self,
            point: usize,
            field: FieldId,
        ) -> Result<Option<SparseView<'_>>, IndexError> {
            Ok(self.has(point, field)?.then(|| self.sparse[point].view()))
        }
        fn has_multi(&self, point: usize, field: FieldId) -> Result<bool, IndexError> {
            self.has(point, field)
        }
        fn multi(
            &self,
            point: usize,
            field: FieldId,
        ) -> Result<Option<TokensView<'_>>, IndexError> {
            Ok(self.has(point, field)?.then(|| self.multi[point].view()))
        }
        fn payloads(&self, points: &[u32]) -> crate::Result<Vec<Cow<'_, Payload>>> {
            let payload = |point: &u32| Cow::Owned(Payload::new().with("number", *point));
            Ok(points.iter().map(payload).collect())
        }
    }

    type AllFields = (Vec<Arc<Field>>, Vec<Arc<SparseField>>, Vec<Arc<MultiField>>);

    fn fields() -> AllFields {
        let [a, b, c] = DIMS;
        let config = CollectionConfig::of(FieldConfig::new("a", a, Metric::L2))
            .with_field(FieldConfig::new("b", b, Metric::Dot).with_levels(Levels::ONE))
            .with_field(FieldConfig::new("c", c, Metric::Dot))
            .with_sparse(SparseFieldConfig::new("s"))
            .with_multi(MultiFieldConfig::new("m", 5, Metric::Dot));
        let fields = Fields::new(&Schema::new(config).unwrap()).unwrap();
        let multi = fields.multi().cloned().collect();
        (fields.iter().cloned().collect(), fields.sparse().cloned().collect(), multi)
    }

    fn build(directory: &RamDirectory, threads: usize, input: &Points) -> Segment {
        let threads = Threads::start(threads).unwrap();
        let (fields, sparse, multi) = &fields();
        let memory = BuildMemory::within(None);
        let (texts, seed, device) = (&[], 3, None);
        let params = SegmentParams { fields, sparse, multi, texts, seed, memory, device };
        let folder = Path::new("");
        let built = build_segment(directory, folder, input, &params, &threads).unwrap();
        let segment = Segment::open(directory, folder, SegmentId(1), &built.fields).unwrap();
        assert_eq!((built.order.len(), segment.rows()), (input.ids.len(), input.ids.len() as u64));
        segment
    }

    fn contents(directory: &RamDirectory) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = directory.list(Path::new("")).unwrap();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let read = |name: String| {
            let file = directory.open(Path::new(&name)).unwrap();
            let mut bytes = vec![0; file.len() as usize];
            file.read_at(0, &mut bytes).unwrap();
            (name, bytes)
        };
        files.into_iter().map(|entry| read(entry.name)).collect()
    }

    #[test]
    fn the_same_input_gives_the_same_bytes_for_any_number_of_threads() {
        let input = Points::new(2065, |point, field| (point + field) % 3 > 0);
        let [one, three] = [1, 3].map(|threads| {
            let directory = RamDirectory::new();
            build(&directory, threads, &input);
            contents(&directory)
        });
        let names: Vec<&str> = one.iter().map(|(name, _)| &**name).collect();
        let of = |field: &str| {
            ["centroids", "codes", "dense", "lists", "order"].map(|kind| format!("{kind}.{field}"))
        };
        let mut expected: Vec<String> =
            ["a", "b", "c"].iter().flat_map(|field| of(field)).collect();
        expected.retain(|name| name != "order.a");
        expected.extend(["ids", "lexical", "sketches.m", "sparse.s", "tokens.m"].map(String::from));
        expected.sort();
        assert_eq!(names, expected);
        assert!(one == three);
    }

    #[test]
    fn empty_and_single_row_segments_are_segments() {
        for count in [0, 1] {
            build(&RamDirectory::new(), 2, &Points::new(count, |_, _| true));
        }
    }

    #[test]
    fn every_vector_lies_where_its_point_says() {
        let cases: [fn(usize, usize) -> bool; 7] = [
            |_, _| true,
            |point, field| (point + field).is_multiple_of(2),
            |_, field| field > 0,
            |point, field| point == 7 && field == 2,
            |point, field| point % 5 > 0 && field == SPARSE,
            |point, field| point % 7 < 3 && field == MULTI,
            |_, _| false,
        ];
        for has in cases {
            let input = Points::new(300, has);
            let segment = build(&RamDirectory::new(), 2, &input);
            for offset in (0..300).map(Offset) {
                let point = segment.ids.get(offset).unwrap().as_number().unwrap() as usize;
                for field in 0..DIMS.len() {
                    let files = segment.field(FieldId(field as u32));
                    let vector = files.and_then(|files| files.vector(offset).unwrap());
                    let expected = has(point, field).then(|| Points::vector_of(point, field));
                    assert_eq!(vector, expected, "point {point}, field {field}");
                }
                let files = segment.sparse(FieldId(SPARSE as u32));
                let vector = files.and_then(|files| files.reader.vector(offset).unwrap());
                let expected = has(point, SPARSE).then(|| input.sparse[point].view());
                assert_eq!(vector, expected, "point {point}");
                let files = segment.multi(FieldId(MULTI as u32));
                let vector = files.and_then(|files| files.tokens.tokens(offset).unwrap());
                let expected = has(point, MULTI).then(|| input.multi[point].view());
                assert_eq!(vector, expected, "point {point}");
            }
            for files in segment.fields() {
                for position in 0..files.rows() as u32 {
                    let offset = files.offset(position).unwrap();
                    assert_eq!(files.position(offset).unwrap(), Some(position));
                }
            }
        }
    }
}
