//! Code of a folder: found, indexed by blocks, and made into questions that measure how well.
//!
//! | file | is |
//! |---|---|
//! | `files.rs` | the source files of a folder, without those that `.gitignore` names |
//! | `points.rs` | a block and what is stored with it |
//! | `index.rs` | files become points; what is stored already is passed over |
//! | `hits.rs` | what was found, as file and line with the block |
//! | `blocks.rs` | functions, cut into blocks and encoded |
//! | `pairs.rs` | comments and docstrings, and the functions they were taken out of |
//! | `docstrings.rs` | what functions are documented as, and the functions without that |

mod blocks;
mod docstrings;
mod files;
mod hits;
mod index;
mod pairs;
mod points;

pub use blocks::encode_functions;
pub use docstrings::{DocstringOptions, DocstringPair, docstring_pairs};
pub use files::{CodeFile, CodeFiles, MAX_FILE_BYTES, read_code};
pub use hits::{groups_json, write_groups};
pub use index::{CodeReport, Index};
pub use pairs::{CodePair, PairOptions, QueryKind, code_pairs};
pub use points::{GROUP_FIELD, MAX_TEXT_BYTES, without_tests};

/// The collection of code, if none is named.
pub const DEFAULT_COLLECTION: &str = "code";
