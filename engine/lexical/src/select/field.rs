//! The rows of one condition on a field.

use std::collections::BTreeSet;
use std::ops::Bound;

use bigrain_types::filter::{FieldPath, FieldTest, GeoBox, GeoPoint, Range, Scalar, Step, words};
use roaring::RoaringBitmap;

use super::bounds::Bounds;
use super::cover::{KeyKind, beginning_with, map, within};
use super::postings::Terms;
use crate::LexicalError;
use crate::dictionary::TermRange;
use crate::terms::{
    Cells, MAX_TEXT_BYTES, MOMENT_PREFIXES, NUMBER_PREFIXES, PathKey, Tag, hash_of, place_in, term,
};

const NUMBERS: KeyKind<'_> =
    KeyKind { whole: Tag::Number, prefix: Tag::NumberPrefix, lengths: NUMBER_PREFIXES };
const MOMENTS: KeyKind<'_> =
    KeyKind { whole: Tag::Moment, prefix: Tag::MomentPrefix, lengths: MOMENT_PREFIXES };

/// A path of a condition.
pub(super) struct Field {
    /// What the path reaches.
    reached: PathKey,
    /// The values of the field: what the path reaches, and the elements of the arrays among it.
    values: [PathKey; 2],
    /// Whether the path reaches one value at most.
    single: bool,
}

impl Field {
    pub fn new(root: &PathKey, steps: &[Step]) -> Self {
        let reached = steps.iter().fold(root.clone(), |path, step| path.then(step));
        let values = [reached.clone(), reached.elements()];
        Self { reached, values, single: !steps.contains(&Step::Elements) }
    }

    /// Returns a field of the payload.
    pub fn of(path: &FieldPath) -> Self {
        Self::new(&PathKey::default(), path.steps())
    }

    /// Returns the paths of the field's values.
    pub fn values(&self) -> &[PathKey; 2] {
        &self.values
    }
}

