//! The paper's boundary rule: where the subtrees near the root start, if far enough apart.

use std::ops::Range;

use tree_sitter::Node;

use super::source_file::{SourceFile, is_comment};

/// A place where a subtree starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) row: usize,
    pub(super) byte: usize,
}

/// By how many rows a boundary must be past the one before it, plus one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spacing {
    /// Of the boundaries of the root.
    pub(super) first: usize,
    /// Of those of its subtrees.
    pub(super) below: usize,
}

/// Returns the boundaries of the smallest subtree that holds some bytes, at most `max_depth` below
/// it, in their order; `None` without a syntax tree.
///
/// The depth is counted as if the bytes were a text by themselves: a function is one below its root.
pub(super) fn syntax_starts(
    file: &SourceFile<'_>,
    bytes: &Range<usize>,
    max_depth: usize,
    spacing: Spacing,
) -> Option<Vec<Start>> {
    let node = file.node(bytes)?;
    let is_root = node.parent().is_none();
    let is_inside = node.start_byte() >= bytes.start && node.end_byte() <= bytes.end;
    // What holds more than the bytes stands for the root of a text of their own.
    let depth = if is_inside && !is_root { max_depth.saturating_sub(1) } else { max_depth };
    Some(subtree(node, bytes, depth, spacing))
}

/// Pre-order. Recurses no deeper than `depth`.
fn subtree(node: Node<'_>, bytes: &Range<usize>, depth: usize, spacing: Spacing) -> Vec<Start> {
    let outside = node.end_byte() <= bytes.start || node.start_byte() >= bytes.end;
    if outside || node.child_count() == 0 || is_comment(&node) {
        return Vec::new();
    }
    let mut starts = Vec::new();
    if node.start_byte() >= bytes.start {
        starts.push(Start { row: node.start_position().row, byte: node.start_byte() });
    }
    if let Some(depth) = depth.checked_sub(1) {
        let below = Spacing { first: spacing.below, ..spacing };
        let mut cursor = node.walk();
        for child in node.children(&mut cursor) {
            starts.extend(subtree(child, bytes, depth, below));
        }
    }
    let mut last: Option<usize> = None;
    starts.retain(|start| {
        let kept = last.is_none_or(|last| start.row > last + spacing.first);
        if kept {
            last = Some(start.row);
        }
        kept
    });
    starts
}
