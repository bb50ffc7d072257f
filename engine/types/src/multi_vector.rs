//! Multi-vectors: one vector for each token of a text or each patch of an image.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most tokens of one multi-vector.
pub const MAX_TOKENS: usize = 8192;

/// The most dimensions of a token.
pub const MAX_TOKEN_DIMS: usize = 4096;

/// The most components of all tokens of one multi-vector together: 8 MiB of halves.
pub const MAX_TOKEN_COMPONENTS: usize = 1 << 22;

/// The largest magnitude of a component: what a half reaches to.
pub const MAX_TOKEN_COMPONENT: f32 = 65_504.0;

/// A multi-vector that is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum MultiVectorError {
    /// There is no token.
    #[error("multi-vector has no tokens")]
    Empty,
    /// Too many tokens.
    #[error("multi-vector has {actual} tokens, at most {MAX_TOKENS} are stored")]
    TooMany {
        /// How many there are.
        actual: usize,
    },
    /// No dimensions, or too many.
    #[error("tokens of {actual} dimensions: expected 1 to {MAX_TOKEN_DIMS}")]
    Dims {
        /// How many there are.
        actual: usize,
    },
    /// Too many components.
    #[error("multi-vector has {actual} components, at most {MAX_TOKEN_COMPONENTS} are stored")]
    TooLarge {
        /// How many there are.
        actual: usize,
    },
    /// The tokens differ in length.
    #[error("token {token} has {actual} components, expected {expected}")]
    Ragged {
        /// Which token.
        token: usize,
        /// How many components it has.
        actual: usize,
        /// How many the tokens before it have.
        expected: usize,
    },
    /// A component is NaN or infinite.
    #[error("token {token} has {value} at component {position}: every component must be finite")]
    NotFinite {
        /// Which token.
        token: usize,
        /// Which of its components.
        position: usize,
        /// What it holds.
        value: f32,
    },
    /// The grid of patches does not have as many cells as there are tokens.
    #[error("a grid of {height} by {width} patches does not have {tokens} tokens")]
    Grid {
        /// Rows of patches.
        height: u8,
        /// Columns of patches.
        width: u8,
        /// How many tokens there are.
        tokens: usize,
    },
}

/// Where the tokens of an image lie: in rows of patches, from the upper left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u8; 2]", into = "[u8; 2]")]
pub struct PatchGrid {
    /// Rows of patches.
    pub height: u8,
    /// Patches in each row.
    pub width: u8,
}

/// A multi-vector (a token matrix): one vector for each token of a text or patch of an image, all of
/// the same dimensions.
///
/// ```
/// use bigrain_types::MultiVector;
///
/// let vector = MultiVector::from_tokens(&[[0.6, 0.8], [1.0, 0.0], [0.0, 1.0]]).unwrap();
/// assert_eq!((vector.tokens(), vector.dims()), (3, 2));
/// assert_eq!(vector.token(1), [1.0, 0.0]);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct MultiVector {
    dims: usize,
    values: Vec<f32>,
    grid: Option<PatchGrid>,
}

/// How a multi-vector is written down: `[[0.6, 0.8], [1.0, 0.0]]`; with a grid of patches
/// `{"tokens": [[0.6, 0.8], [1.0, 0.0]], "grid": [1, 2]}`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Tokens(Vec<Vec<f32>>),
    Patches(Patches),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patches {
    tokens: Vec<Vec<f32>>,
    grid: PatchGrid,
}

impl MultiVector {
    /// Takes tokens of `dims` components each, one after another.
    ///
    /// # Errors
    ///
    /// [`MultiVectorError`] for no tokens or too many, dimensions out of range, a last token that is
    /// too short, and components that are not finite.
    pub fn new(dims: usize, values: Vec<f32>) -> Result<Self, MultiVectorError> {
        check_dims(dims)?;
        let (tokens, rest) = (values.len() / dims, values.len() % dims);
        if rest > 0 {
            return Err(MultiVectorError::Ragged { token: tokens, actual: rest, expected: dims });
        }
        check_counts(tokens, dims)?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (token, position, value) = (at / dims, at % dims, values[at]);
            return Err(MultiVectorError::NotFinite { token, position, value });
        }
        Ok(Self { dims, values, grid: None })
    }

    /// Takes tokens one by one.
    ///
    /// # Errors
    ///
    /// As [`MultiVector::new`], and for tokens of different lengths.
    pub fn from_tokens<T: AsRef<[f32]>>(tokens: &[T]) -> Result<Self, MultiVectorError> {
        let Some(first) = tokens.first() else { return Err(MultiVectorError::Empty) };
        let expected = first.as_ref().len();
        check_dims(expected)?;
        check_counts(tokens.len(), expected)?;
        let mut values = Vec::with_capacity(tokens.len() * expected);
        for (token, components) in tokens.iter().map(AsRef::as_ref).enumerate() {
            if components.len() != expected {
                let actual = components.len();
                return Err(MultiVectorError::Ragged { token, actual, expected });
            }
            values.extend_from_slice(components);
        }
        Self::new(expected, values)
    }

    /// Takes what was checked before.
    pub(crate) fn trusted(dims: usize, values: Vec<f32>, grid: Option<PatchGrid>) -> Self {
        debug_assert!(Self::new(dims, values.clone()).is_ok(), "not a multi-vector");
        Self { dims, values, grid }
    }

    /// States that the tokens are patches of an image.
    ///
    /// # Errors
    ///
    /// [`MultiVectorError::Grid`] unless there is one token for each patch.
    pub fn with_grid(mut self, grid: PatchGrid) -> Result<Self, MultiVectorError> {
        check_grid(grid, self.tokens())?;
        self.grid = Some(grid);
        Ok(self)
    }

    /// Returns how many tokens there are: one at least.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.values.len() / self.dims
    }

    /// Returns the components of each token.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Returns the components of all tokens, one token after another.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Returns a token.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[must_use]
    pub fn token(&self, at: usize) -> &[f32] {
        &self.values[at * self.dims..][..self.dims]
    }

    /// Returns the tokens.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dims)
    }

    /// Returns where the tokens lie in their image, if that was stated.
    #[must_use]
    pub fn grid(&self) -> Option<PatchGrid> {
        self.grid
    }

    /// Returns the components of all tokens, to be changed in place; they must stay finite.
    #[must_use]
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

