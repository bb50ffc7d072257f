//! Queries made of stored points.
//!
//! A point's own words find it, so such queries lean towards words; the less, the more they are worded
//! as people would: a title that is not searched, or else the first sentence. (Words drawn from the text
//! at random were tried. They choose words alone whatever the encoder, and are not offered.)

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use bigrain_engine::filter::FieldPath;
use bigrain_engine::{Cancel, Collection, Payload, PointId, TextField};

use super::{Asked, AskedQuery};
use crate::ranking::Judgements;
use crate::sampling::sampled_points;

/// Words of a sentence that becomes a query, at most.
const MAX_SENTENCE_WORDS: usize = 24;

/// What of a point becomes a query that should find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PseudoQuery {
    /// The first sentence of its text.
    Sentence,
    /// A payload field, such as its title.
    Field(FieldPath),
}

impl FromStr for PseudoQuery {
    type Err = String;

    /// Reads `sentence` or `field=PATH`.
    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("field=")) {
            ("sentence", _) => Ok(Self::Sentence),
            (_, Some(path)) => {
                FieldPath::parse(path).map(Self::Field).map_err(|error| error.to_string())
            }
            (_, None) => Err(format!("expected sentence or field=PATH, got {text:?}")),
        }
    }
}

impl fmt::Display for PseudoQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sentence => f.write_str("sentences of stored points"),
            Self::Field(path) => write!(f, "{path} of stored points"),
        }
    }
}

impl PseudoQuery {
    /// Makes queries of at most `wanted` points, evenly spaced in the order of their ids.
    ///
    /// # Errors
    ///
    /// When no point has a text to make one of, or the caller stops it.
    pub fn ask(
        &self,
        collection: &Collection,
        text_field: &TextField,
        wanted: usize,
        cancel: &Cancel,
    ) -> anyhow::Result<Asked> {
        let mut queries = Vec::new();
        for point in sampled_points(collection, wanted, cancel)? {
            let Some(text) = self.query(&point.payload, text_field) else { continue };
            let mut judgements: Judgements<PointId> = Judgements::default();
            judgements.insert(point.id, 1);
            queries.push(AskedQuery { text, sparse: None, judgements });
        }
        if queries.is_empty() {
            bail!("no sampled point of {:?} has a text to make a query of", collection.name());
        }
        Ok(Asked { source: self.to_string(), queries })
    }

    /// Returns the query of a point; none where there is no text.
    fn query(&self, payload: &Payload, field: &TextField) -> Option<String> {
        let mut texts = Vec::new();
        match self {
            Self::Field(path) => path.each_text(payload, &mut |text| texts.push(text.to_owned())),
            Self::Sentence => field.each_text(payload, &mut |text| texts.push(text.to_owned())),
        }
        let query = match self {
            Self::Field(_) => texts.join(" "),
            Self::Sentence => texts.iter().find_map(|text| first_sentence(text))?,
        };
        (!query.trim().is_empty()).then_some(query)
    }
}

/// Returns a text up to its first full stop that ends a sentence, or so many words of it.
fn first_sentence(text: &str) -> Option<String> {
    let ends = |(at, letter): (usize, char)| {
        let after = text[at + letter.len_utf8()..].chars().next();
        ".!?。".contains(letter) && after.is_none_or(char::is_whitespace)
    };
    let end = text.char_indices().find(|&at| ends(at)).map_or(text.len(), |(at, _)| at);
    let words: Vec<&str> = text[..end].split_whitespace().take(MAX_SENTENCE_WORDS).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use bigrain_engine::Language;

    use super::*;

    #[test]
    fn queries_are_made_of_what_was_asked_for() {
        let payload = Payload::new()
            .with("title", "Wing flutter")
            .with("text", "At Mach 2.5 wings flutter. Measurements follow.");
        let field = TextField::new("text", Language::English).unwrap();
        let query =
            |kind: &str| kind.parse::<PseudoQuery>().unwrap().query(&payload, &field).unwrap();
        assert_eq!(query("sentence"), "At Mach 2.5 wings flutter");
        assert_eq!(query("field=title"), "Wing flutter");
        let none = PseudoQuery::Sentence.query(&Payload::new(), &field);
        assert_eq!(none, None);
    }

    #[test]
    fn other_kinds_are_refused() {
        for text in ["", "title", "field=", "words"] {
            assert!(text.parse::<PseudoQuery>().is_err(), "{text}");
        }
    }
}
