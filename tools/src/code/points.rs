//! A block of code as a point.
//!
//! A snippet has a point for its whole and one for each of its windows. What they share is the field
//! `snippet`, by which a search groups them.

use bigrain_encoders::sea::{Snippet, SourceFile, Span};
use bigrain_engine::filter::{Condition, FieldTest};
use bigrain_engine::{Filter, FilterError, Payload, PointId, PointIdError};

use super::files::CodeFile;

/// The payload field that the blocks of a snippet share.
pub const GROUP_FIELD: &str = "snippet";

/// Bytes of a block's text that are stored; the beginning of a long snippet says what it is.
pub const MAX_TEXT_BYTES: usize = 4 << 10;

/// The payload field that says whether a block is of a test.
const TEST_FIELD: &str = "test";

/// What the first point of a file says in the field `part`.
const FIRST_PART: &str = "0.0";

/// Which block of which snippet of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) snippet: usize,
    pub(super) block: usize,
}

/// Returns a block's id.
pub(super) fn point_id(file: &CodeFile, part: Part) -> Result<PointId, PointIdError> {
    PointId::parse(&format!("{}#{}.{}", file.name, part.snippet, part.block))
}

/// Returns what is stored with a block. `version` changes when the file does.
pub(super) fn payload(
    file: &CodeFile,
    text: &SourceFile<'_>,
    snippet: &Snippet,
    span: &Span,
    (part, version): (Part, &str),
) -> Payload {
    let block = visible_lines(text.slice(span.bytes.clone()));
    let doc = snippet.doc.split("\n\n").next().unwrap_or_default();
    let mut payload = Payload::new()
        .with("path", file.name.as_str())
        .with("language", file.language.name())
        .with("kind", snippet.kind.name())
        .with("line", span.first_line as u64)
        .with("end_line", span.last_line as u64)
        .with(GROUP_FIELD, format!("{}:{}", file.name, snippet.span.first_line))
        .with("text", &block[..block.floor_char_boundary(MAX_TEXT_BYTES)])
        .with("part", format!("{}.{}", part.snippet, part.block))
        .with(TEST_FIELD, snippet.is_test || file.is_test())
        .with("version", version);
    if !snippet.name.is_empty() {
        payload = payload.with("name", snippet.name.as_str());
    }
    if !doc.is_empty() {
        payload = payload.with("doc", doc.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    payload
}

/// Returns a filter for the first point of each file.
pub(super) fn first_points() -> Result<Filter, FilterError> {
    Ok(Filter::new().must(Condition::field("part", FieldTest::equals(FIRST_PART))?))
}

/// Returns a filter for the points of a file.
pub(super) fn points_of(file: &str) -> Result<Filter, FilterError> {
    Ok(Filter::new().must(Condition::field("path", FieldTest::equals(file))?))
}

/// Returns a filter for what is of no test, and matches a filter if there is one.
///
/// # Errors
///
/// None that a caller can cause.
pub fn without_tests(filter: Option<Filter>) -> Result<Filter, FilterError> {
    let is_test = Condition::field(TEST_FIELD, FieldTest::equals(true))?;
    Ok(filter.unwrap_or_default().must_not(is_test))
}

/// Whether a block is of a test.
pub(super) fn is_test(payload: &Payload) -> bool {
    payload.get(TEST_FIELD).and_then(serde_json::Value::as_bool).unwrap_or_default()
}

/// Returns a text without blank lines at its ends, so that its first line is the span's.
fn visible_lines(text: &str) -> &str {
    let indent = text.len() - text.trim_start().len();
    let start = text[..indent].rfind('\n').map_or(0, |at| at + 1);
    text[start..].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indent_of_the_first_line_stays() {
        assert_eq!(visible_lines("\n  \n  a\n b \n\n"), "  a\n b");
        assert_eq!(visible_lines(" a"), " a");
        assert_eq!(visible_lines(" \n "), " ".trim());
    }
}