/// Refuses dimensions out of range.
pub(crate) fn check_dims(dims: usize) -> Result<(), MultiVectorError> {
    if dims == 0 || dims > MAX_TOKEN_DIMS {
        return Err(MultiVectorError::Dims { actual: dims });
    }
    Ok(())
}

/// Refuses no tokens, and too many.
pub(crate) fn check_counts(tokens: usize, dims: usize) -> Result<(), MultiVectorError> {
    if tokens == 0 {
        return Err(MultiVectorError::Empty);
    }
    if tokens > MAX_TOKENS {
        return Err(MultiVectorError::TooMany { actual: tokens });
    }
    if tokens * dims > MAX_TOKEN_COMPONENTS {
        return Err(MultiVectorError::TooLarge { actual: tokens * dims });
    }
    Ok(())
}

/// Refuses a grid that does not have one patch for each token.
pub(crate) fn check_grid(grid: PatchGrid, tokens: usize) -> Result<(), MultiVectorError> {
    let PatchGrid { height, width } = grid;
    if usize::from(height) * usize::from(width) == tokens {
        return Ok(());
    }
    Err(MultiVectorError::Grid { height, width, tokens })
}

impl From<[u8; 2]> for PatchGrid {
    fn from([height, width]: [u8; 2]) -> Self {
        Self { height, width }
    }
}

impl From<PatchGrid> for [u8; 2] {
    fn from(grid: PatchGrid) -> Self {
        [grid.height, grid.width]
    }
}

impl TryFrom<Written> for MultiVector {
    type Error = MultiVectorError;

    fn try_from(written: Written) -> Result<Self, MultiVectorError> {
        match written {
            Written::Tokens(tokens) => Self::from_tokens(&tokens),
            Written::Patches(Patches { tokens, grid }) => {
                Self::from_tokens(&tokens)?.with_grid(grid)
            }
        }
    }
}

impl From<MultiVector> for Written {
    fn from(vector: MultiVector) -> Self {
        let tokens = vector.iter().map(<[f32]>::to_vec).collect();
        match vector.grid {
            None => Self::Tokens(tokens),
            Some(grid) => Self::Patches(Patches { tokens, grid }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_token() {
        let refused = |tokens: &[&[f32]]| MultiVector::from_tokens(tokens).unwrap_err().to_string();
        assert_eq!(refused(&[]), "multi-vector has no tokens");
        assert_eq!(refused(&[&[]]), "tokens of 0 dimensions: expected 1 to 4096");
        let ragged = refused(&[&[1.0, 2.0], &[1.0]]);
        assert_eq!(ragged, "token 1 has 1 components, expected 2");
        assert_eq!(
            refused(&[&[1.0, 2.0], &[1.0, f32::NAN]]),
            "token 1 has NaN at component 1: every component must be finite"
        );
        let many = MultiVector::new(1, vec![0.5; MAX_TOKENS + 1]).unwrap_err();
        assert_eq!(many.to_string(), "multi-vector has 8193 tokens, at most 8192 are stored");
        let large = MultiVector::new(4096, vec![0.5; 4096 * 1025]).unwrap_err();
        assert_eq!(large, MultiVectorError::TooLarge { actual: 4096 * 1025 });
        let two = MultiVector::new(2, vec![1.0; 4]).unwrap();
        let error = two.with_grid(PatchGrid { height: 7, width: 7 }).unwrap_err();
        assert_eq!(error.to_string(), "a grid of 7 by 7 patches does not have 2 tokens");
    }

    #[test]
    fn json_is_checked_like_everything_else() {
        let plain: MultiVector = serde_json::from_str("[[1,2],[3,4]]").unwrap();
        assert_eq!((plain.tokens(), plain.grid()), (2, None));
        assert_eq!(serde_json::to_string(&plain).unwrap(), "[[1.0,2.0],[3.0,4.0]]");
        let json = r#"{"tokens":[[1.0],[2.0]],"grid":[2,1]}"#;
        let patches: MultiVector = serde_json::from_str(json).unwrap();
        assert_eq!(patches.grid(), Some(PatchGrid { height: 2, width: 1 }));
        assert_eq!(serde_json::to_string(&patches).unwrap(), json);
        for refused in ["[]", "[[1],[1,2]]", r#"{"tokens":[[1]],"grid":[2,1]}"#, "[1, 2]"] {
            assert!(serde_json::from_str::<MultiVector>(refused).is_err(), "{refused}");
        }
    }
}
