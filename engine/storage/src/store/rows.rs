//! The values of every row, and their bytes.

use bigrain_types::{
    FieldId, HalfTokens, Offset, SegmentId, SeqNo, SparseVector, SparseView, TokensHeader,
};
use serde::{Deserialize, Serialize};

use crate::block_file::FileIdentity;

/// Where a point is, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointRow {
    /// The commit that last wrote the point.
    pub seq: SeqNo,
    /// Where its vectors are.
    pub location: Location,
}

/// Where a point's vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Location {
    /// In the head: the store holds them, the memtable shows them.
    Head,
    /// In a segment.
    Segment(SegmentId, Offset),
}

/// The vectors of a point that is in no segment yet. Fields may have been dropped since.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadRow {
    /// The commit that wrote them.
    pub seq: SeqNo,
    /// Each dense vector with its field, in the order of the collection's fields.
    pub vectors: Vec<(FieldId, Vec<f32>)>,
    /// Each sparse vector with its field, in the order of the collection's fields; none is empty.
    pub sparse: Vec<(FieldId, SparseVector)>,
    /// Each multi-vector with its field, in the order of the collection's fields.
    pub multi: Vec<(FieldId, HalfTokens)>,
}

/// Set in the length of a vector that is sparse.
const SPARSE: u32 = 1 << 31;

/// Set in the length of a multi-vector, which counts the components of all tokens.
const MULTI: u32 = 1 << 30;

/// A collection, as it was created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionRow {
    /// Its name.
    pub name: String,
    /// Its configuration, JSON text that this crate does not look into.
    pub config: String,
    /// When it was created, in milliseconds since 1970.
    pub created_unix_ms: u64,
}

/// The numbers of a collection that change with every commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsRow {
    /// How many points there are.
    pub live: u64,
    /// The last commit.
    pub last_seq: SeqNo,
    /// The id of the next segment.
    pub next_segment: SegmentId,
}

/// A segment that is live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRow {
    /// Its id, which also names its folder.
    pub id: SegmentId,
    /// How many rows it has, dead ones included.
    pub rows: u64,
    /// Its files.
    pub files: Vec<FileRow>,
    /// The last commit that is in it.
    pub seq: SeqNo,
    /// Points move to a segment in the order of its rows, some with each commit: rows from here on
    /// have no points yet.
    pub arrived: u64,
}

/// A file of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRow {
    /// Its name within the segment's folder.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// The checksum of its footer.
    pub footer_crc: u32,
}

impl Default for CountsRow {
    /// Nothing yet.
    fn default() -> Self {
        Self { live: 0, last_seq: SeqNo(0), next_segment: SegmentId(0) }
    }
}

impl FileRow {
    /// Names a file that was written.
    #[must_use]
    pub fn new(name: impl Into<String>, identity: FileIdentity) -> Self {
        let FileIdentity { length, footer_crc } = identity;
        Self { name: name.into(), length, footer_crc }
    }

    /// Returns which bytes the file must hold, to be compared with
    /// [`BlockFile::identity`](crate::BlockFile::identity).
    #[must_use]
    pub fn identity(&self) -> FileIdentity {
        FileIdentity { length: self.length, footer_crc: self.footer_crc }
    }
}

