//! Payload fields that are searched by words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::filter::FieldPath;
use crate::language::{Language, LanguageError};
use crate::{FilterError, Payload};

/// What stands after the language of a text field whose stop words are left out.
const NO_STOP_WORDS: &str = "no-stop-words";

/// Payload texts that are searched by words together and ranked by BM25.
///
/// ```
/// use bigrain_types::{Language, TextField};
///
/// let field = TextField::new("title", Language::English)?.and("article.body")?;
/// assert_eq!(field.name(), "title+article.body");
/// assert_eq!("title+article.body:en".parse(), Ok(field));
/// # Ok::<(), bigrain_types::FilterError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextField {
    /// Where texts lie in payloads; those of all paths, and of arrays at their ends, count as one.
    /// Never empty.
    #[serde(deserialize_with = "some_paths")]
    pub paths: Vec<FieldPath>,
    /// The language whose endings are cut off words.
    #[serde(default)]
    pub language: Language,
    /// Whether words that say nothing (`the`, `of`) are left out, of texts and queries alike.
    #[serde(default)]
    pub drop_stop_words: bool,
}

/// No description of a text field.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextFieldError {
    /// A path is malformed.
    #[error(transparent)]
    Path(#[from] FilterError),
    /// There is no such language.
    #[error(transparent)]
    Language(#[from] LanguageError),
    /// Something else follows the language.
    #[error("expected PATH[+PATH][:LANGUAGE[:no-stop-words]], got {0:?}")]
    Form(String),
}

impl TextField {
    /// Returns the field of the texts at a path, with stop words.
    ///
    /// # Errors
    ///
    /// [`FilterError`] for a malformed path.
    pub fn new(path: &str, language: Language) -> Result<Self, FilterError> {
        Ok(Self { paths: vec![FieldPath::parse(path)?], language, drop_stop_words: false })
    }

    /// Adds the texts at another path.
    ///
    /// # Errors
    ///
    /// [`FilterError`] for a malformed path.
    pub fn and(mut self, path: &str) -> Result<Self, FilterError> {
        self.paths.push(FieldPath::parse(path)?);
        Ok(self)
    }

    /// Leaves out stop words. Only some languages have a list of them:
    /// [`Language::has_stop_words`].
    #[must_use]
    pub fn without_stop_words(mut self) -> Self {
        self.drop_stop_words = true;
        self
    }

    /// Returns what requests call the field: its paths, with `+` between them.
    #[must_use]
    pub fn name(&self) -> String {
        self.paths.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
    }

    /// Calls `visit` with every text that a payload has in the field.
    pub fn each_text(&self, payload: &Payload, visit: &mut dyn FnMut(&str)) {
        self.paths.iter().for_each(|path| path.each_text(payload, visit));
    }
}

fn some_paths<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<FieldPath>, D::Error> {
    let paths: Vec<FieldPath> = Deserialize::deserialize(from)?;
    if paths.is_empty() {
        return Err(serde::de::Error::custom("a text field has at least one path"));
    }
    Ok(paths)
}

impl fmt::Display for TextField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name(), self.language)?;
        if self.drop_stop_words { write!(f, ":{NO_STOP_WORDS}") } else { Ok(()) }
    }
}

impl FromStr for TextField {
    type Err = TextFieldError;

    /// Reads `PATH[+PATH][:LANGUAGE[:no-stop-words]]`.
    fn from_str(text: &str) -> Result<Self, TextFieldError> {
        let mut parts = text.split(':');
        let paths = parts.next().unwrap_or_default().split('+');
        let paths = paths.map(FieldPath::parse).collect::<Result<_, _>>()?;
        let language = parts.next().map_or(Ok(Language::None), str::parse)?;
        let drop_stop_words = match (parts.next(), parts.next()) {
            (None, _) => false,
            (Some(NO_STOP_WORDS), None) => true,
            (Some(_), _) => return Err(TextFieldError::Form(text.to_owned())),
        };
        Ok(Self { paths, language, drop_stop_words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read() {
        for text in ["a:none", "a+b.c:en", "t[].x:de:no-stop-words"] {
            let field: TextField = text.parse().unwrap();
            assert_eq!(field.to_string(), text);
            let json = serde_json::to_string(&field).unwrap();
            assert_eq!(serde_json::from_str::<TextField>(&json).unwrap(), field);
        }
        assert_eq!("a".parse(), TextField::new("a", Language::None).map_err(TextFieldError::from));
        for text in ["", "a+", "a:xx", "a:en:all", "a:en:no-stop-words:b"] {
            assert!(text.parse::<TextField>().is_err(), "{text}");
        }
        assert!(serde_json::from_str::<TextField>(r#"{"paths":[]}"#).is_err());
    }

    #[test]
    fn texts_of_all_paths_are_visited() {
        let payload = Payload::from_json(br#"{"a":"x","b":{"c":["y",1,"z"]},"d":"w"}"#).unwrap();
        let field = TextField::new("a", Language::None).unwrap().and("b.c").unwrap();
        let mut texts = Vec::new();
        field.each_text(&payload, &mut |text| texts.push(text.to_owned()));
        assert_eq!(texts, ["x", "y", "z"]);
    }
}
