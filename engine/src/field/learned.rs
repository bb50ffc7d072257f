//! A binarizer that a field was given: what training made, in place of the rotation.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bigrain_binarize::{Binarizer, Champion, Crossing, Recurrent, Translation};
use bigrain_types::CodeSpaceId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// A learned binarizer: the contents of a file that `bigrain train binarizer` wrote. Cheap to clone.
///
/// A field keeps it in its collection's row of the manifest (as base64), so that backups and copies have
/// it too: some megabytes.
#[derive(Clone)]
pub struct LearnedBinarizer(Arc<Recurrent>);

impl LearnedBinarizer {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for bytes that are no learned binarizer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let read = Recurrent::from_bytes(bytes);
        read.map(Self::from).map_err(|error| Error::invalid(error.to_string()))
    }

    /// Returns the bytes of its file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    /// Returns the components of the vectors it takes.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.0.dims()
    }

    /// Returns the bits per dimension of its codes.
    #[must_use]
    pub fn levels(&self) -> bigrain_types::Levels {
        self.0.layout().levels()
    }

    /// Returns the space of its codes.
    #[must_use]
    pub fn id(&self) -> CodeSpaceId {
        self.0.id()
    }

    /// Returns how it compares with the rotation.
    #[must_use]
    pub fn champion(&self) -> Champion {
        self.0.parts().provenance.champion
    }

    /// Returns the code space of the version before it whose codes its queries may be compared with, if it was
    /// trained for that.
    #[must_use]
    pub fn parent(&self) -> Option<CodeSpaceId> {
        self.0.parts().provenance.parent.as_ref().map(|parent| parent.space)
    }

    /// Returns the components of the vectors that its parent takes, where that is of another encoder.
    #[must_use]
    pub fn parent_dims(&self) -> Option<usize> {
        self.translation().map(|translation| translation.dims)
    }

    /// Returns how its queries are compared with vectors of its parent's encoder, where that is another one.
    pub(crate) fn translation(&self) -> Option<&Translation> {
        self.0.parts().provenance.parent.as_ref()?.translation.as_ref()
    }

    /// Returns how queries of this version are compared with codes of another; nothing unless training has
    /// declared that one its parent.
    pub(super) fn crossing(&self, codes: &Self) -> Option<Crossing> {
        Crossing::declared(&self.0, &codes.0)
    }

    pub(super) fn binarizer(&self) -> Binarizer {
        Binarizer::new_recurrent(Arc::clone(&self.0))
    }
}

impl From<Recurrent> for LearnedBinarizer {
    fn from(recurrent: Recurrent) -> Self {
        Self(Arc::new(recurrent))
    }
}

impl PartialEq for LearnedBinarizer {
    fn eq(&self, other: &Self) -> bool {
        // The id stands for all weights, those that are absent and those that are zero alike.
        let (ours, theirs) = (self.0.parts(), other.0.parts());
        self.id() == other.id()
            && ours.scoring == theirs.scoring
            && ours.provenance == theirs.provenance
    }
}

// Its numbers are finite.
impl Eq for LearnedBinarizer {}

impl fmt::Debug for LearnedBinarizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LearnedBinarizer").field(&self.id()).finish()
    }
}

impl Serialize for LearnedBinarizer {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for LearnedBinarizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        Recurrent::from_bytes(&bytes).map(Self::from).map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[path = "learned_tests.rs"]
mod tests;