impl HeadRow {
    /// Returns the sequence number and then of each vector its field, its length and its
    /// components, all little-endian: dense vectors, then sparse ones, then multi-vectors. Not bincode:
    /// vectors are bulk.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let dense: usize = self.vectors.iter().map(|(_, vector)| 8 + 4 * vector.len()).sum();
        let sparse: usize = self.sparse.iter().map(|(_, vector)| 8 + 8 * vector.len()).sum();
        let tokens = |view: bigrain_types::TokensView<'_>| 2 * view.halves().len();
        let multi: usize = self
            .multi
            .iter()
            .map(|(_, vector)| 8 + TokensHeader::BYTES + tokens(vector.view()))
            .sum();
        let mut row = Vec::with_capacity(8 + dense + sparse + multi);
        row.extend_from_slice(&self.seq.0.to_le_bytes());
        for (field, vector) in &self.vectors {
            row.extend_from_slice(&field.0.to_le_bytes());
            row.extend_from_slice(&(vector.len() as u32).to_le_bytes());
            row.extend_from_slice(bytemuck::cast_slice(vector));
        }
        for (field, vector) in &self.sparse {
            row.extend_from_slice(&field.0.to_le_bytes());
            row.extend_from_slice(&(vector.len() as u32 | SPARSE).to_le_bytes());
            row.extend_from_slice(bytemuck::cast_slice(vector.dimensions()));
            row.extend_from_slice(bytemuck::cast_slice(vector.values()));
        }
        for (field, vector) in &self.multi {
            let vector = vector.view();
            row.extend_from_slice(&field.0.to_le_bytes());
            row.extend_from_slice(&(vector.halves().len() as u32 | MULTI).to_le_bytes());
            row.extend_from_slice(&vector.header().to_bytes());
            row.extend_from_slice(bytemuck::cast_slice(vector.halves()));
        }
        row
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let malformed = || format!("{} bytes do not end with a vector", bytes.len());
        let (seq, mut rest) = bytes.split_first_chunk::<8>().ok_or_else(malformed)?;
        let mut row = Self { seq: SeqNo(u64::from_le_bytes(*seq)), ..Self::default() };
        while !rest.is_empty() {
            let (field, behind) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
            let (length, behind) = behind.split_first_chunk::<4>().ok_or_else(malformed)?;
            let field = FieldId(u32::from_le_bytes(*field));
            let length = u32::from_le_bytes(*length);
            if length & (SPARSE | MULTI) == MULTI {
                let (vector, behind) = multi_vector(length & !MULTI, behind)?;
                row.multi.push((field, vector));
                rest = behind;
                continue;
            }
            if !row.multi.is_empty() {
                return Err("another vector stands behind a multi-vector".to_owned());
            }
            let bytes = ((length & !SPARSE) as usize).saturating_mul(4);
            let (words, behind) = behind.split_at_checked(bytes).ok_or_else(malformed)?;
            let words = words.as_chunks::<4>().0.iter();
            if length & SPARSE == 0 {
                if !row.sparse.is_empty() {
                    return Err("a dense vector stands behind a sparse one".to_owned());
                }
                let vector = words.map(|bytes| f32::from_le_bytes(*bytes)).collect();
                row.vectors.push((field, vector));
                rest = behind;
                continue;
            }
            let (values, behind) = behind.split_at_checked(bytes).ok_or_else(malformed)?;
            let values = values.as_chunks::<4>().0.iter();
            let dimensions: Vec<u32> = words.map(|bytes| u32::from_le_bytes(*bytes)).collect();
            let values: Vec<f32> = values.map(|bytes| f32::from_le_bytes(*bytes)).collect();
            let vector = SparseView::new(&dimensions, &values).map_err(|e| e.to_string())?;
            if vector.is_empty() {
                return Err("a sparse vector is empty".to_owned());
            }
            row.sparse.push((field, vector.into()));
            rest = behind;
        }
        Ok(row)
    }
}

