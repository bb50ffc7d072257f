//! `tokens.<field>`: every token, as halves, for exact scores and for reading back.
//!
//! ```text
//! ┌────────────────────────────────────────────────────────────┬──────────────────────┬────────────────┐
//! │ points u32, vectors u32, dims u32, 0 u32, record bytes u64 │ ends: points × u64   │ records        │
//! └────────────────────────────────────────────────────────────┴──────────────────────┴────────────────┘
//!  a record   tokens u16 | dims u16 | flags u8 | height u8 | width u8 | 0 | tokens × dims halves | zeros
//! ```
//!
//! `ends[o]` is where the record of the point at offset `o` ends, counted from the start of the records;
//! a point without a multi-vector has an empty one. Records have multiples of eight bytes. Sections
//! begin at multiples of 4 KiB.

use std::path::Path;

use bigrain_storage::{BlockFile, BlockFileWriter, Directory, Extent, FileKind};
use bigrain_types::{MAX_TOKEN_DIMS, Offset, TokensHeader, TokensView};

use super::SECTION_BYTES;
use crate::IndexError;

/// Bytes of the header that mean something.
const HEADER_BYTES: usize = 24;

/// Records have multiples of so many bytes.
const ALIGNMENT: usize = 8;

/// Returns the bytes of a record.
pub(super) fn record_bytes(header: TokensHeader) -> u64 {
    (TokensHeader::BYTES + 2 * header.components()).next_multiple_of(ALIGNMENT) as u64
}

/// Writes `tokens.<field>`, record after record.
pub(super) struct TokensWriter<'a> {
    file: BlockFileWriter<'a>,
}

impl<'a> TokensWriter<'a> {
    /// Begins a file whose records end at `ends`, one for each point, `vectors` of them not empty.
    pub fn create(
        directory: &'a dyn Directory,
        path: &Path,
        dims: usize,
        (ends, vectors): (&[u64], u32),
    ) -> Result<Self, IndexError> {
        let mut file = BlockFileWriter::create(directory, path, FileKind::Tokens)?;
        let records = ends.last().copied().unwrap_or_default();
        file.append_slice(&[ends.len() as u32, vectors, dims as u32, 0])?;
        file.append_slice(&[records])?;
        file.align_to(SECTION_BYTES)?;
        file.append_slice(ends)?;
        file.align_to(SECTION_BYTES)?;
        Ok(Self { file })
    }

    /// Appends the next record.
    pub fn push(&mut self, tokens: TokensView<'_>) -> Result<(), IndexError> {
        self.file.append(&tokens.header().to_bytes())?;
        self.file.append_slice(tokens.halves())?;
        let written = TokensHeader::BYTES + 2 * tokens.halves().len();
        self.file.append(&[0; ALIGNMENT][..written.next_multiple_of(ALIGNMENT) - written])?;
        Ok(())
    }

    pub fn finish(self) -> Result<(), IndexError> {
        self.file.finish()?;
        Ok(())
    }
}

/// Whoever reads records one after the other has about so many fetched ahead.
const FETCHED_RECORDS: u32 = 16;

/// The tokens of a segment, read where they lie or as extents.
#[derive(Debug)]
pub struct TokensReader {
    file: BlockFile,
    points: u32,
    vectors: u32,
    dims: usize,
    records: u64,
}

