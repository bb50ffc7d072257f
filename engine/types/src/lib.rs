//! Values shared by every bigrain crate: ids, payloads, metrics, search parameters.
//!
//! Values, not behaviour: nothing here reads a file, computes a distance or knows a collection.
//! A check happens once, in a constructor, and leaves a type that proves it.

mod cancel;
mod dense_format;
mod device_choice;
mod device_error;
mod diversity;
pub mod filter;
mod half_tokens;
mod language;
mod metric;
mod multi_vector;
mod offset;
mod payload;
mod point_id;
mod search;
mod space;
mod sparse;
mod sparse_view;
mod text_field;
mod vector;
mod verify_io;

pub use cancel::{Cancel, Cancelled};
pub use dense_format::DenseFormat;
pub use device_choice::{DeviceChoice, UnknownDevice};
pub use device_error::DeviceError;
pub use diversity::{Diversity, MAX_DIVERSITY_DEPTH};
pub use filter::{Filter, FilterError};
pub use half_tokens::{HalfTokens, TokensHeader, TokensView};
pub use language::{Language, LanguageError};
pub use metric::Metric;
pub use multi_vector::{
    MAX_TOKEN_COMPONENT, MAX_TOKEN_COMPONENTS, MAX_TOKEN_DIMS, MAX_TOKENS, MultiVector,
    MultiVectorError, PatchGrid,
};
pub use offset::{FieldId, Levels, LevelsError, Offset, SegmentId, SeqNo};
pub use payload::{MAX_PAYLOAD_BYTES, MAX_PAYLOAD_DEPTH, Payload, PayloadError};
pub use point_id::{MAX_POINT_ID_BYTES, PointId, PointIdError};
pub use search::{
    DEFAULT_LIMIT, DEFAULT_TARGET_RECALL, MAX_LIMIT, MAX_OVERSAMPLING, SearchParams,
    SearchParamsError, SearchStats, StageTimes,
};
pub use space::{CodeSpaceId, EmbeddingSpaceId, SpaceIdError};
pub use sparse::{MAX_SPARSE_COMPONENTS, SparseVector, SparseVectorError};
pub use sparse_view::SparseView;
pub use text_field::{TextField, TextFieldError};
pub use vector::{MAX_DIMS, VectorError, normalize, validate_vector};
pub use verify_io::VerifyIo;
