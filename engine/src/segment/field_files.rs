//! The files of one field of a segment.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use bigrain_index::codes::CodesReader;
use bigrain_index::dense::{DenseReader, DenseRow};
use bigrain_index::lists::ListsReader;
use bigrain_index::order::OrderReader;
use bigrain_index::{IndexError, RowMask};
use bigrain_storage::{BlockFile, Directory, FileKind};
use bigrain_types::{FieldId, Offset};
use roaring::RoaringBitmap;

use crate::device::OnDevice;
use crate::field::Field;

/// The open files of one field of a segment: its vectors and their codes, by *position*.
///
/// Positions are the field's list order. In one field of a segment they are the segment's first
/// offsets; every other field has a file that maps one to the other.
#[derive(Debug)]
pub(crate) struct FieldFiles {
    field: Arc<Field>,
    pub codes: CodesReader,
    pub lists: ListsReader,
    pub dense: DenseReader,
    /// The codes where a device scans them; gone from there with these files.
    pub on_device: OnDevice,
    /// None where positions are offsets.
    order: Option<OrderReader>,
}

/// Where the positions of a field stand in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// They are the first offsets.
    Leading,
    /// `order.<field>` says.
    Ordered,
}

impl FieldFiles {
    /// Opens the files of a field in a segment's folder, and checks that they belong together, to the
    /// field, and to a segment of `points` points.
    pub fn open(
        directory: &dyn Directory,
        folder: &Path,
        field: &Arc<Field>,
        placement: Placement,
        points: u64,
    ) -> Result<Self, IndexError> {
        let path = |kind: FileKind| folder.join(kind.file_name(&field.file_stem));
        let codes = CodesReader::open(directory, &path(FileKind::Codes), FileKind::Codes)?;
        let lists =
            ListsReader::open(directory, &path(FileKind::Lists), &path(FileKind::Centroids))?;
        let dense = DenseReader::open(directory, &path(FileKind::Dense))?;
        let order = match placement {
            Placement::Leading => None,
            Placement::Ordered => Some(OrderReader::open(directory, &path(FileKind::Order))?),
        };
        let on_device = OnDevice::default();
        let files = Self { field: Arc::clone(field), codes, lists, dense, on_device, order };
        files.check_space()?;
        files.check_rows(points)?;
        Ok(files)
    }

    /// Returns which field it is.
    pub fn id(&self) -> FieldId {
        self.field.id
    }

    /// Returns the number of vectors, those of deleted points included.
    pub fn rows(&self) -> u64 {
        self.codes.rows()
    }

    /// Returns the offset of the point at a position.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the order cannot be read.
    pub fn offset(&self, position: u32) -> Result<Offset, IndexError> {
        match &self.order {
            None => Ok(Offset(position)),
            Some(order) => order.offset(position),
        }
    }

    /// Returns the position of a point's vector; none for a point without one in this field.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the order cannot be read.
    pub fn position(&self, offset: Offset) -> Result<Option<u32>, IndexError> {
        match &self.order {
            None => Ok((u64::from(offset.0) < self.rows()).then_some(offset.0)),
            Some(order) => order.position(offset),
        }
    }

