//! Changing a part of a point.

use bigrain_types::{Payload, SeqNo};

/// A change of payloads. Keys are those of the outermost object: what lies below one is replaced
/// or removed with it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PayloadUpdate {
    /// Sets these keys and leaves the others.
    Merge(Payload),
    /// Puts this payload in place of the old one.
    Overwrite(Payload),
    /// Removes these keys, where they are.
    Remove(Vec<String>),
    /// Removes every key.
    Clear,
}

impl PayloadUpdate {
    /// Returns a payload with the change made.
    #[must_use]
    pub fn apply(&self, mut payload: Payload) -> Payload {
        match self {
            Self::Merge(new) => payload.merge(new),
            Self::Overwrite(new) => payload = new.clone(),
            Self::Remove(keys) => keys.iter().for_each(|key| payload.remove(key)),
            Self::Clear => payload = Payload::new(),
        }
        payload
    }
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UpdateOutput {
    /// The number of the committed write; of the last one before, if nothing was there to change.
    pub seq: SeqNo,
    /// Points that were changed.
    pub updated: u64,
    /// Points that do not exist.
    pub missing: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_does_what_it_says() {
        let payload = Payload::new().with("a", 1).with("b", 2);
        let apply = |update: PayloadUpdate| update.apply(payload.clone());
        let new = Payload::new().with("b", 3).with("c", 4);
        let merged = Payload::new().with("a", 1).with("b", 3).with("c", 4);
        assert_eq!(apply(PayloadUpdate::Merge(new.clone())), merged);
        assert_eq!(apply(PayloadUpdate::Overwrite(new.clone())), new);
        let keys = vec!["a".to_owned(), "x".to_owned()];
        assert_eq!(apply(PayloadUpdate::Remove(keys)), Payload::new().with("b", 2));
        assert!(apply(PayloadUpdate::Clear).is_empty());
    }
}
