//! Paths as the beginnings of terms.

use bigrain_types::filter::Step;

use super::{Tag, hash_of};

/// The longest path, in the bytes of terms, that is not hashed.
pub const MAX_PATH_BYTES: usize = 256;

const END: u8 = 0xff;
const END_OF_NAME: u8 = 0xfe;
const ELEMENTS: u8 = 0xfd;
const HASHED: u8 = 0xfc;

/// The steps to a value, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathKey(Vec<u8>);

impl PathKey {
    /// Returns the path one step further.
    #[must_use]
    pub fn then(&self, step: &Step) -> Self {
        match step {
            Step::Member(name) => self.member(name),
            Step::Elements => self.elements(),
        }
    }

    /// Returns the path to a member.
    #[must_use]
    pub fn member(&self, name: &str) -> Self {
        Self([&self.0[..], name.as_bytes(), &[END_OF_NAME]].concat())
    }

    /// Returns the path to the elements of an array.
    #[must_use]
    pub fn elements(&self) -> Self {
        Self([&self.0[..], &[ELEMENTS]].concat())
    }

    /// Returns the beginning of the terms of this path and a tag.
    #[must_use]
    pub fn prefix(&self, tag: Tag) -> Vec<u8> {
        let mut prefix = Vec::with_capacity(self.0.len() + 2);
        if self.0.len() <= MAX_PATH_BYTES {
            prefix.extend_from_slice(&self.0);
        } else {
            prefix.push(HASHED);
            prefix.extend_from_slice(&hash_of(&self.0));
        }
        prefix.extend_from_slice(&[END, tag as u8]);
        prefix
    }
}
