//! How functions are cut into blocks.

use bigrain_encoders::sea::{PieceKind, SplitOptions};
use clap::{Args, ValueEnum};

/// How functions are cut into blocks; for commands with `--code`.
#[derive(Args, Clone, Debug)]
pub struct SplitFlags {
    /// What blocks are made of: statement, subtree (the paper's), token, word or line
    #[arg(long, value_enum, default_value_t = Pieces::Subtree, requires = "code")]
    pieces: Pieces,
    /// Pieces in a block
    #[arg(long, value_name = "N", default_value_t = 32, requires = "code")]
    window: usize,
    /// Pieces from the start of a block to that of the next
    #[arg(long, value_name = "N", default_value_t = 16, requires = "code")]
    step: usize,
    /// Tokens in a block, at most
    #[arg(long, value_name = "N", default_value_t = 126, requires = "code")]
    block_tokens: usize,
    /// Split as the code published with the paper does
    #[arg(long, requires = "code")]
    reference: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pieces {
    Statement,
    Subtree,
    Token,
    Word,
    Line,
}

impl SplitFlags {
    /// Returns the options that they say.
    #[must_use]
    pub fn options(&self) -> SplitOptions {
        let pieces = match self.pieces {
            Pieces::Statement => PieceKind::Syntax { max_depth: 64, min_line: 0 },
            Pieces::Subtree => PieceKind::PAPER,
            Pieces::Token => PieceKind::Token,
            Pieces::Word => PieceKind::Word,
            Pieces::Line => PieceKind::Line,
        };
        SplitOptions {
            pieces,
            window: self.window,
            step: self.step,
            max_tokens: self.block_tokens,
            reference_compat: self.reference,
        }
    }
}
