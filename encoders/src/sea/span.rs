//! Where a part of a text lies, in bytes and in lines.

use std::ops::Range;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Its bytes.
    pub bytes: Range<usize>,
    /// Its first line, from 1.
    pub first_line: usize,
    /// Its last line.
    pub last_line: usize,
}

/// Where the lines of a text start.
#[derive(Clone, Debug)]
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        Self(std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// Returns the line of a byte, from 0.
    pub(crate) fn row(&self, byte: usize) -> usize {
        self.0.partition_point(|&start| start <= byte).saturating_sub(1)
    }

    /// Returns where a line starts, from 0.
    pub(crate) fn start(&self, row: usize) -> usize {
        self.0.get(row).copied().unwrap_or(usize::MAX)
    }

    /// Returns the lines of some bytes; the visible ones, if there are any.
    pub(crate) fn span(&self, text: &str, bytes: Range<usize>) -> Span {
        let part = text.get(bytes.clone()).unwrap_or_default();
        let first = bytes.start + (part.len() - part.trim_start().len());
        let last = bytes.start + part.trim_end().len().saturating_sub(1);
        let (first, last) = if first > last { (bytes.start, bytes.start) } else { (first, last) };
        Span { first_line: self.row(first) + 1, last_line: self.row(last) + 1, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_visible_bytes() {
        let text = "a\n\n  b\nc\n";
        let lines = Lines::new(text);
        let shown = |bytes: Range<usize>| {
            let span = lines.span(text, bytes);
            (span.first_line, span.last_line)
        };
        assert_eq!(shown(0..text.len()), (1, 4));
        assert_eq!(shown(1..6), (3, 3));
        assert_eq!(shown(1..3), (1, 1));
        assert_eq!(shown(9..9), (5, 5));
        assert_eq!((lines.start(2), lines.start(9)), (3, usize::MAX));
    }
}
