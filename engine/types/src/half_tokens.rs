//! Multi-vectors as they are stored: tokens of 16-bit floating-point numbers.

use crate::multi_vector::{check_counts, check_dims, check_grid};
use crate::{MultiVector, MultiVectorError, PatchGrid};

/// Set in the flags of a header whose grid is known.
const HAS_GRID: u8 = 1;

/// The exponent bits of a half; all of them are set in what is not finite.
const EXPONENT: u16 = 0x7c00;

/// What stands before the tokens of a stored multi-vector.
///
/// ```text
/// ┌────────────┬──────────┬──────────┬───────────┬──────────┬──────┐
/// │ tokens u16 │ dims u16 │ flags u8 │ height u8 │ width u8 │ 0 u8 │   flags: 1 where the grid is known
/// └────────────┴──────────┴──────────┴───────────┴──────────┴──────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokensHeader {
    tokens: u16,
    dims: u16,
    grid: Option<PatchGrid>,
}

/// A stored multi-vector where it lies: in a file, or in [`HalfTokens`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokensView<'a> {
    header: TokensHeader,
    halves: &'a [u16],
}

/// A stored multi-vector: the bits of its components as halves, which are finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfTokens {
    header: TokensHeader,
    halves: Vec<u16>,
}

impl TokensHeader {
    /// The bytes of a header.
    pub const BYTES: usize = 8;

    /// States what follows.
    ///
    /// # Errors
    ///
    /// [`MultiVectorError`] for counts out of range, or a grid of other than `tokens` patches.
    pub fn new(
        tokens: usize,
        dims: usize,
        grid: Option<PatchGrid>,
    ) -> Result<Self, MultiVectorError> {
        check_dims(dims)?;
        check_counts(tokens, dims)?;
        grid.map_or(Ok(()), |grid| check_grid(grid, tokens))?;
        // Both limits are below 2^16.
        Ok(Self { tokens: tokens as u16, dims: dims as u16, grid })
    }

    /// Returns how many tokens follow.
    #[must_use]
    pub fn tokens(self) -> usize {
        usize::from(self.tokens)
    }

    /// Returns the components of each.
    #[must_use]
    pub fn dims(self) -> usize {
        usize::from(self.dims)
    }

    /// Returns the components of all.
    #[must_use]
    pub fn components(self) -> usize {
        self.tokens() * self.dims()
    }

    /// Returns the bytes of the picture above.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let [a, b] = self.tokens.to_le_bytes();
        let [c, d] = self.dims.to_le_bytes();
        let (flags, grid) = match self.grid {
            Some(grid) => (HAS_GRID, grid.into()),
            None => (0, [0; 2]),
        };
        [a, b, c, d, flags, grid[0], grid[1], 0]
    }

    /// Reads the bytes of the picture above.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words.
    pub fn from_bytes([a, b, c, d, flags, height, width, zero]: [u8; 8]) -> Result<Self, String> {
        let grid = match (flags, [height, width], zero) {
            (HAS_GRID, _, 0) => Some(PatchGrid { height, width }),
            (0, [0, 0], 0) => None,
            _ => return Err(format!("flags {flags} of a multi-vector are unknown")),
        };
        let (tokens, dims) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        Self::new(tokens.into(), dims.into(), grid).map_err(|error| error.to_string())
    }
}

impl<'a> TokensView<'a> {
    /// Takes the tokens that a header states.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words: another number of components, or one that is not finite.
    pub fn new(header: TokensHeader, halves: &'a [u16]) -> Result<Self, String> {
        let (expected, actual) = (header.components(), halves.len());
        if actual != expected {
            return Err(format!("{actual} components of {expected}"));
        }
        let finite = halves.iter().fold(true, |all, half| all & (half & EXPONENT != EXPONENT));
        if !finite {
            let at = halves.iter().position(|half| half & EXPONENT == EXPONENT);
            return Err(format!("component {} is not finite", at.unwrap_or_default()));
        }
        Ok(Self { header, halves })
    }

    /// Returns what stands before the tokens.
    #[must_use]
    pub fn header(self) -> TokensHeader {
        self.header
    }

    /// Returns the bits of all components, one token after another.
    #[must_use]
    pub fn halves(self) -> &'a [u16] {
        self.halves
    }

    /// Returns the tokens.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u16]> {
        self.halves.chunks_exact(self.header.dims())
    }

    /// Returns where the tokens lie in their image, if that was stated.
    #[must_use]
    pub fn grid(self) -> Option<PatchGrid> {
        self.header.grid
    }

    /// Returns the multi-vector whose components are the halves; `widen` says which number a half is.
    #[must_use]
    pub fn widened(self, widen: impl Fn(u16) -> f32) -> MultiVector {
        let values = self.halves.iter().map(|&half| widen(half)).collect();
        MultiVector::trusted(self.header.dims(), values, self.header.grid)
    }
}

impl HalfTokens {
    /// Takes the tokens that a header states.
    ///
    /// # Errors
    ///
    /// As [`TokensView::new`].
    pub fn new(header: TokensHeader, halves: Vec<u16>) -> Result<Self, String> {
        TokensView::new(header, &halves)?;
        Ok(Self { header, halves })
    }

    /// Rounds the components of a multi-vector; `round` gives the bits of a finite half for any finite
    /// number.
    #[must_use]
    pub fn rounded(vector: &MultiVector, round: impl Fn(f32) -> u16) -> Self {
        let (tokens, dims) = (vector.tokens() as u16, vector.dims() as u16);
        let header = TokensHeader { tokens, dims, grid: vector.grid() };
        let halves: Vec<u16> = vector.values().iter().map(|&value| round(value)).collect();
        debug_assert!(TokensView::new(header, &halves).is_ok(), "rounded to what is not finite");
        Self { header, halves }
    }

    /// Returns the tokens without owning them.
    #[must_use]
    pub fn view(&self) -> TokensView<'_> {
        TokensView { header: self.header, halves: &self.halves }
    }

    /// Returns about how much memory they take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.halves[..])
    }
}

impl From<TokensView<'_>> for HalfTokens {
    fn from(view: TokensView<'_>) -> Self {
        Self { header: view.header, halves: view.halves.to_vec() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_finite_or_not_there_is_refused() {
        let header = TokensHeader::new(2, 2, None).unwrap();
        let new = |halves: &[u16]| TokensView::new(header, halves).map(|view| view.halves.len());
        assert_eq!(new(&[0, 0x3c00, 0x7bff, 0x8000]), Ok(4));
        assert_eq!(new(&[0; 3]).unwrap_err(), "3 components of 4");
        for special in [0x7c00, 0xfc00, 0x7e01] {
            let error = new(&[0, 0, special, 0]).unwrap_err();
            assert_eq!(error, "component 2 is not finite");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(bytes: [u8; 8], small in 0..9_u8) {
            let patches = [small, 0, bytes[2] % 8, 0, bytes[4] % 2, bytes[5] % 9, 1, 0];
            for bytes in [bytes, patches] {
                if let Ok(header) = TokensHeader::from_bytes(bytes) {
                    prop_assert_eq!(header.to_bytes(), bytes);
                }
            }
        }
    }
}
