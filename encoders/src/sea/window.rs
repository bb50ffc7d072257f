//! Overlapping windows of pieces, each as long as an encoder reads.

use std::ops::Range;

use super::block::SplitOptions;

/// Bytes that are not divided further: some tokens of any tokenizer.
const MIN_DIVIDED: usize = 16;

/// Returns the bytes of the windows over `pieces`, of which each begins where the one before it ends.
///
/// A window has `options.window` pieces, or as many as have at most `limit` tokens; of that share of
/// them the next begins later that `options.step` is of `options.window`. A piece above the limit is
/// divided, at lines if it has some. Together windows cover all pieces.
pub(super) fn windows(
    text: &str,
    pieces: &[Range<usize>],
    options: &SplitOptions,
    limit: usize,
    tokens: &dyn Fn(&str) -> usize,
) -> Vec<Range<usize>> {
    let mut divided = Vec::with_capacity(pieces.len());
    for piece in pieces {
        divide(text, piece.clone(), limit, tokens, &mut divided);
    }
    let mut windows = Vec::new();
    let mut first = 0;
    while first < divided.len() {
        let (mut end, mut sum) = (first, 0);
        while end < divided.len() && end - first < options.window {
            sum += divided[end].tokens;
            if end > first && sum > limit {
                break;
            }
            end += 1;
        }
        windows.push(divided[first].bytes.start..divided[end - 1].bytes.end);
        if end == divided.len() {
            break;
        }
        first += ((end - first) * options.step / options.window).max(1);
    }
    windows
}

struct Piece {
    bytes: Range<usize>,
    tokens: usize,
}

/// Adds a piece, or the parts of one that is too long.
fn divide(
    text: &str,
    bytes: Range<usize>,
    limit: usize,
    tokens: &dyn Fn(&str) -> usize,
    divided: &mut Vec<Piece>,
) {
    let part = text.get(bytes.clone()).unwrap_or_default();
    let count = tokens(part);
    if count <= limit || part.len() <= MIN_DIVIDED {
        divided.push(Piece { bytes, tokens: count });
        return;
    }
    let inner_lines = part.trim_end_matches('\n').match_indices('\n').map(|(at, _)| at + 1);
    let mut cuts: Vec<usize> = inner_lines.collect();
    if cuts.is_empty() {
        // One long line. Each half is shorter, so that this ends.
        cuts.push(part.floor_char_boundary(part.len() / 2));
    }
    cuts.push(part.len());
    let mut at = 0;
    for cut in cuts {
        divide(text, bytes.start + at..bytes.start + cut, limit, tokens, divided);
        at = cut;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token a word.
    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    /// Windows over the lines of a text.
    fn over_lines(text: &str, window: usize, step: usize, limit: usize) -> Vec<&str> {
        let mut at = 0;
        let pieces: Vec<Range<usize>> = text
            .split_inclusive('\n')
            .map(|line| {
                at += line.len();
                at - line.len()..at
            })
            .collect();
        let options = SplitOptions { window, step, ..SplitOptions::default() };
        windows(text, &pieces, &options, limit, &words).into_iter().map(|w| &text[w]).collect()
    }

    #[test]
    fn windows_overlap_and_reach_the_end() {
        assert_eq!(over_lines("a\nb\nc\nd\ne\n", 3, 2, 99), ["a\nb\nc\n", "c\nd\ne\n"]);
        assert_eq!(
            over_lines("a\nb\nc\nd\ne\nf\n", 3, 2, 99),
            ["a\nb\nc\n", "c\nd\ne\n", "e\nf\n"]
        );
        assert_eq!(over_lines("a\nb\n", 3, 2, 99), ["a\nb\n"]);
        assert_eq!(over_lines("", 3, 2, 99), [""; 0]);
    }

    #[test]
    fn windows_are_as_long_as_the_encoder_reads() {
        assert_eq!(
            over_lines("a\nb\nc\nd\ne\n", 32, 16, 2),
            ["a\nb\n", "b\nc\n", "c\nd\n", "d\ne\n"]
        );
        let long = over_lines("a b c d\ne\n", 32, 16, 4);
        assert_eq!(long, ["a b c d\n", "e\n"]);
    }

    #[test]
    fn pieces_that_are_too_long_are_divided() {
        let line = "word ".repeat(20) + "\n";
        let parts = over_lines(&line, 1, 1, 8);
        assert_eq!(parts.concat(), line);
        assert!(parts.iter().all(|part| words(part) <= 8), "{parts:?}");
        // Tokens that cannot be divided stay.
        assert_eq!(over_lines("a b\n", 1, 1, 1), ["a b\n"]);
    }
}
