//! The tokens of several texts, one after the other.
//!
//! ```text
//! ids     [CLS] a b [SEP] [CLS] c [SEP]
//! bounds  0               4             7
//! ```

/// Token ids of several texts, without padding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PackedBatch {
    ids: Vec<u32>,
    types: Vec<u32>,
    bounds: Vec<usize>,
}

impl PackedBatch {
    /// Packs texts of type 0; a text without tokens is left out.
    pub(crate) fn new<'a>(texts: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut batch = Self { bounds: vec![0], ..Self::default() };
        for text in texts.into_iter().filter(|text| !text.is_empty()) {
            batch.ids.extend_from_slice(text);
            batch.bounds.push(batch.ids.len());
        }
        batch.types = vec![0; batch.ids.len()];
        batch
    }

    /// Packs texts that come with the type of each of their tokens.
    pub(crate) fn with_types<'a>(texts: impl IntoIterator<Item = (&'a [u32], &'a [u32])>) -> Self {
        let mut types = Vec::new();
        let texts = texts.into_iter().map(|(ids, kinds)| {
            debug_assert_eq!(ids.len(), kinds.len());
            types.extend_from_slice(kinds);
            ids
        });
        let batch = Self::new(texts);
        Self { types, ..batch }
    }

    /// Tokens of all texts.
    pub(crate) fn tokens(&self) -> usize {
        self.ids.len()
    }

    /// The id of each token.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The type of each token.
    pub(crate) fn types(&self) -> &[u32] {
        &self.types
    }

    /// Where each text starts, and the end of the last.
    pub(crate) fn bounds(&self) -> &[usize] {
        &self.bounds
    }

    /// Id, type and position within its text of each token.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32, usize)> {
        let positions = self.bounds.windows(2).flat_map(|text| 0..text[1] - text[0]);
        self.ids.iter().zip(&self.types).zip(positions).map(|((&id, &kind), at)| (id, kind, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_restart_with_each_text() {
        let texts = [(&[7, 8, 9][..], &[0, 0, 1][..]), (&[], &[]), (&[5], &[0])];
        let batch = PackedBatch::with_types(texts);
        assert_eq!(batch.bounds(), [0, 3, 4]);
        let tokens: Vec<_> = batch.iter().collect();
        assert_eq!(tokens, [(7, 0, 0), (8, 0, 1), (9, 1, 2), (5, 0, 0)]);
    }
}