/// Reads a multi-vector of so many components, and returns what is behind it.
fn multi_vector(components: u32, bytes: &[u8]) -> Result<(HalfTokens, &[u8]), String> {
    let malformed = || format!("{} bytes are no multi-vector", bytes.len());
    let (header, behind) =
        bytes.split_first_chunk::<{ TokensHeader::BYTES }>().ok_or_else(malformed)?;
    let header = TokensHeader::from_bytes(*header)?;
    let length = (components as usize).saturating_mul(2);
    let (halves, behind) = behind.split_at_checked(length).ok_or_else(malformed)?;
    let halves = halves.as_chunks::<2>().0.iter();
    let halves = halves.map(|bytes| u16::from_le_bytes(*bytes)).collect();
    Ok((HalfTokens::new(header, halves)?, behind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    #[test]
    fn bytes_are_what_they_were() {
        let row = PointRow { seq: SeqNo(5), location: Location::Segment(SegmentId(6), Offset(7)) };
        assert_eq!(
            codec::to_bytes(&row).unwrap(),
            b"\x05\0\0\0\0\0\0\0\x01\0\0\0\x06\0\0\0\0\0\0\0\x07\0\0\0"
        );
        let row = PointRow { seq: SeqNo(5), location: Location::Head };
        assert_eq!(codec::to_bytes(&row).unwrap(), b"\x05\0\0\0\0\0\0\0\0\0\0\0");
        let vectors = vec![(FieldId(1), vec![1.0, -2.0]), (FieldId(9), vec![0.5])];
        let sparse = SparseVector::new(vec![7, 3], vec![-2.0, 0.5]).unwrap();
        let header =
            TokensHeader::new(2, 1, Some(bigrain_types::PatchGrid { height: 1, width: 2 }));
        let tokens = HalfTokens::new(header.unwrap(), vec![0x3c00, 0xc000]).unwrap();
        let multi = vec![(FieldId(3), tokens)];
        let row = HeadRow { seq: SeqNo(5), vectors, sparse: vec![(FieldId(2), sparse)], multi };
        let golden = [
            &b"\x05\0\0\0\0\0\0\0"[..],
            b"\x01\0\0\0\x02\0\0\0\0\0\x80\x3f\0\0\0\xc0",
            b"\x09\0\0\0\x01\0\0\0\0\0\0\x3f",
            b"\x02\0\0\0\x02\0\0\x80\x03\0\0\0\x07\0\0\0\0\0\0\x3f\0\0\0\xc0",
            b"\x03\0\0\0\x02\0\0\x40\x02\0\x01\0\x01\x01\x02\0\0\x3c\0\xc0",
        ];
        assert_eq!(row.to_bytes(), golden.concat());
        assert_eq!(HeadRow::from_bytes(&row.to_bytes()).unwrap(), row);
        let row = CountsRow { live: 1, last_seq: SeqNo(2), next_segment: SegmentId(3) };
        assert_eq!(
            codec::to_bytes(&row).unwrap(),
            b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0"
        );
        let file = FileRow { name: "ids".into(), length: 9, footer_crc: 0x01020304 };
        let row =
            SegmentRow { id: SegmentId(1), rows: 2, files: vec![file], seq: SeqNo(3), arrived: 2 };
        let golden: [&[u8]; 3] = [
            &b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0"[..],
            b"\x03\0\0\0\0\0\0\0ids\x09\0\0\0\0\0\0\0\x04\x03\x02\x01\x03\0\0\0\0\0\0\0",
            b"\x02\0\0\0\0\0\0\0",
        ];
        assert_eq!(codec::to_bytes(&row).unwrap(), golden.concat());
        let row = CollectionRow { name: "a".into(), config: "{}".into(), created_unix_ms: 4 };
        assert_eq!(
            codec::to_bytes(&row).unwrap(),
            b"\x01\0\0\0\0\0\0\0a\x02\0\0\0\0\0\0\0{}\x04\0\0\0\0\0\0\0"
        );
    }

    #[test]
    fn a_head_row_that_ends_early_is_refused() {
        let sparse = SparseVector::new(vec![7, 3], vec![-2.0, 0.5]).unwrap();
        let row = HeadRow {
            seq: SeqNo(5),
            vectors: vec![(FieldId(1), vec![1.0, -2.0])],
            sparse: vec![(FieldId(2), sparse)],
            multi: Vec::new(),
        };
        let bytes = row.to_bytes();
        // After the sequence number, and after each vector, a point is whole.
        for length in (0..bytes.len()).filter(|length| ![8, 24].contains(length)) {
            assert!(HeadRow::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        let changed = |at: usize, bytes_there: [u8; 4]| {
            let mut changed = bytes.clone();
            changed[at..at + 4].copy_from_slice(&bytes_there);
            HeadRow::from_bytes(&changed).unwrap_err()
        };
        assert!(changed(12, u32::MAX.to_le_bytes()).contains("end with a vector"));
        assert!(changed(28, u32::MAX.to_le_bytes()).contains("end with a vector"));
        assert!(changed(32, 7_u32.to_le_bytes()).contains("dimension 7 twice"));
        assert!(changed(40, [0; 4]).contains("stored zero in dimension 3"));
        let empty = [&bytes[..28], &SPARSE.to_le_bytes()].concat();
        assert!(HeadRow::from_bytes(&empty).unwrap_err().contains("is empty"));
        let behind = [&bytes[..8], &bytes[24..], &bytes[8..24]].concat();
        assert!(HeadRow::from_bytes(&behind).unwrap_err().contains("behind a sparse one"));
    }

    #[test]
    fn a_multi_vector_that_contradicts_its_header_is_refused() {
        let header = TokensHeader::new(2, 2, None).unwrap();
        let tokens = HalfTokens::new(header, vec![0x3c00; 4]).unwrap();
        let row = HeadRow { multi: vec![(FieldId(1), tokens)], ..HeadRow::default() };
        let bytes = row.to_bytes();
        assert_eq!(HeadRow::from_bytes(&bytes).unwrap(), row);
        for length in 9..bytes.len() {
            assert!(HeadRow::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        let changed = |at: usize, byte: u8| {
            let mut changed = bytes.clone();
            changed[at] = byte;
            HeadRow::from_bytes(&changed).unwrap_err()
        };
        assert_eq!(changed(16, 3), "4 components of 6");
        assert_eq!(changed(20, 2), "flags 2 of a multi-vector are unknown");
        assert_eq!(changed(16, 0), "multi-vector has no tokens");
        assert_eq!(changed(27, 0x7c), "component 1 is not finite");
        let behind = [&bytes[..], &bytes[8..16]].concat();
        assert!(HeadRow::from_bytes(&behind).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            // Few random bytes are a sparse vector: the same ones with a length that makes them one.
            if bytes.len() > 15 {
                let mut bytes = bytes.clone();
                let components = (bytes.len() - 16) / 8;
                bytes[12..16].copy_from_slice(&(components as u32 | SPARSE).to_le_bytes());
                bytes.truncate(16 + 8 * components);
                if let Ok(row) = HeadRow::from_bytes(&bytes) {
                    prop_assert_eq!(row.to_bytes(), bytes);
                }
            }
            if let Ok(row) = HeadRow::from_bytes(&bytes) {
                prop_assert_eq!(row.to_bytes(), bytes.clone());
            }
            if let Ok(row) = codec::from_bytes::<PointRow>(&bytes) {
                prop_assert_eq!(codec::to_bytes(&row).unwrap(), bytes.clone());
            }
            if let Ok(row) = codec::from_bytes::<SegmentRow>(&bytes) {
                prop_assert_eq!(codec::to_bytes(&row).unwrap(), bytes);
            }
        }
    }
}
