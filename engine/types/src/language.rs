//! Languages whose words are stemmed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The language of a text, as far as its words are stemmed.
///
/// ```
/// use bigrain_types::Language;
///
/// assert_eq!("en".parse(), Ok(Language::English));
/// assert_eq!(Language::None.code(), "none");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Language {
    /// Any or none: words are compared as they are, in lower case.
    #[default]
    #[serde(rename = "none")]
    None,
    /// `ar`
    #[serde(rename = "ar")]
    Arabic,
    /// `da`
    #[serde(rename = "da")]
    Danish,
    /// `nl`
    #[serde(rename = "nl")]
    Dutch,
    /// `en`
    #[serde(rename = "en")]
    English,
    /// `fi`
    #[serde(rename = "fi")]
    Finnish,
    /// `fr`
    #[serde(rename = "fr")]
    French,
    /// `de`
    #[serde(rename = "de")]
    German,
    /// `el`
    #[serde(rename = "el")]
    Greek,
    /// `hu`
    #[serde(rename = "hu")]
    Hungarian,
    /// `it`
    #[serde(rename = "it")]
    Italian,
    /// `no`
    #[serde(rename = "no")]
    Norwegian,
    /// `pt`
    #[serde(rename = "pt")]
    Portuguese,
    /// `ro`
    #[serde(rename = "ro")]
    Romanian,
    /// `ru`
    #[serde(rename = "ru")]
    Russian,
    /// `es`
    #[serde(rename = "es")]
    Spanish,
    /// `sv`
    #[serde(rename = "sv")]
    Swedish,
    /// `ta`
    #[serde(rename = "ta")]
    Tamil,
    /// `tr`
    #[serde(rename = "tr")]
    Turkish,
}

/// No such language.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("unknown language {given:?}: expected {}", Language::codes())]
pub struct LanguageError {
    given: String,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 19] = [
        Self::None,
        Self::Arabic,
        Self::Danish,
        Self::Dutch,
        Self::English,
        Self::Finnish,
        Self::French,
        Self::German,
        Self::Greek,
        Self::Hungarian,
        Self::Italian,
        Self::Norwegian,
        Self::Portuguese,
        Self::Romanian,
        Self::Russian,
        Self::Spanish,
        Self::Swedish,
        Self::Tamil,
        Self::Turkish,
    ];

    /// Returns the code by which people name the language: ISO 639-1, or `none`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Arabic => "ar",
            Self::Danish => "da",
            Self::Dutch => "nl",
            Self::English => "en",
            Self::Finnish => "fi",
            Self::French => "fr",
            Self::German => "de",
            Self::Greek => "el",
            Self::Hungarian => "hu",
            Self::Italian => "it",
            Self::Norwegian => "no",
            Self::Portuguese => "pt",
            Self::Romanian => "ro",
            Self::Russian => "ru",
            Self::Spanish => "es",
            Self::Swedish => "sv",
            Self::Tamil => "ta",
            Self::Turkish => "tr",
        }
    }

    /// Whether a list of stop words is known.
    #[must_use]
    pub fn has_stop_words(self) -> bool {
        !matches!(
            self,
            Self::None | Self::Arabic | Self::Greek | Self::Romanian | Self::Tamil | Self::Turkish
        )
    }

    fn codes() -> String {
        Self::ALL.map(Self::code).join(", ")
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Language {
    type Err = LanguageError;

    fn from_str(text: &str) -> Result<Self, LanguageError> {
        let found = Self::ALL.into_iter().find(|language| language.code() == text);
        found.ok_or_else(|| LanguageError { given: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_and_stored() {
        for language in Language::ALL {
            assert_eq!(language.to_string().parse(), Ok(language));
            let json = serde_json::to_string(&language).unwrap();
            assert_eq!(json, format!("{:?}", language.code()));
            assert_eq!(serde_json::from_str::<Language>(&json).unwrap(), language);
        }
        let error = "english".parse::<Language>().unwrap_err().to_string();
        assert!(
            error.starts_with("unknown language \"english\": expected none, ar, da"),
            "{error}"
        );
    }
}
