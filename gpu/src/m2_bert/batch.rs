//! What a model is given.

use super::M2BertShape;
use super::shape::MAX_SIZE;
use crate::GpuError;

/// Which of the last rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum M2BertRows {
    /// That of the first token of each text.
    First,
    /// All.
    All,
}

/// Texts of one length, padding included, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct M2BertBatch<'a> {
    /// Of each token, its row in the table of words.
    pub ids: &'a [u32],
    /// Tokens of each text.
    pub length: usize,
    /// Which rows are wanted.
    pub wanted: M2BertRows,
}

impl M2BertBatch<'_> {
    /// How many texts there are.
    pub(super) fn texts(&self) -> usize {
        self.ids.len() / self.length.max(1)
    }

    /// Checks every token against the tables of a model; returns rows in the tables of words, types and positions:
    /// `Token` in bert.cu.
    pub(super) fn tokens(&self, shape: &M2BertShape) -> Result<Vec<[u32; 3]>, GpuError> {
        let Self { ids, length, .. } = *self;
        if !(1..=shape.positions).contains(&length) {
            let most = shape.positions;
            return Err(GpuError::Shape(format!(
                "texts of {length} tokens: the model takes 1 to {most}"
            )));
        }
        if !ids.len().is_multiple_of(length) || ids.len() > MAX_SIZE {
            let ids = ids.len();
            return Err(GpuError::Shape(format!(
                "{ids} ids in texts of {length} tokens, at most {MAX_SIZE}"
            )));
        }
        if let Some(id) = ids.iter().find(|&&id| id as usize >= shape.vocabulary) {
            let vocabulary = shape.vocabulary;
            return Err(GpuError::Shape(format!("token {id}: the model has {vocabulary} words")));
        }
        let token = |(at, &id): (usize, &u32)| [id, 0, (at % length) as u32];
        Ok(ids.iter().enumerate().map(token).collect())
    }
}
