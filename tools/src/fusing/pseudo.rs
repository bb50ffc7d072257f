//! Queries made of stored points.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;
use bigrain_engine::filter::FieldPath;
use bigrain_engine::{Cancel, Collection, Payload, PointId, TextField};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::{Asked, AskedQuery};
use crate::ranking::Judgements;
use crate::sampling::sampled_points;

/// Words of a query made of words.
const WORDS: usize = 6;

/// Words of a sentence that becomes a query, at most.
const MAX_SENTENCE_WORDS: usize = 24;

/// Letters of a word that may become part of a query, at least: shorter ones rarely say anything.
const MIN_LETTERS: usize = 4;

/// What of a point becomes a query that should find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PseudoQuery {
    /// The first sentence of its text.
    Sentence,
    /// Some words of its text, drawn at random.
    Words,
    /// A payload field, such as its title.
    Field(FieldPath),
}

impl FromStr for PseudoQuery {
    type Err = String;

    /// Reads `sentence`, `words`, or `field=PATH`.
    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("field=")) {
            ("sentence", _) => Ok(Self::Sentence),
            ("words", _) => Ok(Self::Words),
            (_, Some(path)) => {
                FieldPath::parse(path).map(Self::Field).map_err(|error| error.to_string())
            }
            (_, None) => Err(format!("expected sentence, words or field=PATH, got {text:?}")),
        }
    }
}

impl fmt::Display for PseudoQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sentence => f.write_str("sentences of stored points"),
            Self::Words => f.write_str("words of stored points"),
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
        for (point, number) in sampled_points(collection, wanted, cancel)?.into_iter().zip(0..) {
            let Some(text) = self.query(&point.payload, text_field, number) else { continue };
            let mut judgements: Judgements<PointId> = Judgements::default();
            judgements.insert(point.id, 1);
            queries.push(AskedQuery { text, judgements });
        }
        if queries.is_empty() {
            bail!("no sampled point of {:?} has a text to make a query of", collection.name());
        }
        Ok(Asked { source: self.to_string(), queries })
    }

    /// Returns the query of a point; none where there is no text.
    fn query(&self, payload: &Payload, field: &TextField, seed: u64) -> Option<String> {
        let mut texts = Vec::new();
        match self {
            Self::Field(path) => path.each_text(payload, &mut |text| texts.push(text.to_owned())),
            Self::Sentence | Self::Words => {
                field.each_text(payload, &mut |text| texts.push(text.to_owned()));
            }
        }
        let query = match self {
            Self::Field(_) => texts.join(" "),
            Self::Sentence => texts.iter().find_map(|text| first_sentence(text))?,
            Self::Words => draw_words(&texts.join(" "), seed),
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

/// Draws different words of a text.
fn draw_words(text: &str, seed: u64) -> String {
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    let mut words: Vec<&str> = words.filter(|word| word.chars().count() >= MIN_LETTERS).collect();
    words.sort_unstable();
    words.dedup();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let drawn = WORDS.min(words.len());
    for at in 0..drawn {
        let other = at + (random.next_u64() % (words.len() - at) as u64) as usize;
        words.swap(at, other);
    }
    words[..drawn].join(" ")
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
            |kind: &str| kind.parse::<PseudoQuery>().unwrap().query(&payload, &field, 7).unwrap();
        assert_eq!(query("sentence"), "At Mach 2.5 wings flutter");
        assert_eq!(query("field=title"), "Wing flutter");
        let words = query("words");
        assert_eq!(words, query("words"), "the same every time");
        assert_eq!(words.split(' ').count(), 5, "{words}");
        assert!(words.split(' ').all(|word| payload.text("text").unwrap().contains(word)));
        let none = PseudoQuery::Sentence.query(&Payload::new(), &field, 7);
        assert_eq!(none, None);
    }

    #[test]
    fn other_kinds_are_refused() {
        for text in ["", "title", "field=", "Words"] {
            assert!(text.parse::<PseudoQuery>().is_err(), "{text}");
        }
    }
}
