//! The comments and docstrings of code.

use std::ops::Range;

use tree_sitter::Node;

use super::language::Language;
use super::source_file::{SourceFile, is_comment, walk};

impl SourceFile<'_> {
    /// Returns the comments among some bytes, in their order.
    #[must_use]
    pub fn comments(&self, bytes: &Range<usize>) -> Vec<Range<usize>> {
        self.ranges(bytes, |node| is_comment(node).then(|| node.byte_range()))
    }

    /// Returns some bytes without comments, Python's docstrings, and lines that hold nothing else.
    #[must_use]
    pub fn without_comments(&self, bytes: &Range<usize>) -> String {
        let python = self.language() == Some(Language::Python);
        let cuts = self.ranges(bytes, |node| {
            if is_comment(node) {
                return Some(node.byte_range());
            }
            let docstring = if python { docstring(node) } else { None };
            docstring.map(|string| string.byte_range())
        });
        let mut kept = String::with_capacity(bytes.len());
        let mut at = bytes.start;
        for cut in cuts.into_iter().filter(|cut| cut.start >= bytes.start) {
            kept.push_str(self.slice(at..cut.start.clamp(at, bytes.end)));
            // A comment may hold the end of its line.
            if self.slice(cut.clone()).ends_with('\n') {
                kept.push('\n');
            }
            at = cut.end.clamp(at, bytes.end);
        }
        kept.push_str(self.slice(at..bytes.end.max(at)));
        let lines = kept.lines().map(str::trim_end).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns what `choose` names of the nodes among some bytes, in their order.
    fn ranges(
        &self,
        bytes: &Range<usize>,
        choose: impl Fn(&Node<'_>) -> Option<Range<usize>>,
    ) -> Vec<Range<usize>> {
        let mut chosen = Vec::new();
        let Some(node) = self.node(bytes) else { return chosen };
        walk(node, |node| {
            if node.end_byte() <= bytes.start || node.start_byte() >= bytes.end {
                return false;
            }
            let range = choose(node).filter(|range| range.start < bytes.end);
            chosen.extend(range);
            !is_comment(node)
        });
        chosen.sort_by_key(|range| range.start);
        chosen
    }
}

/// Returns the docstring of a Python function or class.
pub(super) fn docstring<'t>(node: &Node<'t>) -> Option<Node<'t>> {
    if !matches!(node.kind(), "function_definition" | "class_definition") {
        return None;
    }
    let body = node.child_by_field_name("body")?;
    let mut cursor = body.walk();
    let first = body.children(&mut cursor).find(|child| !is_comment(child))?;
    let string = if first.kind() == "expression_statement" { first.child(0)? } else { first };
    (string.kind() == "string").then_some(string)
}

/// Returns what a comment or docstring says, without its markers.
#[must_use]
pub fn comment_text(comment: &str) -> String {
    let quotes = ['"', '\''];
    let text = match comment.find(quotes) {
        // A string, perhaps with a letter before it, as r"".
        Some(at) if at <= 2 && comment.ends_with(quotes) => comment[at..].trim_matches(quotes),
        Some(_) | None => comment,
    };
    let bare = |line: &str| {
        let line = line.trim().trim_start_matches(['/', '*', '#', '!']);
        line.trim_end_matches("*/").trim().to_owned()
    };
    text.lines().map(bare).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
#[cfg(feature = "grammars")]
mod tests {
    use super::*;

    fn stripped(language: Language, code: &str) -> String {
        SourceFile::new(code, Some(language)).without_comments(&(0..code.len()))
    }

    #[test]
    fn comments_and_docstrings_go_and_strings_stay() {
        let python = "def f(x):  # why\n    \"\"\"Doc\n    of f.\"\"\"\n    # note\n    y = '# no'\n\n    return y\n";
        assert_eq!(stripped(Language::Python, python), "def f(x):\n    y = '# no'\n    return y");
        let rust = "/// Doc.\n/// More.\nfn f() { /* a */ g(\"// no\"); } // end\n";
        assert_eq!(stripped(Language::Rust, rust), "fn f() {  g(\"// no\"); }");
        let java = "/** Doc. */\nint f() {\n  // one\n  return 1; /* two\n lines */ }";
        assert_eq!(stripped(Language::Java, java), "int f() {\n  return 1;  }");
    }

    #[test]
    fn a_part_is_stripped_of_its_own_comments() {
        let code = "# a\nx = 1  # b\ny = 2  # c\n";
        let file = SourceFile::new(code, Some(Language::Python));
        assert_eq!(file.without_comments(&(4..code.len())), "x = 1\ny = 2");
        assert_eq!(file.without_comments(&(4..9)), "x = 1");
        let comments = file.comments(&(4..code.len()));
        assert_eq!(
            comments.iter().map(|c| file.slice(c.clone())).collect::<Vec<_>>(),
            ["# b", "# c"]
        );
    }

    #[test]
    fn prose_has_no_markers() {
        for (comment, expected) in [
            ("/// A b.", "A b."),
            ("/** A\n  * b.\n  */", "A\nb."),
            ("# a", "a"),
            ("r\"\"\"A b.\n    C\"\"\"", "A b.\nC"),
            ("'x'", "x"),
        ] {
            assert_eq!(comment_text(comment), expected);
        }
    }
}
