//! Folders of pictures: finding them and their captions, indexing them, showing what was found.

mod captions;
mod files;
mod heat;
mod index;
mod model;
mod page;

pub use captions::{Caption, CaptionSource};
pub use files::{PictureFile, PictureFiles};
pub use heat::heat_maps;
pub use index::{PictureIndex, PictureReport};
pub use model::{DEFAULT_IMAGE_MODEL, PictureModel};
pub use page::{Page, PagePicture};

/// The collection that pictures go to where none is named.
pub const DEFAULT_COLLECTION: &str = "pictures";
