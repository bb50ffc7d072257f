//! How often the values of a field occur.

use bigrain_types::filter::{FieldPath, Number, Scalar};
use roaring::RoaringBitmap;
use tantivy::postings::TermInfo;

use super::cover::beginning_with;
use super::field::{Field, prefixes};
use super::postings::{Terms, among};
use super::row_bits::RowBits;
use crate::LexicalError;
use crate::dictionary::{Dictionary, Postings};
use crate::terms::{Tag, term};

/// The tags of values that their terms spell as a whole.
const SPELLED: [Tag; 3] = [Tag::Bool, Tag::Number, Tag::Text];

/// How many of some rows have each value of a field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FacetCounts {
    /// Values with the number of rows that have them, at least one; each value once, in no particular
    /// order.
    pub counts: Vec<(Scalar, u64)>,
    /// Rows that have texts too long to be terms: what these are, and how many rows have them, only
    /// payloads say.
    pub long_texts: RoaringBitmap,
}

impl Terms<'_> {
    /// Counts the values of a field in some rows.
    pub fn facet(
        &self,
        path: &FieldPath,
        rows: &RoaringBitmap,
    ) -> Result<FacetCounts, LexicalError> {
        let field = Field::of(path);
        let mut counting = Counting {
            terms: self.0,
            postings: self.0.postings(),
            among: RowBits::of(rows, self.0.rows()),
            all: rows.len() == u64::from(self.0.rows()),
        };
        let mut counts = Vec::new();
        for tag in SPELLED {
            counting.count(&field, tag, &mut counts)?;
        }
        let long_texts = prefixes(&field, Tag::LongText).map(beginning_with);
        Ok(FacetCounts { counts, long_texts: self.in_ranges(long_texts)? & rows })
    }
}

struct Counting<'a> {
    terms: &'a Dictionary,
    postings: Postings<'a>,
    among: RowBits,
    /// Whether all rows are counted: then a term knows how many it has.
    all: bool,
}

impl Counting<'_> {
    /// Counts the values of one type. A row may have one value itself and in an array: such a value is
    /// counted where it stands itself, with the rows of both.
    fn count(
        &mut self,
        field: &Field,
        tag: Tag,
        counts: &mut Vec<(Scalar, u64)>,
    ) -> Result<(), LexicalError> {
        let [whole, elements] = field.values().each_ref().map(|path| path.prefix(tag));
        for (prefix, other, is_first) in [(&whole, &elements, true), (&elements, &whole, false)] {
            let direction = Default::default();
            let others = beginning_with(other.clone());
            let has_others = self.terms.stream(others, direction)?.advance()?;
            let mut stream = self.terms.stream(beginning_with(prefix.clone()), direction)?;
            while stream.advance()? {
                let value = stream.key().get(prefix.len()..).unwrap_or_default();
                let twin = if has_others { self.terms.find(&term(other, value))? } else { None };
                let count = match twin {
                    Some(_) if !is_first => continue,
                    Some(twin) => self.rows_of_either(stream.value(), &twin)?,
                    None => self.rows_of(stream.value())?,
                };
                if count > 0 {
                    let scalar = scalar(tag, value).ok_or_else(|| {
                        self.terms.malformed(format!("a term of {tag:?} is no such value"))
                    })?;
                    counts.push((scalar, count));
                }
            }
        }
        Ok(())
    }

    fn rows_of(&mut self, info: &TermInfo) -> Result<u64, LexicalError> {
        if self.all {
            return Ok(u64::from(info.doc_freq));
        }
        let (mut count, among) = (0, &self.among);
        self.postings.each_block(info, |block, _| {
            count += block.iter().filter(|&&row| among.contains(row)).count() as u64;
        })?;
        Ok(count)
    }

    fn rows_of_either(&mut self, one: &TermInfo, other: &TermInfo) -> Result<u64, LexicalError> {
        let one = among(&mut self.postings, &self.among, one)?;
        let other = among(&mut self.postings, &self.among, other)?;
        Ok(one.union_len(&other))
    }
}

/// Reads the end of a term.
fn scalar(tag: Tag, value: &[u8]) -> Option<Scalar> {
    match tag {
        Tag::Bool => match value {
            [0] => Some(Scalar::Bool(false)),
            [1] => Some(Scalar::Bool(true)),
            _ => None,
        },
        Tag::Number => Number::from_key(value).map(Scalar::Number),
        Tag::Text => str::from_utf8(value).ok().map(Scalar::from),
        Tag::Null
        | Tag::Count
        | Tag::Moment
        | Tag::MomentPrefix
        | Tag::Place
        | Tag::NumberPrefix
        | Tag::LongText
        | Tag::Word => None,
    }
}