impl Terms<'_> {
    /// Returns the rows whose values at a field pass a test.
    pub(super) fn of_field(&self, field: &Field, test: &FieldTest) -> Result<Bounds, LexicalError> {
        let rows = match test {
            FieldTest::In(scalars) => self.any_of(equal_terms(field, scalars))?,
            FieldTest::NotIn(_) => return Ok(Bounds::within(self.of_any_path(field.values())?)),
            FieldTest::Prefix(prefix) => return self.with_prefix(field, prefix),
            FieldTest::Contains(_) => return Ok(Bounds::within(self.of_any_text(field)?)),
            FieldTest::Numbers(range) => {
                self.in_ranges(covers(field, &NUMBERS, range, |number| number.to_key().to_vec()))?
            }
            FieldTest::Moments(range) => {
                self.in_ranges(covers(field, &MOMENTS, range, |moment| moment.to_key().to_vec()))?
            }
            FieldTest::Text(text) => return self.with_words(field, text),
            // Words are indexed without their places.
            FieldTest::Phrase(text) => {
                return Ok(Bounds::within(self.with_words(field, text)?.upper));
            }
            FieldTest::GeoBox(region) => {
                self.in_region(field, *region, |place| region.contains(place))?
            }
            FieldTest::GeoRadius(region) => {
                let around = region.bounding_box();
                self.in_region(field, around, |place| region.contains(place))?
            }
            FieldTest::GeoPolygon(region) => {
                let Ok(around) = region.bounding_box() else {
                    return Ok(Bounds::within(self.all()));
                };
                self.in_region(field, around, |place| region.contains(place))?
            }
            FieldTest::IsNull => self.any_of(prefixes(field, Tag::Null))?,
            FieldTest::Exists => {
                self.in_ranges([beginning_with(field.reached.prefix(Tag::Count))])?
            }
            FieldTest::Count(range) => self.with_count(field, range)?,
            _ => return Ok(Bounds::within(self.all())),
        };
        Ok(Bounds::exact(rows))
    }

    /// Returns the rows that have anything at one of some paths.
    pub(super) fn of_any_path(&self, paths: &[PathKey]) -> Result<RoaringBitmap, LexicalError> {
        self.in_ranges(paths.iter().map(|path| beginning_with(path.prefix(Tag::Count))))
    }

    fn with_prefix(&self, field: &Field, prefix: &str) -> Result<Bounds, LexicalError> {
        let Some((start, _)) = prefix.as_bytes().split_at_checked(MAX_TEXT_BYTES + 1) else {
            let of = |tag: Tag| prefixes(field, tag).map(|path| term(&path, prefix.as_bytes()));
            let terms = of(Tag::Text).chain(of(Tag::LongText));
            return Ok(Bounds::exact(self.in_ranges(terms.map(beginning_with))?));
        };
        // Long texts are cut before the prefix ends.
        let start = &start[..MAX_TEXT_BYTES];
        let terms = prefixes(field, Tag::LongText).map(|path| term(&path, start));
        Ok(Bounds::within(self.in_ranges(terms.map(beginning_with))?))
    }

    /// Returns the rows that have any text at a field.
    fn of_any_text(&self, field: &Field) -> Result<RoaringBitmap, LexicalError> {
        let texts = prefixes(field, Tag::Text).chain(prefixes(field, Tag::LongText));
        self.in_ranges(texts.map(beginning_with))
    }

    fn with_words(&self, field: &Field, text: &str) -> Result<Bounds, LexicalError> {
        let wanted: BTreeSet<String> = words(text).collect();
        if wanted.is_empty() {
            return Ok(Bounds::exact(self.of_any_text(field)?));
        }
        let [whole, elements] = field.values();
        let mut bounds = self.with_words_at(whole, &wanted, field.single)?;
        bounds.unite(&self.with_words_at(elements, &wanted, false)?);
        Ok(bounds)
    }

    /// Returns the rows with all words at a path. If several values lie there, the words may come from
    /// different ones.
    fn with_words_at(
        &self,
        path: &PathKey,
        wanted: &BTreeSet<String>,
        single: bool,
    ) -> Result<Bounds, LexicalError> {
        let prefix = path.prefix(Tag::Word);
        let mut rows: Option<RoaringBitmap> = None;
        for word in wanted {
            let with_word = self.any_of([term(&prefix, word.as_bytes())])?;
            rows = Some(rows.map_or_else(|| with_word.clone(), |rows| rows & &with_word));
        }
        let rows = rows.unwrap_or_default();
        let decided = single || wanted.len() == 1;
        Ok(if decided { Bounds::exact(rows) } else { Bounds::within(rows) })
    }

    fn in_region(
        &self,
        field: &Field,
        around: GeoBox,
        contains: impl Fn(GeoPoint) -> bool,
    ) -> Result<RoaringBitmap, LexicalError> {
        let cells = Cells::covering(around);
        let mut rows = RoaringBitmap::new();
        for prefix in prefixes(field, Tag::Place) {
            let ranges = cells.iter().map(|cells| {
                let end = |cell: u32| term(&prefix, &cell.to_be_bytes());
                let (_, last) = beginning_with(end(cells.last));
                (Bound::Included(end(cells.first)), last)
            });
            rows |= self.in_ranges_where(ranges, |term| {
                term.get(prefix.len()..).and_then(place_in).is_some_and(&contains)
            })?;
        }
        Ok(rows)
    }

    fn with_count(&self, field: &Field, range: &Range<u64>) -> Result<RoaringBitmap, LexicalError> {
        let prefix = field.reached.prefix(Tag::Count);
        let end = |count: &u64| term(&prefix, &count.to_be_bytes());
        let counted = within(&prefix, map(&range.lower, end), map(&range.upper, end));
        let mut rows = self.in_ranges([counted])?;
        if range.contains(&0) {
            // What the path does not reach has no term, and count 0.
            rows |= self.all() - self.in_ranges([beginning_with(prefix)])?;
        }
        Ok(rows)
    }
}

pub(super) fn prefixes(field: &Field, tag: Tag) -> impl Iterator<Item = Vec<u8>> {
    field.values().each_ref().map(|path| path.prefix(tag)).into_iter()
}

fn equal_terms<'a>(
    field: &'a Field,
    scalars: &'a BTreeSet<Scalar>,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    field
        .values()
        .iter()
        .flat_map(move |path| scalars.iter().map(|scalar| equal_term(path, scalar)))
}

fn equal_term(path: &PathKey, scalar: &Scalar) -> Vec<u8> {
    match scalar {
        Scalar::Bool(bool) => term(&path.prefix(Tag::Bool), &[u8::from(*bool)]),
        Scalar::Number(number) => term(&path.prefix(Tag::Number), &number.to_key()),
        Scalar::Text(text) => match text.as_bytes().split_at_checked(MAX_TEXT_BYTES) {
            Some((start, rest)) if !rest.is_empty() => {
                let value = [start, &hash_of(text.as_bytes())].concat();
                term(&path.prefix(Tag::LongText), &value)
            }
            _ => term(&path.prefix(Tag::Text), text.as_bytes()),
        },
    }
}

fn covers<T>(
    field: &Field,
    kind: &KeyKind<'_>,
    range: &Range<T>,
    key: impl Fn(&T) -> Vec<u8>,
) -> Vec<TermRange> {
    let (lower, upper) = (map(&range.lower, &key), map(&range.upper, &key));
    field.values().iter().flat_map(|path| kind.cover(path, &lower, &upper)).collect()
}