impl TokensReader {
    /// Opens the file; reads only its header.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when the file is missing, fails a check or has not the length its header states.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, IndexError> {
        let file = BlockFile::open(directory, path, FileKind::Tokens)?;
        file.expect_scattered_reads();
        let mut header = [0; HEADER_BYTES];
        file.read_into(0, &mut header)?;
        let (words, _) = header.as_chunks::<4>();
        let word = |at: usize| u32::from_le_bytes(words[at]);
        let (points, vectors, dims) = (word(0), word(1), word(2) as usize);
        let records = u64::from(word(4)) | u64::from(word(5)) << 32;
        let reader = Self { file, points, vectors, dims, records };
        if dims == 0 || dims > MAX_TOKEN_DIMS {
            return Err(reader.malformed(format!("{dims} dimensions")));
        }
        if vectors > points {
            return Err(reader.malformed(format!("{vectors} multi-vectors of {points} points")));
        }
        if reader.records_start().checked_add(records) != Some(reader.file.body_bytes()) {
            let bytes = reader.file.body_bytes();
            let reason = format!("{bytes} bytes for {records} of records of {points} points");
            return Err(reader.malformed(reason));
        }
        Ok(reader)
    }

    /// Returns the number of points, those without a multi-vector included.
    #[must_use]
    pub fn points(&self) -> u64 {
        u64::from(self.points)
    }

    /// Returns the number of points with a multi-vector.
    #[must_use]
    pub fn vectors(&self) -> u64 {
        u64::from(self.vectors)
    }

    /// Returns the components of each token.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Returns the bytes of all records.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        self.records
    }

    /// Returns the file, for checks and sizes.
    #[must_use]
    pub fn file(&self) -> &BlockFile {
        &self.file
    }

    /// Returns the tokens of a point, in the map; none where it has none.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last point, or when bytes fail a check or are no record.
    pub fn tokens(&self, offset: Offset) -> Result<Option<TokensView<'_>>, IndexError> {
        let Some(Extent { offset: at, length, .. }) = self.extent(offset)? else { return Ok(None) };
        self.tokens_in(offset, self.file.read(at, length)?).map(Some)
    }

    /// Has the records behind a point's fetched, every now and then, for whoever goes from point to point. They are
    /// taken to be about as long.
    pub fn fetch_ahead(&self, offset: Offset) {
        if offset.0.is_multiple_of(FETCHED_RECORDS)
            && let Ok(Some(Extent { offset: at, length, .. })) = self.extent(offset)
        {
            self.file.fetch_ahead(at, 2 * u64::from(FETCHED_RECORDS) * length as u64);
        }
    }

    /// Whether a point has tokens.
    ///
    /// # Errors
    ///
    /// As [`TokensReader::extent`].
    pub fn has(&self, offset: Offset) -> Result<bool, IndexError> {
        Ok(self.extent(offset)?.is_some())
    }

    /// Returns where the record of a point lies; none where it has none.
    ///
    /// # Errors
    ///
    /// [`IndexError`] past the last point, or when the ends fail a check or contradict themselves.
    pub fn extent(&self, offset: Offset) -> Result<Option<Extent<'_>>, IndexError> {
        let Offset(point) = offset;
        if point >= self.points {
            return Err(self.malformed(format!("point {point} of {}", self.points)));
        }
        let before = u64::from(point.saturating_sub(1));
        let at = u64::from(SECTION_BYTES) + 8 * before;
        let range = match *self.file.slice::<u64>(at, if point == 0 { 1 } else { 2 })? {
            [end] => 0..end,
            [start, end] => start..end,
            _ => 0..0,
        };
        if range.start > range.end || range.end > self.records {
            let reason = format!("record of point {point} at {range:?} of {}", self.records);
            return Err(self.malformed(reason));
        }
        let length = (range.end - range.start) as usize;
        if length == 0 {
            return Ok(None);
        }
        Ok(Some(Extent { file: &self.file, offset: self.records_start() + range.start, length }))
    }

    /// Reads the bytes of a point's record, wherever they were brought to.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] when they are none.
    pub fn tokens_in<'b>(
        &self,
        offset: Offset,
        bytes: &'b [u8],
    ) -> Result<TokensView<'b>, IndexError> {
        self.view(bytes)
            .map_err(|reason| self.malformed(format!("record of point {}: {reason}", offset.0)))
    }

    fn view<'b>(&self, bytes: &'b [u8]) -> Result<TokensView<'b>, String> {
        let length = bytes.len();
        let short = || format!("{length} bytes");
        let (header, rest) =
            bytes.split_first_chunk::<{ TokensHeader::BYTES }>().ok_or_else(short)?;
        let header = TokensHeader::from_bytes(*header)?;
        if header.dims() != self.dims {
            return Err(format!("{} dimensions of {}", header.dims(), self.dims));
        }
        if record_bytes(header) != length as u64 {
            return Err(format!("{length} bytes for {} tokens", header.tokens()));
        }
        let (halves, _) = rest.split_at_checked(2 * header.components()).ok_or_else(short)?;
        let halves = bytemuck::try_cast_slice(halves).map_err(|error| error.to_string())?;
        TokensView::new(header, halves)
    }

    fn records_start(&self) -> u64 {
        let ends = u64::from(SECTION_BYTES) + 8 * u64::from(self.points);
        ends.next_multiple_of(u64::from(SECTION_BYTES))
    }

    fn malformed(&self, reason: String) -> IndexError {
        IndexError::Malformed { path: self.file.path(), reason }
    }
}
