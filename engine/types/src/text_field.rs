//! Payload fields that are searched by words.

use serde::{Deserialize, Serialize};

use crate::FilterError;
use crate::filter::FieldPath;
use crate::language::Language;

/// A payload field that is searched by words and ranked by BM25.
///
/// ```
/// use bigrain_types::{Language, TextField};
///
/// let field = TextField::new("article.body", Language::English)?.without_stop_words();
/// assert_eq!(field.path.to_string(), "article.body");
/// # Ok::<(), bigrain_types::FilterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextField {
    /// Where the text lies in payloads. Where an array lies there, its texts count as one.
    pub path: FieldPath,
    /// The language whose endings are cut off words.
    #[serde(default)]
    pub language: Language,
    /// Whether words that say nothing (`the`, `of`) are left out, of texts and queries alike.
    #[serde(default)]
    pub drop_stop_words: bool,
}

impl TextField {
    /// Returns the field at a path, with stop words.
    ///
    /// # Errors
    ///
    /// [`FilterError`] for a malformed path.
    pub fn new(path: &str, language: Language) -> Result<Self, FilterError> {
        Ok(Self { path: FieldPath::parse(path)?, language, drop_stop_words: false })
    }

    /// Leaves out stop words. Only some languages have a list of them:
    /// [`Language::has_stop_words`].
    #[must_use]
    pub fn without_stop_words(mut self) -> Self {
        self.drop_stop_words = true;
        self
    }
}
