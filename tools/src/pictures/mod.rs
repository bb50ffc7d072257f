//! Folders of pictures: finding them and their captions, indexing them, showing what was found.
//!
//! # Adding a place where pictures are
//!
//! 1. A file beside `shards.rs` and `wit.rs` that lists its pictures as [`PictureFile`]s.
//! 2. If their bytes are not to be read as a file or a part of one, a variant of [`PictureSource`].
//! 3. The choice of it in [`PictureFiles::list`].

mod captions;
mod files;
mod heat;
mod index;
mod model;
mod page;
mod shards;
mod source;
mod tags;
mod wit;

pub use captions::{Caption, CaptionSource};
pub use files::{PictureFile, PictureFiles};
pub use heat::{heat_map, heat_maps};
pub use index::{PictureIndex, PictureReport};
pub use model::{DEFAULT_IMAGE_MODEL, PictureModel};
pub use page::{Page, PagePicture};
pub use source::{PartCoding, PictureSource};
pub use tags::Tagger;

/// The collection that pictures go to where none is named.
pub const DEFAULT_COLLECTION: &str = "pictures";