    /// Returns a set of offsets, seen by position.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the order cannot be read.
    pub fn by_position<'a>(
        &'a self,
        offsets: &'a RoaringBitmap,
    ) -> Result<Positions<'a>, IndexError> {
        let order = self.order.as_ref().map(OrderReader::offsets).transpose()?;
        Ok(Positions { offsets, order })
    }

    /// Returns the vector of a point, if it has one in this field: in the map of the file, where it
    /// is stored as f32. For whoever goes from point to point: those behind it are fetched.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the vector cannot be read.
    pub fn vector_in_place(&self, offset: Offset) -> Result<Option<Cow<'_, [f32]>>, IndexError> {
        let Some(position) = self.position(offset)? else { return Ok(None) };
        self.dense.fetch_ahead(Offset(position));
        Ok(Some(match self.dense.row(Offset(position))? {
            DenseRow::F32(row) => Cow::Borrowed(row),
            row @ (DenseRow::F16(_) | DenseRow::I8 { .. } | _) => Cow::Owned(row.to_vec()),
        }))
    }

    /// Returns the positions whose points are not deleted, as a mask that is kept for the next search.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the order cannot be read.
    pub fn live_mask(&self, deleted: &Arc<RoaringBitmap>) -> Result<Arc<RowMask>, IndexError> {
        self.on_device.live(deleted, || {
            let gone = self.by_position(deleted)?;
            let mut mask = RowMask::all(self.rows() as usize);
            mask.remove((0..self.rows() as u32).filter(|&position| gone.contains(position)));
            Ok(mask)
        })
    }

    /// Returns a set of offsets as a mask of positions.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the order cannot be read.
    pub fn mask(&self, offsets: &RoaringBitmap) -> Result<RowMask, IndexError> {
        let rows = self.rows() as usize;
        let Some(order) = &self.order else { return Ok(RowMask::new(rows, offsets)) };
        let order = (0..).zip(order.offsets()?);
        let inside = order.filter(|(_, offset)| offsets.contains(**offset));
        Ok(RowMask::new(rows, inside.map(|(position, _)| position)))
    }

    /// Returns the vector of a point, if it has one in this field.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the vector cannot be read.
    pub fn vector(&self, offset: Offset) -> Result<Option<Vec<f32>>, IndexError> {
        Ok(self.vector_in_place(offset)?.map(Cow::into_owned))
    }

    /// Returns the files with their names.
    pub fn files(&self) -> Vec<(String, &BlockFile)> {
        let named = |(kind, file): (FileKind, _)| (kind.file_name(&self.field.file_stem), file);
        self.kinds().into_iter().map(named).collect()
    }

    fn kinds(&self) -> Vec<(FileKind, &BlockFile)> {
        let [lists, centroids] = self.lists.files();
        let mut files = vec![
            (FileKind::Codes, self.codes.file()),
            (FileKind::Lists, lists),
            (FileKind::Centroids, centroids),
            (FileKind::Dense, self.dense.file()),
        ];
        files.extend(self.order.as_ref().map(|order| (FileKind::Order, order.file())));
        files
    }

    /// Returns the bytes of memory that readers of the files hold, which are mostly checksums.
    pub fn reader_bytes(&self) -> u64 {
        self.kinds().iter().map(|(_, file)| file.memory_bytes() as u64).sum()
    }

    /// Returns the bytes of codes, factors and lists once they are resident, and of the order, which
    /// is mapped.
    pub fn code_bytes(&self) -> u64 {
        let order = self.order.as_ref().map_or(0, |order| order.file().body_bytes());
        self.codes.resident_bytes() + self.lists.resident_bytes() + order
    }

    /// Returns the bytes of all files.
    pub fn disk_bytes(&self) -> u64 {
        self.files().iter().map(|(_, file)| file.identity().length).sum()
    }

    fn check_space(&self) -> Result<(), IndexError> {
        let binarizer = &self.field.binarizer;
        let mismatch = |file: &BlockFile, space| {
            let reason = format!(
                "code space mismatch: field {:?} has {}, file has {space}",
                self.field.name,
                binarizer.id()
            );
            Err(IndexError::Malformed { path: file.path(), reason })
        };
        let Self { codes, lists, dense, .. } = self;
        if !self.field.takes_codes_of(codes.space()) || codes.layout() != *binarizer.layout() {
            return mismatch(codes.file(), codes.space());
        }
        if lists.space() != codes.space() || lists.dims() != binarizer.layout().dims() {
            return mismatch(lists.files()[0], lists.space());
        }
        if dense.dims() != binarizer.dims() {
            let (name, has) = (&self.field.name, binarizer.dims());
            let reason =
                format!("dimension mismatch: field {name:?} has {has}, file has {}", dense.dims());
            return Err(IndexError::Malformed { path: dense.file().path(), reason });
        }
        Ok(())
    }

    fn check_rows(&self, points: u64) -> Result<(), IndexError> {
        let Self { codes, lists, dense, order, .. } = self;
        let rows = codes.rows();
        let differ = |file: &BlockFile, found: u64| {
            let reason = format!("rows differ: {rows} codes of {points} points, {found} here");
            Err(IndexError::Malformed { path: file.path(), reason })
        };
        if lists.rows() != rows {
            return differ(lists.files()[0], lists.rows());
        }
        if dense.rows() != rows {
            return differ(dense.file(), dense.rows());
        }
        match order {
            Some(order) if order.rows() != rows => differ(order.file(), order.rows()),
            Some(order) if order.points() != points => differ(order.file(), order.points()),
            None if rows > points => differ(codes.file(), rows),
            Some(_) | None => Ok(()),
        }
    }
}

/// A set of offsets, seen by position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Positions<'a> {
    offsets: &'a RoaringBitmap,
    order: Option<&'a [u32]>,
}

impl Positions<'_> {
    /// Whether no offset is in the set.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Whether the offset of a position is in the set.
    #[inline]
    pub fn contains(&self, position: u32) -> bool {
        match self.order {
            None => self.offsets.contains(position),
            Some(order) => self.offsets.contains(order[position as usize]),
        }
    }

    /// Returns how many of the field's `rows` positions are in the set.
    pub fn count(&self, rows: u64) -> u64 {
        match self.order {
            None => self.offsets.range_cardinality(0..rows as u32),
            Some(_) if self.offsets.is_empty() => 0,
            Some(order) => {
                order.iter().filter(|offset| self.offsets.contains(**offset)).count() as u64
            }
        }
    }
}
