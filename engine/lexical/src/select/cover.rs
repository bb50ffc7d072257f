//! Ranges of values as ranges of terms.

use std::ops::Bound;

use crate::dictionary::TermRange;
use crate::terms::{PathKey, Tag, term};

/// How the values of one type lie in the dictionary: whole keys under one tag, their beginnings of
/// some lengths under another.
pub(super) struct KeyKind<'a> {
    pub whole: Tag,
    pub prefix: Tag,
    /// Rising.
    pub lengths: &'a [usize],
}

impl KeyKind<'_> {
    /// Returns the ranges of terms of a path that together are a range of keys, with as few terms in
    /// them as beginnings allow.
    ///
    /// ```text
    ///  keys        lower ├───────────────────────────────┤ upper
    ///  2 bytes              .  .  ████████████████  .  .
    ///  3 bytes              . ███                ██ .
    ///  whole              ███                      ██
    /// ```
    pub fn cover(
        &self,
        path: &PathKey,
        lower: &Bound<Vec<u8>>,
        upper: &Bound<Vec<u8>>,
    ) -> Vec<TermRange> {
        let whole = path.prefix(self.whole);
        let from = |end: &Vec<u8>| term(&whole, end);
        let cell = |start: &[u8]| term(&whole, start);
        let (low_key, high_key) = (key_of(lower), key_of(upper));
        if let (Some(low), Some(high)) = (low_key, high_key)
            && low > high
        {
            return Vec::new();
        }
        let differ = |length: usize| match (low_key, high_key) {
            (Some(low), Some(high)) => low[..length] != high[..length],
            (Some(_), None) | (None, Some(_)) | (None, None) => true,
        };
        let first = self.lengths.iter().position(|&length| differ(length));
        let Some(first) = first else {
            return vec![within(&whole, map(lower, from), map(upper, from))];
        };
        let mut ranges = vec![self.between(path, self.lengths[first], low_key, high_key)];
        for (at, &length) in self.lengths.iter().enumerate().skip(first) {
            let finer = self.lengths.get(at + 1);
            if let Some(low) = low_key {
                ranges.push(match finer {
                    Some(&finer) => self.after(path, low, length, finer),
                    None => (map(lower, from), last_of(cell(&low[..length]))),
                });
            }
            if let Some(high) = high_key {
                ranges.push(match finer {
                    Some(&finer) => self.before(path, high, length, finer),
                    None => (Bound::Included(cell(&high[..length])), map(upper, from)),
                });
            }
        }
        ranges
    }

    /// The beginnings of one length between those of both ends.
    fn between(
        &self,
        path: &PathKey,
        length: usize,
        low: Option<&[u8]>,
        high: Option<&[u8]>,
    ) -> TermRange {
        let cells = self.cells(path, length);
        let end = |key: Option<&[u8]>| {
            key.map_or(Bound::Unbounded, |key| Bound::Excluded(term(&cells, &key[..length])))
        };
        within(&cells, end(low), end(high))
    }

    /// The finer beginnings behind that of `low`, within its coarser one.
    fn after(&self, path: &PathKey, low: &[u8], length: usize, finer: usize) -> TermRange {
        let cells = self.cells(path, finer);
        (Bound::Excluded(term(&cells, &low[..finer])), last_of(term(&cells, &low[..length])))
    }

    /// The finer beginnings before that of `high`, within its coarser one.
    fn before(&self, path: &PathKey, high: &[u8], length: usize, finer: usize) -> TermRange {
        let cells = self.cells(path, finer);
        let first = Bound::Included(term(&cells, &high[..length]));
        (first, Bound::Excluded(term(&cells, &high[..finer])))
    }

    fn cells(&self, path: &PathKey, length: usize) -> Vec<u8> {
        term(&path.prefix(self.prefix), &[length as u8])
    }
}

/// Returns the range of all terms that begin with `prefix`.
pub(super) fn beginning_with(prefix: Vec<u8>) -> TermRange {
    let end = last_of(prefix.clone());
    (Bound::Included(prefix), end)
}

/// Closes a range to the terms that begin with `prefix`.
pub(super) fn within(prefix: &[u8], lower: Bound<Vec<u8>>, upper: Bound<Vec<u8>>) -> TermRange {
    let lower =
        if matches!(lower, Bound::Unbounded) { Bound::Included(prefix.to_vec()) } else { lower };
    let upper = if matches!(upper, Bound::Unbounded) { last_of(prefix.to_vec()) } else { upper };
    (lower, upper)
}

/// Applies a function to the value of an end.
pub(super) fn map<T>(bound: &Bound<T>, to: impl Fn(&T) -> Vec<u8>) -> Bound<Vec<u8>> {
    match bound {
        Bound::Included(value) => Bound::Included(to(value)),
        Bound::Excluded(value) => Bound::Excluded(to(value)),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// Returns the end of the range of all terms that begin with `prefix`.
pub(super) fn last_of(mut prefix: Vec<u8>) -> Bound<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Bound::Excluded(prefix);
        }
    }
    Bound::Unbounded
}

fn key_of(bound: &Bound<Vec<u8>>) -> Option<&[u8]> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) => Some(key),
        Bound::Unbounded => None,
    }
}
