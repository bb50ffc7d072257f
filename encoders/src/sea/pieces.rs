//! Where a snippet can be cut.

use std::ops::Range;

use tree_sitter::Node;

use super::block::PieceKind;
use super::source_file::{SourceFile, is_comment, walk};
use super::syntax::{Spacing, syntax_starts};

/// Cuts some bytes into pieces without gaps: each ends where the next begins.
pub(super) fn pieces(
    file: &SourceFile<'_>,
    bytes: &Range<usize>,
    kind: PieceKind,
) -> Vec<Range<usize>> {
    let starts = match kind {
        PieceKind::Syntax { max_depth, min_line } => {
            let spacing = Spacing { first: min_line, below: min_line };
            match syntax_starts(file, bytes, max_depth, spacing).filter(|_| parses(file, bytes)) {
                Some(starts) => starts.into_iter().map(|start| start.byte).collect(),
                None => lines(file, bytes),
            }
        }
        PieceKind::Token => leaves(file, bytes).unwrap_or_else(|| words(file, bytes)),
        PieceKind::Word => words(file, bytes),
        PieceKind::Line => lines(file, bytes),
    };
    between(bytes, starts.into_iter().map(|start: usize| file.line_start(start)))
}

/// Whether there is a syntax tree of some bytes, without errors.
fn parses(file: &SourceFile<'_>, bytes: &Range<usize>) -> bool {
    let Some(node) = file.node(bytes) else { return false };
    let mut broken = false;
    let apart = |node: &Node<'_>| {
        node.end_byte() <= bytes.start || node.start_byte() >= bytes.end || !node.has_error()
    };
    walk(node, |node| {
        broken |= !apart(node) && (node.is_error() || node.is_missing());
        !apart(node) && !broken
    });
    !broken
}

/// Returns the pieces between boundaries; the first begins, and the last ends, where the bytes do.
fn between(bytes: &Range<usize>, starts: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut at = bytes.start;
    for start in starts {
        if start > at && start < bytes.end {
            pieces.push(at..start);
            at = start;
        }
    }
    if at < bytes.end {
        pieces.push(at..bytes.end);
    }
    pieces
}

/// Returns where lines start.
pub(super) fn lines(file: &SourceFile<'_>, bytes: &Range<usize>) -> Vec<usize> {
    let text = file.slice(bytes.clone());
    text.match_indices('\n').map(|(at, _)| bytes.start + at + 1).collect()
}

/// Returns where words start: after white space.
fn words(file: &SourceFile<'_>, bytes: &Range<usize>) -> Vec<usize> {
    let text = file.slice(bytes.clone());
    let mut after_space = false;
    let starts = text.char_indices().filter(|&(_, c)| {
        let starts = after_space && !c.is_whitespace();
        after_space = c.is_whitespace();
        starts
    });
    starts.map(|(at, _)| bytes.start + at).collect()
}

/// Returns where the leaves of the syntax tree start; `None` for code that does not parse.
fn leaves(file: &SourceFile<'_>, bytes: &Range<usize>) -> Option<Vec<usize>> {
    let node = file.node(bytes).filter(|_| parses(file, bytes))?;
    let mut starts = Vec::new();
    walk(node, |node| {
        // As in the paper: a string is one token, and a comment is none.
        let is_leaf = node.child_count() == 0 || node.kind() == "string";
        if is_leaf && !is_comment(node) {
            starts.push(node.start_byte());
        }
        !is_leaf && !is_comment(node)
    });
    Some(starts)
}

#[cfg(all(test, feature = "grammars"))]
mod tests {
    use super::super::language::Language;
    use super::*;

    const CODE: &str = "def f(a):\n    x = 'b c'\n\n    if a:\n        return x  # d\n    else:\n        return  2\n";

    fn cut(code: &str, kind: PieceKind) -> Vec<&str> {
        let file = SourceFile::new(code, Some(Language::Python));
        pieces(&file, &(0..code.len()), kind).into_iter().map(|piece| &code[piece]).collect()
    }

    #[test]
    fn syntax_pieces_are_statements() {
        let pieces = cut(CODE, PieceKind::Syntax { max_depth: 6, min_line: 0 });
        assert_eq!(
            pieces,
            [
                "def f(a):\n",
                "    x = 'b c'\n\n",
                "    if a:\n",
                "        return x  # d\n",
                "    else:\n",
                "        return  2\n"
            ]
        );
        assert_eq!(cut(CODE, PieceKind::PAPER), [CODE]);
        let long: String = (0..11).map(|i| format!("    x{i} = {i}\n")).collect();
        let long = format!("def f(a):\n{long}");
        let pieces = cut(&long, PieceKind::PAPER);
        let lines: Vec<usize> = pieces.iter().map(|piece| piece.lines().count()).collect();
        assert_eq!(lines, [5, 4, 3]);
    }

    #[test]
    fn tokens_words_and_lines_have_their_own_boundaries() {
        let code = "x = f('b c')  # d\ny\n";
        assert_eq!(cut(code, PieceKind::Token), ["x ", "= ", "f", "(", "'b c'", ")  # d\n", "y\n"]);
        assert_eq!(cut(code, PieceKind::Word), ["x ", "= ", "f('b ", "c')  ", "# ", "d\n", "y\n"]);
        assert_eq!(cut(code, PieceKind::Line), ["x = f('b c')  # d\n", "y\n"]);
    }

    #[test]
    fn code_that_does_not_parse_is_cut_at_lines() {
        let code = "def f(:\n    )) x\n  return\n";
        assert_eq!(cut(code, PieceKind::PAPER), ["def f(:\n", "    )) x\n", "  return\n"]);
        let unknown = SourceFile::new(code, None);
        assert_eq!(pieces(&unknown, &(0..code.len()), PieceKind::PAPER).len(), 3);
        assert_eq!(pieces(&unknown, &(4..4), PieceKind::PAPER), [] as [Range<usize>; 0]);
    }
}
