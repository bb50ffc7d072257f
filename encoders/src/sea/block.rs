//! What a snippet is cut into, and how.

use std::borrow::Cow;
use std::ops::Range;

use thiserror::Error;

use super::pieces::pieces;
use super::reference::reference_blocks;
use super::source_file::SourceFile;
use super::span::Span;
use super::window::windows;

/// The deepest that a syntax tree is looked at.
const MAX_DEPTH: usize = 64;

/// A part of a snippet that is encoded by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// What is encoded.
    pub text: Cow<'a, str>,
    /// Which part of the file it stands for.
    pub span: Span,
}

/// How a snippet is cut into blocks. Default: syntax, windows of 32 pieces, steps of 16, and no block
/// longer than the encoder reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitOptions {
    /// Where pieces begin.
    pub pieces: PieceKind,
    /// Pieces in a block, at most; at least 1. Default: 32.
    pub window: usize,
    /// Pieces from the start of a block to that of the next; 1 to `window`. Default: 16. Where the
    /// encoder's limit makes a block shorter, the step shrinks alike.
    pub step: usize,
    /// Tokens of a block, special tokens not counted; at least 1, and no more than the encoder reads.
    /// Default: 126, some 12 lines; what is asked for is found better, and pointed at more closely, than
    /// with twice as many.
    pub max_tokens: usize,
    /// Cut as the paper's own code does, which drops what follows the last boundary, forgets the least
    /// distance of boundaries below the root, counts no tokens, and joins pieces anew. For comparisons.
    /// Default: false.
    pub reference_compat: bool,
}

/// Where the pieces of a snippet begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PieceKind {
    /// At nodes of the syntax tree: in code that does not parse, at lines.
    Syntax {
        /// How far below the snippet's root; at most 64.
        max_depth: usize,
        /// Lines by which a boundary must be past the one before it, plus one.
        min_line: usize,
    },
    /// At the leaves of the syntax tree; in code that does not parse, at words.
    Token,
    /// After white space.
    Word,
    /// At lines.
    Line,
}

/// Options that are out of range.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{name} out of range: expected {expected}, got {actual}")]
pub struct SplitOptionsError {
    name: &'static str,
    expected: String,
    actual: usize,
}

impl PieceKind {
    /// The paper's boundaries: nodes at most 4 below the root, more than 3 lines apart.
    pub const PAPER: Self = Self::Syntax { max_depth: 4, min_line: 3 };
}

impl Default for SplitOptions {
    fn default() -> Self {
        let pieces = PieceKind::PAPER;
        Self { pieces, window: 32, step: 16, max_tokens: 126, reference_compat: false }
    }
}

impl SplitOptions {
    /// Refuses numbers that mean nothing.
    ///
    /// # Errors
    ///
    /// [`SplitOptionsError`] names the number.
    pub fn validate(&self) -> Result<(), SplitOptionsError> {
        let check = |name, actual: usize, allowed: Range<usize>| {
            if allowed.contains(&actual) {
                return Ok(());
            }
            let expected = match allowed.end {
                usize::MAX => format!("at least {}", allowed.start),
                end => format!("{} to {}", allowed.start, end - 1),
            };
            Err(SplitOptionsError { name, expected, actual })
        };
        check("window", self.window, 1..usize::MAX)?;
        check("step", self.step, 1..self.window + 1)?;
        check("max tokens", self.max_tokens, 1..usize::MAX)?;
        if let PieceKind::Syntax { max_depth, .. } = self.pieces {
            check("max depth", max_depth, 0..MAX_DEPTH + 1)?;
        }
        Ok(())
    }

    /// Cuts some bytes of a file into blocks: the whole of them first, and then, if an encoder does not
    /// read all of that, windows of their pieces. None are empty.
    ///
    /// `tokens` counts those of a text, up to `limit`, which is what the encoder reads.
    pub(super) fn blocks<'a>(
        &self,
        file: &SourceFile<'a>,
        bytes: &Range<usize>,
        limit: usize,
        tokens: &dyn Fn(&str) -> usize,
    ) -> Vec<Block<'a>> {
        let block = |bytes: Range<usize>| {
            let text = Cow::Borrowed(file.slice(bytes.clone()));
            Block { text, span: file.span(bytes) }
        };
        let mut blocks = vec![block(bytes.clone())];
        if self.reference_compat {
            blocks.extend(reference_blocks(file, bytes, self));
        } else {
            let limit = self.max_tokens.min(limit);
            if tokens(file.slice(bytes.clone())) > limit {
                let pieces = pieces(file, bytes, self.pieces);
                let windows = windows(file.text(), &pieces, self, limit, tokens);
                blocks.extend(windows.into_iter().map(block));
            }
        }
        blocks.retain(|block| !block.text.trim().is_empty());
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        let refusal = |options: SplitOptions| options.validate().unwrap_err().to_string();
        let default = SplitOptions::default;
        assert!(default().validate().is_ok());
        assert_eq!(
            refusal(SplitOptions { window: 0, ..default() }),
            "window out of range: expected at least 1, got 0"
        );
        assert_eq!(
            refusal(SplitOptions { step: 33, ..default() }),
            "step out of range: expected 1 to 32, got 33"
        );
        let deep = PieceKind::Syntax { max_depth: 65, min_line: 0 };
        assert_eq!(
            refusal(SplitOptions { pieces: deep, ..default() }),
            "max depth out of range: expected 0 to 64, got 65"
        );
    }
}
