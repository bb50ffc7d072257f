//! Every magic number, format version and file name, in one list.
//!
//! Adding a file to a segment: add a variant to [`FileKind`] with its magic number, version and
//! name, draw its body in `docs/formats.md`, then write its writer and its reader.

#[cfg(not(target_endian = "little"))]
compile_error!("bigrain reads little-endian files in place, so it needs a little-endian machine");

/// The version of keys and values in the store. From 3 on, the row of a collection says its own.
pub const STORE_VERSION: u32 = 3;

/// The oldest version that is read. A store of it gets [`STORE_VERSION`] when it is opened to be
/// written, so that older programs refuse by name what they would take for damage.
pub const OLDEST_STORE_VERSION: u32 = 2;

/// The folder of RocksDB inside a data folder.
pub(crate) const STORE_FOLDER: &str = "store";
/// The file inside a data folder whose lock keeps a second process out.
pub(crate) const LOCK_FILE: &str = "LOCK";
/// The file inside a data folder that sets room aside for a full disk.
pub(crate) const RESERVE_FILE: &str = "RESERVE";
/// What a file is called until it is complete: its name with this at the end.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Says which of two versions is the newer one, to be put behind them in a message.
pub(crate) fn written_by(found: u32, supported: u32) -> &'static str {
    if found > supported {
        ": it was written by a newer version"
    } else {
        ": it was written by an older version"
    }
}

/// What a block file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// Codes and factors of one vector field.
    Codes,
    /// Where each list of one vector field begins, and its centroid.
    Lists,
    /// Codes of the centroids of one vector field.
    Centroids,
    /// Dense rows of one vector field.
    Dense,
    /// Where the vectors of one field lie, if they do not lie in the segment's order: both ways.
    Order,
    /// The point ids of a segment, both ways.
    Ids,
    /// Which rows of a segment have which payload values: the files of a tantivy index.
    Lexical,
    /// Inverted lists and rows of one sparse vector field.
    Sparse,
    /// Tokens of one multi-vector field.
    Tokens,
    /// Merged tokens of one multi-vector field as codes, and lists of them.
    Sketches,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Codes,
        Self::Lists,
        Self::Centroids,
        Self::Dense,
        Self::Order,
        Self::Ids,
        Self::Lexical,
        Self::Sparse,
        Self::Tokens,
        Self::Sketches,
    ];

    /// Returns the last eight bytes of a file of this kind.
    #[must_use]
    pub fn magic(self) -> [u8; 8] {
        *match self {
            Self::Codes => b"bgCODES\n",
            Self::Lists => b"bgLISTS\n",
            Self::Centroids => b"bgCENTR\n",
            Self::Dense => b"bgDENSE\n",
            Self::Order => b"bgORDER\n",
            Self::Ids => b"bgIDS.V\n",
            Self::Lexical => b"bgLEXIC\n",
            Self::Sparse => b"bgSPARS\n",
            Self::Tokens => b"bgTOKEN\n",
            Self::Sketches => b"bgSKETC\n",
        }
    }

    /// Returns the format version that this program writes, and the only one it reads.
    #[must_use]
    pub fn version(self) -> u32 {
        match self {
            Self::Codes => 2,
            Self::Lists
            | Self::Centroids
            | Self::Dense
            | Self::Order
            | Self::Ids
            | Self::Lexical
            | Self::Sparse
            | Self::Tokens
            | Self::Sketches => 1,
        }
    }

    /// Returns the name of the file within its segment's folder. Ids and the lexical index belong to
    /// no field.
    #[must_use]
    pub fn file_name(self, field: &str) -> String {
        match self {
            Self::Codes => format!("codes.{field}"),
            Self::Lists => format!("lists.{field}"),
            Self::Centroids => format!("centroids.{field}"),
            Self::Dense => format!("dense.{field}"),
            Self::Order => format!("order.{field}"),
            Self::Ids => "ids".to_owned(),
            Self::Lexical => "lexical".to_owned(),
            Self::Sparse => format!("sparse.{field}"),
            Self::Tokens => format!("tokens.{field}"),
            Self::Sketches => format!("sketches.{field}"),
        }
    }

    /// Returns the kind that a magic number stands for.
    #[must_use]
    pub fn from_magic(magic: [u8; 8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.magic() == magic)
    }

    /// Returns the kind's name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Codes => "codes",
            Self::Lists => "lists",
            Self::Centroids => "centroids",
            Self::Dense => "dense",
            Self::Order => "order",
            Self::Ids => "ids",
            Self::Lexical => "lexical",
            Self::Sparse => "sparse",
            Self::Tokens => "tokens",
            Self::Sketches => "sketches",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_numbers_tell_kinds_apart() {
        for kind in FileKind::ALL {
            assert_eq!(FileKind::from_magic(kind.magic()), Some(kind));
        }
        assert_eq!(FileKind::from_magic(*b"PAR1PAR1"), None);
    }

    #[test]
    fn names_carry_the_field() {
        assert_eq!(FileKind::Codes.file_name("text"), "codes.text");
        assert_eq!(FileKind::Dense.file_name("text"), "dense.text");
        assert_eq!(FileKind::Ids.file_name("text"), "ids");
    }
}
