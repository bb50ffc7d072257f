//! The text tower.

use pulp::Arch;

use super::config::ClipTextConfig;
use super::names::Names;
use super::transformer::{Transformer, TransformerScratch};
use crate::batch::{PackedBatch, Sharing};
use crate::nn::AlignedBuffer;
use crate::weights::{Tensors, WeightsError};

/// Which rows of a text are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextRows {
    /// The one at the end of the text: of the first token with the largest id, which the end has in
    /// every vocabulary.
    End,
    /// One a token.
    All,
}

/// A causal transformer over tokens, to before its last layer norm.
#[derive(Debug)]
pub(super) struct TextTower {
    width: usize,
    words: Vec<f32>,
    positions: Vec<f32>,
    transformer: Transformer,
}

/// Memory of one forward pass, to be used again.
#[derive(Debug, Default)]
pub(super) struct TextScratch {
    x: AlignedBuffer,
    transformer: TransformerScratch,
}

impl TextTower {
    /// Packs the tensors, which were checked.
    pub(super) fn build(
        arch: Arch,
        tensors: &Tensors<'_>,
        names: &Names,
        config: &ClipTextConfig,
    ) -> Result<Self, WeightsError> {
        let blocks = (names.text_blocks, names.block);
        Ok(Self {
            width: config.tower.width,
            words: tensors.read(names.words)?,
            positions: tensors.read(names.text_positions)?,
            transformer: Transformer::build(arch, tensors, blocks, &config.tower, true)?,
        })
    }

    /// Returns the wanted rows of texts, one text after the other: `[rows, width]`. Ids and lengths
    /// are within the tables; the tokenizer's limits see to it.
    pub(super) fn forward<'a>(
        &self,
        batch: &PackedBatch,
        wanted: TextRows,
        sharing: Sharing,
        scratch: &'a mut TextScratch,
    ) -> &'a [f32] {
        let width = self.width;
        let x = scratch.x.grow(batch.tokens() * width);
        for ((id, _, position), out) in batch.iter().zip(x.chunks_exact_mut(width)) {
            let word = &self.words[id as usize * width..][..width];
            let position = &self.positions[position * width..][..width];
            for ((out, word), position) in out.iter_mut().zip(word).zip(position) {
                *out = word + position;
            }
        }
        let wanted: Vec<usize> = match wanted {
            TextRows::End => ends(batch),
            TextRows::All => (0..batch.tokens()).collect(),
        };
        self.transformer.forward(x, batch.bounds(), &wanted, sharing, &mut scratch.transformer)
    }
}

/// The first token with the largest id, of each text.
fn ends(batch: &PackedBatch) -> Vec<usize> {
    let ids: Vec<u32> = batch.iter().map(|(id, _, _)| id).collect();
    let texts = batch.bounds().windows(2);
    texts
        .map(|text| {
            let later = |end: usize, token: usize| if ids[token] > ids[end] { token } else { end };
            (text[0]..text[1]).fold(text[0], later)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_first_largest_id() {
        let batch = PackedBatch::new([&[7, 9, 3, 9][..], &[9], &[1, 2, 3]]);
        assert_eq!(ends(&batch), [1, 4, 7]);
    }
}
