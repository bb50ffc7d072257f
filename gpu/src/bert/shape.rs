//! What a model is like, and what it is given.

use crate::GpuError;

/// Dimensions of a head at most, as in bert.cu.
const MAX_HEAD_DIMS: usize = 128;
/// More than any published model has; kernels count dimensions in 32 bits.
const MAX_SIZE: usize = 1 << 24;
/// Queries of a tile, as in bert.cu.
const QUERY_TILE: usize = 16;

/// What happens between the two layers of a feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BertActivation {
    /// `x Φ(x)`.
    Gelu,
    /// The approximation of it by `tanh`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

impl BertActivation {
    /// Its number in bert.cu.
    pub(super) fn number(self) -> i32 {
        match self {
            Self::Gelu => 0,
            Self::GeluTanh => 1,
            Self::Relu => 2,
        }
    }
}

/// The sizes of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BertShape {
    /// Rows of the table of words.
    pub vocabulary: usize,
    /// The row of the table of positions that the first token of a text has.
    pub first_position: usize,
    /// Rows of that table from there on: the most tokens of a text.
    pub positions: usize,
    /// Rows of the table of types; 0 of a model without.
    pub types: usize,
    /// Values of a row of the tables.
    pub embedding: usize,
    /// Values of a token's row.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Values between the two layers of a feed-forward block.
    pub intermediate: usize,
    /// Added to the variance in norms.
    pub eps: f32,
    /// What happens between these layers.
    pub activation: BertActivation,
}

impl BertShape {
    /// Values of a head.
    pub(super) fn head_dims(&self) -> usize {
        self.hidden / self.heads
    }

    /// Distances that the bias of a head has a number for.
    pub(super) fn distances(&self) -> usize {
        2 * self.positions - 1
    }

    /// Refuses what no kernel takes.
    pub(super) fn check(&self) -> Result<(), GpuError> {
        let sizes = [
            ("vocabulary", self.vocabulary),
            ("positions", self.positions),
            ("embedding", self.embedding),
            ("hidden", self.hidden),
            ("layers", self.layers),
            ("heads", self.heads),
            ("intermediate", self.intermediate),
        ];
        if let Some((name, size)) = sizes.iter().find(|(_, size)| !(1..=MAX_SIZE).contains(size)) {
            return Err(GpuError::Shape(format!("{name} {size}: expected 1 to {MAX_SIZE}")));
        }
        if self.types > MAX_SIZE || self.first_position > MAX_SIZE {
            let (types, first) = (self.types, self.first_position);
            return Err(GpuError::Shape(format!("types {types}, first position {first}")));
        }
        let Self { hidden, heads, .. } = *self;
        // The second dimension of a grid.
        if !hidden.is_multiple_of(heads) || heads > 65_535 {
            return Err(GpuError::Shape(format!("{heads} heads of {hidden} values")));
        }
        if self.head_dims() > MAX_HEAD_DIMS {
            let dims = self.head_dims();
            return Err(GpuError::Shape(format!(
                "heads of {dims} dimensions: kernels take {MAX_HEAD_DIMS} at most"
            )));
        }
        Ok(())
    }
}

/// The tokens of some texts, one text after the other.
#[derive(Clone, Copy, Debug)]
pub struct BertBatch<'a> {
    /// Of each token, its row in the table of words.
    pub ids: &'a [u32],
    /// Of each token, its row in the table of types; 0 of a model without.
    pub types: &'a [u32],
    /// Where each text begins, and the end of the last.
    pub bounds: &'a [usize],
}

/// A batch as kernels take it.
pub(super) struct Packed {
    /// Rows in the tables of words, types and positions: `Token` in bert.cu.
    pub(super) tokens: Vec<[u32; 3]>,
    /// First query, first token and end: `AttentionTile` in bert.cu.
    pub(super) tiles: Vec<[u32; 3]>,
}

impl BertBatch<'_> {
    /// Checks every token against the tables of a model.
    pub(super) fn pack(&self, shape: &BertShape) -> Result<Packed, GpuError> {
        let Self { ids, types, bounds } = *self;
        let ends = (bounds.first().copied(), bounds.last().copied());
        let whole = ends == (Some(0), Some(ids.len())) && types.len() == ids.len();
        if !whole || ids.len() > MAX_SIZE {
            let (ids, types) = (ids.len(), types.len());
            return Err(GpuError::Shape(format!(
                "{ids} ids and {types} types in texts from {ends:?}, at most {MAX_SIZE}"
            )));
        }
        let kinds = shape.types.max(1) as u32;
        let outside = |(&id, &kind): (&u32, &u32)| id as usize >= shape.vocabulary || kind >= kinds;
        if let Some((id, kind)) = ids.iter().zip(types).find(|&token| outside(token)) {
            let vocabulary = shape.vocabulary;
            return Err(GpuError::Shape(format!(
                "token {id} of type {kind}: the model has {vocabulary} words and {kinds} types"
            )));
        }
        let mut packed = Packed { tokens: Vec::with_capacity(ids.len()), tiles: Vec::new() };
        for text in bounds.windows(2) {
            let length = text[1].saturating_sub(text[0]);
            if !(1..=shape.positions).contains(&length) {
                let most = shape.positions;
                return Err(GpuError::Shape(format!(
                    "a text of {length} tokens: the model takes 1 to {most}"
                )));
            }
            for (position, token) in (text[0]..text[1]).enumerate() {
                let position = (shape.first_position + position) as u32;
                packed.tokens.push([ids[token], types[token], position]);
            }
            let tile = |query| [query, text[0], text[1]].map(|at| at as u32);
            packed.tiles.extend((text[0]..text[1]).step_by(QUERY_TILE).map(tile));
        }
        Ok(packed)
    }
}
