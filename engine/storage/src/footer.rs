//! The last 32 bytes of every block file: what it is, how long it is, and whether to believe it.
//!
//! ```text
//!  0         8        12         16       20         24        32
//!  +---------+--------+----------+--------+----------+----------+
//!  | body    | block  | CRC32C   | format | CRC32C   | magic    |
//!  | length  | size   | of the   | version| of this  | number   |
//!  | u64     | u32    | table u32| u32    | footer   | 8 bytes  |
//!  +---------+--------+----------+--------+----------+----------+
//! ```
//!
//! All integers are little-endian. The footer's checksum covers its other 28 bytes. This form
//! holds for every version of every kind, so that a future file is told from a damaged one.

use thiserror::Error;

use crate::format::{FileKind, written_by};

/// Bytes of a footer.
pub(crate) const FOOTER_BYTES: usize = 32;

/// Bytes covered by one checksum.
pub(crate) const BLOCK_SIZE: u32 = 4096;

/// What the footer of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub kind: FileKind,
    pub body_bytes: u64,
    pub table_crc: u32,
}

/// Bytes that are not the footer of a file this program can read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FooterError {
    /// The file ends in another magic number.
    #[error("expected a file of {expected}, found {found}")]
    Kind {
        /// The kind that was asked for.
        expected: &'static str,
        /// The kind that the magic number stands for, or the number itself.
        found: String,
    },
    /// The footer's checksum does not match.
    #[error("footer is damaged: stored checksum {expected:08x}, computed {actual:08x}")]
    Checksum {
        /// What the footer says.
        expected: u32,
        /// What its bytes give.
        actual: u32,
    },
    /// The file was written by a program with another format.
    #[error(
        "{kind} file has format version {found}, this program reads version {supported}{}",
        written_by(*found, *supported)
    )]
    Version {
        /// The kind of file.
        kind: &'static str,
        /// The file's version.
        found: u32,
        /// The version this program reads.
        supported: u32,
    },
    /// The footer names a block size that no version has.
    #[error("block size is {found}, expected {BLOCK_SIZE}")]
    BlockSize {
        /// The file's block size.
        found: u32,
    },
}

impl Footer {
    pub fn to_bytes(self) -> [u8; FOOTER_BYTES] {
        self.to_bytes_of_version(self.kind.version())
    }

    fn to_bytes_of_version(self, version: u32) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[0..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[8..12].copy_from_slice(&BLOCK_SIZE.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.table_crc.to_le_bytes());
        bytes[16..20].copy_from_slice(&version.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.kind.magic());
        let crc = footer_crc(&bytes);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a footer and refuses what this program cannot read.
    ///
    /// The magic number comes first, so that another kind of file is called by its name; the
    /// checksum comes before the version, so that a damaged version is not taken for a future one.
    pub fn from_bytes(bytes: &[u8; FOOTER_BYTES], expected: FileKind) -> Result<Self, FooterError> {
        let magic = magic_of(bytes);
        if magic != expected.magic() {
            let found = FileKind::from_magic(magic)
                .map_or_else(|| format!("\"{}\"", magic.escape_ascii()), |k| k.name().to_owned());
            return Err(FooterError::Kind { expected: expected.name(), found });
        }
        let (stored, actual) = (stored_crc(bytes), footer_crc(bytes));
        if stored != actual {
            return Err(FooterError::Checksum { expected: stored, actual });
        }
        let version = u32_at(bytes, 16);
        if version != expected.version() {
            let (kind, supported) = (expected.name(), expected.version());
            return Err(FooterError::Version { kind, found: version, supported });
        }
        let block_size = u32_at(bytes, 8);
        if block_size != BLOCK_SIZE {
            return Err(FooterError::BlockSize { found: block_size });
        }
        let body_bytes = u64::from(u32_at(bytes, 0)) | (u64::from(u32_at(bytes, 4)) << 32);
        Ok(Self { kind: expected, body_bytes, table_crc: u32_at(bytes, 12) })
    }
}

/// Returns the checksum that a footer states about itself.
///
/// It covers the table's checksum, which covers the blocks', which cover the body: two files with
/// the same length and this number hold the same bytes.
pub(crate) fn stored_crc(bytes: &[u8; FOOTER_BYTES]) -> u32 {
    u32_at(bytes, 20)
}

/// Returns the checksum of a footer's bytes.
pub(crate) fn footer_crc(bytes: &[u8; FOOTER_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..20]), &bytes[24..])
}

fn magic_of(bytes: &[u8; FOOTER_BYTES]) -> [u8; 8] {
    let mut magic = [0; 8];
    magic.copy_from_slice(&bytes[24..]);
    magic
}

fn u32_at(bytes: &[u8; FOOTER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn footer() -> Footer {
        Footer { kind: FileKind::Dense, body_bytes: 0x0102_0304_0506, table_crc: 0xdead_beef }
    }

    #[test]
    fn bytes_are_what_they_were() {
        let bytes = footer().to_bytes();
        let golden = [
            6, 5, 4, 3, 2, 1, 0, 0, // body length
            0, 16, 0, 0, // block size
            0xef, 0xbe, 0xad, 0xde, // checksum of the table
            1, 0, 0, 0, // version
        ];
        assert_eq!(bytes[..20], golden);
        assert_eq!(&bytes[24..], b"bgDENSE\n");
        assert_eq!(Footer::from_bytes(&bytes, FileKind::Dense), Ok(footer()));
    }

    #[test]
    fn another_kind_is_called_by_its_name() {
        let error = Footer::from_bytes(&footer().to_bytes(), FileKind::Codes).unwrap_err();
        assert_eq!(error.to_string(), "expected a file of codes, found dense");
        let mut bytes = footer().to_bytes();
        bytes[24..].copy_from_slice(b"PAR1\0\0\0\0");
        let error = Footer::from_bytes(&bytes, FileKind::Codes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected a file of codes, found \"PAR1\\x00\\x00\\x00\\x00\""
        );
    }

    #[test]
    fn an_unknown_version_names_both_and_says_which_is_newer() {
        for (version, written_by) in [(7, "a newer version"), (0, "an older version")] {
            let bytes = footer().to_bytes_of_version(version);
            let error = Footer::from_bytes(&bytes, FileKind::Dense).unwrap_err();
            let expected = format!(
                "dense file has format version {version}, this program reads version 1: it was \
                 written by {written_by}"
            );
            assert_eq!(error.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: [u8; FOOTER_BYTES]) {
            prop_assert!(Footer::from_bytes(&bytes, FileKind::Ids).is_err());
        }
    }
}
