//! Rows in the order of a field's values.
//!
//! Terms of one type are sorted already. A field has its values at two paths, and texts have two
//! types of terms, so up to four streams of terms are merged. A row is visited with the first of its
//! values; where a walk begins in the middle, rows with an earlier value are taken out before.

use std::ops::Bound;

use bigrain_types::filter::{
    FieldPath, MAX_SORT_TEXT_BYTES, Moment, SortDirection, SortKey, SortKind,
};
use roaring::RoaringBitmap;

use super::cover::{beginning_with, last_of, within};
use super::field::{Field, prefixes};
use super::postings::{Terms, among};
use super::row_bits::RowBits;
use crate::LexicalError;
use crate::dictionary::{TermRange, TermStream};
use crate::terms::{MAX_TEXT_BYTES, Tag, term};

/// Texts that are terms as a whole count as a whole, and the others up to where their terms are cut.
const _: () = assert!(MAX_SORT_TEXT_BYTES == MAX_TEXT_BYTES);

/// Returns the tags of the terms that hold the values of a kind.
fn tags(kind: SortKind) -> &'static [Tag] {
    match kind {
        SortKind::Bool => &[Tag::Bool],
        SortKind::Number => &[Tag::Number],
        SortKind::Moment => &[Tag::Moment],
        SortKind::Text => &[Tag::Text, Tag::LongText],
    }
}

impl Terms<'_> {
    /// Goes through some rows in the order of the values of a field, until `visit` returns false.
    pub fn sorted<E: From<LexicalError>>(
        &self,
        path: &FieldPath,
        direction: SortDirection,
        from: Option<&SortKey>,
        rows: &RoaringBitmap,
        mut visit: impl FnMut(SortKey, RoaringBitmap) -> Result<bool, E>,
    ) -> Result<(), E> {
        let field = Field::of(path);
        let mut left = RowBits::of(rows, self.0.rows());
        if let Some(from) = from {
            left.remove(&self.before(&field, direction, from)?);
        }
        let mut kinds = SortKind::ALL;
        kinds.sort_by(|a, b| direction.compare(a, b));
        let mut postings = self.0.postings();
        for kind in kinds {
            if from.is_some_and(|from| direction.compare(&kind, &from.kind()).is_lt()) {
                continue;
            }
            let from = from.filter(|from| from.kind() == kind);
            let mut values = self.values(&field, kind, direction, from)?;
            while let Some((key, at)) = values.first(direction) {
                let rows = among(&mut postings, &left, values.streams[at].terms.value())?;
                values.streams[at].advance()?;
                left.remove(&rows);
                if !rows.is_empty() && !visit(key, rows)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Returns the rows that have a value by which they can be sorted.
    pub fn sortable(&self, path: &FieldPath) -> Result<RoaringBitmap, LexicalError> {
        let field = Field::of(path);
        let tags = SortKind::ALL.into_iter().flat_map(|kind| tags(kind).iter().copied());
        self.in_ranges(tags.flat_map(|tag| prefixes(&field, tag).map(beginning_with)))
    }

    /// Returns the rows that have a value which comes before another.
    fn before(
        &self,
        field: &Field,
        direction: SortDirection,
        from: &SortKey,
    ) -> Result<RoaringBitmap, LexicalError> {
        let mut rows = RoaringBitmap::new();
        for kind in SortKind::ALL {
            if direction.compare(&kind, &from.kind()).is_gt() {
                continue;
            }
            for &tag in tags(kind) {
                for prefix in prefixes(field, tag) {
                    let range = if kind == from.kind() {
                        split(&prefix, tag, direction, from).before
                    } else {
                        beginning_with(prefix.clone())
                    };
                    rows |= self.in_ranges_where([range], |term| {
                        tag != Tag::Text || !is_moment(term.get(prefix.len()..).unwrap_or_default())
                    })?;
                }
            }
        }
        Ok(rows)
    }

    /// Returns the values of one kind, from one of them on.
    fn values(
        &self,
        field: &Field,
        kind: SortKind,
        direction: SortDirection,
        from: Option<&SortKey>,
    ) -> Result<Values<'_>, LexicalError> {
        let mut streams = Vec::new();
        for &tag in tags(kind) {
            for prefix in prefixes(field, tag) {
                let range = match from {
                    Some(from) => split(&prefix, tag, direction, from).from,
                    None => beginning_with(prefix.clone()),
                };
                let terms = self.0.stream(range, direction)?;
                let mut stream = Stream { terms, prefix: prefix.len(), tag, is_at_end: false };
                stream.advance()?;
                streams.push(stream);
            }
        }
        Ok(Values { kind, streams })
    }
}

/// The terms of a prefix, parted at a value.
struct Parted {
    /// Those that come before it.
    before: TermRange,
    /// Its own, and those that come behind.
    from: TermRange,
}

/// ```text
///  rising    [ before )[ from         ]
///  falling   [ from         ]( before ]
///                       ^ the value
/// ```
fn split(prefix: &[u8], tag: Tag, direction: SortDirection, value: &SortKey) -> Parted {
    let end = term(prefix, value.bytes());
    let parted = |lower: Bound<Vec<u8>>, upper: Bound<Vec<u8>>| {
        [within(prefix, Bound::Unbounded, lower), within(prefix, upper, Bound::Unbounded)]
    };
    match direction {
        SortDirection::Ascending => {
            let [before, from] = parted(Bound::Excluded(end.clone()), Bound::Included(end));
            Parted { before, from }
        }
        SortDirection::Descending => {
            // A text that was cut equals all that begin with it.
            let is_cut = tag == Tag::LongText && value.bytes().len() == MAX_SORT_TEXT_BYTES;
            let [from, before] = match last_of(end.clone()) {
                Bound::Excluded(next) if is_cut => {
                    parted(Bound::Excluded(next.clone()), Bound::Included(next))
                }
                Bound::Excluded(_) | Bound::Included(_) | Bound::Unbounded => {
                    parted(Bound::Included(end.clone()), Bound::Excluded(end))
                }
            };
            Parted { before, from }
        }
    }
}

/// Values of one kind, merged from streams of terms.
struct Values<'a> {
    kind: SortKind,
    streams: Vec<Stream<'a>>,
}

impl Values<'_> {
    /// Returns the value that comes first, and the stream that it stands at.
    fn first(&self, direction: SortDirection) -> Option<(SortKey, usize)> {
        let heads = self.streams.iter().enumerate().filter(|(_, stream)| !stream.is_at_end);
        let keys = heads.map(|(at, stream)| (SortKey::new(self.kind, stream.value().to_vec()), at));
        keys.min_by(|(a, _), (b, _)| direction.compare(a, b))
    }
}

struct Stream<'a> {
    terms: TermStream<'a>,
    prefix: usize,
    tag: Tag,
    is_at_end: bool,
}

impl Stream<'_> {
    /// Goes to the next value; texts that spell times are not sorted as texts.
    fn advance(&mut self) -> Result<(), LexicalError> {
        loop {
            self.is_at_end = !self.terms.advance()?;
            if self.is_at_end || self.tag != Tag::Text || !is_moment(self.value()) {
                return Ok(());
            }
        }
    }

    fn value(&self) -> &[u8] {
        self.terms.key().get(self.prefix..).unwrap_or_default()
    }
}

fn is_moment(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| Moment::parse(text).is_some())
}
