//! A text of code and its syntax tree.

use std::ops::Range;

use tree_sitter::{Node, Tree};

use super::language::Language;
use super::span::{Lines, Span};

/// A text of code, parsed if its language is known.
#[derive(Clone, Debug)]
pub struct SourceFile<'a> {
    text: &'a str,
    language: Option<Language>,
    tree: Option<Tree>,
    lines: Lines,
}

impl<'a> SourceFile<'a> {
    /// Parses a text: a whole file, or a snippet without its surroundings. Syntax errors are no
    /// reason to refuse one.
    #[must_use]
    pub fn new(text: &'a str, language: Option<Language>) -> Self {
        let tree = language.and_then(|language| language.parse(text));
        Self { text, language, tree, lines: Lines::new(text) }
    }

    /// Returns the text.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Returns the language it was parsed as.
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        self.language
    }

    /// Returns some bytes with their lines; bytes past the end are left out.
    #[must_use]
    pub fn span(&self, bytes: Range<usize>) -> Span {
        let end = bytes.end.min(self.text.len());
        self.lines.span(self.text, bytes.start.min(end)..end)
    }

    /// Returns the text of some bytes; nothing if they cut a character.
    #[must_use]
    pub fn slice(&self, bytes: Range<usize>) -> &'a str {
        self.text.get(bytes).unwrap_or_default()
    }

    pub(super) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Returns the smallest node that holds some bytes: the root for the whole text.
    pub(super) fn node(&self, bytes: &Range<usize>) -> Option<Node<'_>> {
        let root = self.root()?;
        if bytes.start == 0 && bytes.end >= self.text.len() {
            return Some(root);
        }
        // White space at the ends is in no node but that around it.
        let text = self.slice(bytes.clone());
        let start = bytes.start + (text.len() - text.trim_start().len());
        root.descendant_for_byte_range(start, start.max(bytes.start + text.trim_end().len()))
    }

    pub(super) fn root(&self) -> Option<Node<'_>> {
        self.tree.as_ref().map(Tree::root_node)
    }
}

/// Whether a node is a comment.
pub(super) fn is_comment(node: &Node<'_>) -> bool {
    node.kind().ends_with("comment")
}

/// The nodes below and including one, each before its children; those of which `enter` is false are
/// not entered. No recursion: code may be nested as deep as it likes.
pub(super) fn walk<'t>(node: Node<'t>, mut enter: impl FnMut(&Node<'t>) -> bool) {
    let mut cursor = node.walk();
    loop {
        if enter(&cursor.node()) && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return;
            }
        }
    }
}
