//! From a text to its words.

use bigrain_types::filter::MAX_WORD_BYTES;
use bigrain_types::{Language, Payload, TextField};
use tantivy::tokenizer::{
    Language as Stemmed, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, StopWordFilter,
    TextAnalyzer,
};

/// Counted up when the same text comes to have other words: what was indexed by another version is
/// not found, until it is indexed again.
const VERSION: u32 = 1;

/// Cuts the texts of one field into words: runs of letters and digits, in lower case, without stop
/// words if asked, stemmed.
#[derive(Clone)]
pub struct Analyzer {
    field: TextField,
    tokenizer: TextAnalyzer,
}

/// The words of a query, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryWords(Vec<(String, u32)>);

impl Analyzer {
    /// Returns what cuts the texts of a field.
    #[must_use]
    pub fn new(field: &TextField) -> Self {
        Self { field: field.clone(), tokenizer: tokenizer(field) }
    }

    /// Returns the field.
    #[must_use]
    pub fn field(&self) -> &TextField {
        &self.field
    }

    /// Calls `visit` with every word that a payload has in the field.
    pub fn words_of(&mut self, payload: &Payload, visit: &mut dyn FnMut(&str)) {
        let Self { field, tokenizer } = self;
        field.each_text(payload, &mut |text| {
            tokenizer.token_stream(text).process(&mut |token| visit(&token.text));
        });
    }

    /// Returns the words of a query, in the order in which they come first.
    pub fn query(&mut self, text: &str) -> QueryWords {
        let mut words: Vec<(String, u32)> = Vec::new();
        self.tokenizer.token_stream(text).process(&mut |token| match words
            .iter_mut()
            .find(|(word, _)| *word == token.text)
        {
            Some((_, count)) => *count += 1,
            None => words.push((token.text.clone(), 1)),
        });
        QueryWords(words)
    }
}

impl std::fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analyzer").field("field", &self.field).finish_non_exhaustive()
    }
}

impl QueryWords {
    /// Returns the words with how often each occurs.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.0.iter().map(|(word, count)| (&**word, *count))
    }

    /// Returns how many different words there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns what a field is called in tantivy's schema: another path, language or version is another
/// field, so that words of one analysis are never looked up among those of another.
pub(crate) fn field_name(field: &TextField) -> String {
    let TextField { paths, language, drop_stop_words } = field;
    let mut description = format!("{VERSION} {language} {drop_stop_words}");
    paths.iter().for_each(|path| description.extend([" ", &path.to_string()]));
    format!("text {}", &blake3::hash(description.as_bytes()).to_hex()[..32])
}

/// Returns tantivy's analyzer of a field.
pub(crate) fn tokenizer(field: &TextField) -> TextAnalyzer {
    let mut builder = TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD_BYTES))
        .filter_dynamic(LowerCaser);
    if let Some(language) = stemmed(field.language) {
        if field.drop_stop_words
            && let Some(stop_words) = StopWordFilter::new(language)
        {
            builder = builder.filter_dynamic(stop_words);
        }
        builder = builder.filter_dynamic(Stemmer::new(language));
    }
    builder.build()
}

fn stemmed(language: Language) -> Option<Stemmed> {
    Some(match language {
        Language::Arabic => Stemmed::Arabic,
        Language::Danish => Stemmed::Danish,
        Language::Dutch => Stemmed::Dutch,
        Language::English => Stemmed::English,
        Language::Finnish => Stemmed::Finnish,
        Language::French => Stemmed::French,
        Language::German => Stemmed::German,
        Language::Greek => Stemmed::Greek,
        Language::Hungarian => Stemmed::Hungarian,
        Language::Italian => Stemmed::Italian,
        Language::Norwegian => Stemmed::Norwegian,
        Language::Portuguese => Stemmed::Portuguese,
        Language::Romanian => Stemmed::Romanian,
        Language::Russian => Stemmed::Russian,
        Language::Spanish => Stemmed::Spanish,
        Language::Swedish => Stemmed::Swedish,
        Language::Tamil => Stemmed::Tamil,
        Language::Turkish => Stemmed::Turkish,
        Language::None | _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(field: &TextField, text: &str) -> Vec<String> {
        Analyzer::new(field).query(text).iter().map(|(word, _)| word.to_owned()).collect()
    }

    #[test]
    fn words_are_stemmed_in_their_language() {
        let field = |language| TextField::new("t", language).unwrap();
        let text = "The Foxes were running";
        assert_eq!(words(&field(Language::None), text), ["the", "foxes", "were", "running"]);
        assert_eq!(words(&field(Language::English), text), ["the", "fox", "were", "run"]);
        let short = field(Language::English).without_stop_words();
        assert_eq!(words(&short, text), ["fox", "were", "run"]);
        let german = field(Language::German);
        assert_eq!(words(&german, "Häuser"), words(&german, "Häusern"));
    }

    #[test]
    fn every_language_with_stop_words_drops_some() {
        for language in Language::ALL {
            let known = stemmed(language).is_some_and(|known| StopWordFilter::new(known).is_some());
            assert_eq!(known, language.has_stop_words(), "{language}");
        }
    }

    #[test]
    fn another_analysis_is_another_field() {
        let english = TextField::new("t", Language::English).unwrap();
        let others = [
            TextField::new("t", Language::None).unwrap(),
            TextField::new("u", Language::English).unwrap(),
            english.clone().without_stop_words(),
            english.clone().and("u").unwrap(),
        ];
        assert!(others.iter().all(|other| field_name(other) != field_name(&english)));
    }
}
