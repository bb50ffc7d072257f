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

    /// Replaces the type of every token.
    #[cfg(test)]
    pub(crate) fn with_types(mut self, types: Vec<u32>) -> Self {
        assert_eq!(types.len(), self.ids.len());
        self.types = types;
        self
    }

    /// Tokens of all texts.
    pub(crate) fn tokens(&self) -> usize {
        self.ids.len()
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
        let batch = PackedBatch::new([&[7, 8, 9][..], &[], &[5]]).with_types(vec![0, 0, 1, 0]);
        assert_eq!(batch.bounds(), [0, 3, 4]);
        let tokens: Vec<_> = batch.iter().collect();
        assert_eq!(tokens, [(7, 0, 0), (8, 0, 1), (9, 1, 2), (5, 0, 0)]);
    }
}
