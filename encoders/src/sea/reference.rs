//! Blocks as the code published with the paper makes them, for comparisons.
//!
//! It differs from the paper, and from ours, in five ways:
//!
//! 1. Boundaries of subtrees must be 5 lines apart whatever `min_line` says, which only the root heeds.
//! 2. What follows the last boundary is in no piece, nor what precedes the first.
//! 3. A piece begins at the start of its first line, so that it repeats what another has before its end;
//!    and its last line is joined to that without a line break.
//! 4. Windows begin at every step but at the last piece; and if there is only one, there is none.
//! 5. A block may be longer than the encoder reads, which then leaves out its end.

use std::borrow::Cow;
use std::ops::Range;

use super::block::{Block, PieceKind, SplitOptions};
use super::pieces::pieces;
use super::source_file::SourceFile;
use super::syntax::{Spacing, syntax_starts};

/// What `min_line` becomes below the root.
const FORGOTTEN_MIN_LINE: usize = 5;

struct Piece {
    text: String,
    bytes: Range<usize>,
}

/// Returns the blocks after the one of the whole snippet.
pub(super) fn reference_blocks(
    file: &SourceFile<'_>,
    bytes: &Range<usize>,
    options: &SplitOptions,
) -> Vec<Block<'static>> {
    let (pieces, glue) = match options.pieces {
        PieceKind::Syntax { max_depth, min_line } => {
            (subtrees(file, bytes, max_depth, min_line), "\n")
        }
        PieceKind::Token | PieceKind::Word | PieceKind::Line => {
            let pieces = pieces(file, bytes, options.pieces).into_iter().map(|bytes| {
                let text = file.slice(bytes.clone()).trim_end_matches(['\n', ' ']).to_owned();
                Piece { text, bytes }
            });
            (pieces.collect(), " ")
        }
    };
    let starts = (0..pieces.len().saturating_sub(1)).step_by(options.step);
    let windows: Vec<&[Piece]> =
        starts.map(|start| &pieces[start..pieces.len().min(start + options.window)]).collect();
    if windows.len() < 2 {
        return Vec::new();
    }
    let block = |window: &[Piece]| {
        let (first, last) = (window.first()?, window.last()?);
        let texts: Vec<&str> = window.iter().map(|piece| piece.text.as_str()).collect();
        let span = file.span(first.bytes.start..last.bytes.end);
        Some(Block { text: Cow::Owned(texts.join(glue)), span })
    };
    windows.into_iter().filter_map(block).collect()
}

/// Returns the text between boundaries; the whole, if there are fewer than two.
fn subtrees(
    file: &SourceFile<'_>,
    bytes: &Range<usize>,
    max_depth: usize,
    min_line: usize,
) -> Vec<Piece> {
    let spacing = Spacing { first: min_line, below: FORGOTTEN_MIN_LINE };
    let starts = syntax_starts(file, bytes, max_depth, spacing).unwrap_or_default();
    if starts.len() < 2 {
        let text = file.slice(bytes.clone()).to_owned();
        return vec![Piece { text, bytes: bytes.clone() }];
    }
    let piece = |pair: &[super::syntax::Start]| {
        let line = |row| file.lines().start(row);
        let from = line(pair[0].row).max(bytes.start);
        let row = line(pair[1].row);
        let rows = file.slice(from..row);
        let rows = rows.strip_suffix('\n').unwrap_or(rows);
        let text = format!("{rows}{}", file.slice(row..pair[1].byte));
        Piece { text, bytes: from..pair[1].byte }
    };
    starts.windows(2).map(piece).collect()
}

#[cfg(all(test, feature = "grammars"))]
mod tests {
    use super::super::language::Language;
    use super::*;

    fn blocks(code: &str, window: usize, step: usize) -> Vec<String> {
        let file = SourceFile::new(code, Some(Language::Python));
        let options = SplitOptions { window, step, ..SplitOptions::default() };
        let blocks = reference_blocks(&file, &(0..code.len()), &options);
        blocks.into_iter().map(|block| block.text.into_owned()).collect()
    }

    /// A function of `ifs` statements of seven lines.
    fn function(ifs: usize) -> String {
        let lines =
            |i: usize| (0..6).map(|j| format!("        x{i}{j} = {j}\n")).collect::<String>();
        let body: String = (0..ifs).map(|i| format!("    if x{i}:\n{}", lines(i))).collect();
        format!("def f():\n{body}")
    }

    #[test]
    fn the_end_is_lost_as_in_the_published_code() {
        // Boundaries in rows 0, 8 (the second `if`), 15 and 22: the fourth has no end.
        let blocks = blocks(&function(4), 2, 1);
        assert_eq!(blocks.len(), 2, "{blocks:#?}");
        assert!(blocks[0].starts_with("def f():\n    if x0:"), "{blocks:#?}");
        let second = "    if x1:\n        x10 = 0\n        x11 = 1\n        x12 = 2\n        x13 = 3\n        \
                      x14 = 4\n        x15 = 5    \n    if x2:\n        x20 = 0\n        x21 = 1\n        \
                      x22 = 2\n        x23 = 3\n        x24 = 4\n        x25 = 5    ";
        assert_eq!(blocks[1], second);
        assert!(!blocks.concat().contains("x30"), "{blocks:#?}");
    }

    #[test]
    fn one_window_is_none() {
        assert!(blocks(&function(4), 32, 16).is_empty());
        assert!(blocks("x = 1", 1, 1).is_empty());
        assert!(blocks("", 1, 1).is_empty());
    }
}
