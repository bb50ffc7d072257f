//! Keys, and which of them a request shows.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;

use super::meter::Meter;
use crate::settings::SettingsError;

/// Shorter secrets could be guessed.
const MIN_SECRET_BYTES: usize = 16;

/// A key as a user wrote it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// What the key is called in refusals and in the log.
    pub name: String,
    /// What callers send: 16 visible ASCII characters or more.
    pub secret: Secret,
    /// What it allows; `read` unless stated.
    #[serde(default)]
    pub access: KeyAccess,
    /// The collections it works in: names, or beginnings of names and a `*`. Default: all, and what
    /// concerns the server as a whole.
    #[serde(default)]
    pub collections: Option<Vec<String>>,
    /// Requests a second, more than 0; as many as come.
    #[serde(default)]
    pub requests_per_second: Option<f64>,
    /// Points written a second, more than 0; as many as come. A batch is taken as a whole.
    #[serde(default)]
    pub points_per_second: Option<f64>,
    /// Points there may be in the collections it works in; any number.
    #[serde(default)]
    pub max_points: Option<u64>,
}

/// What a key allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyAccess {
    /// To search and read.
    #[default]
    Read,
    /// To search, read, write, create and drop.
    Write,
}

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One key.
#[derive(Debug, PartialEq)]
pub(crate) struct Key {
    pub name: String,
    pub access: KeyAccess,
    pub collections: Option<Vec<String>>,
    pub requests: Option<Meter>,
    pub points: Option<Meter>,
    pub max_points: Option<u64>,
    /// The hash of its secret: all are of one length, and compared in constant time.
    digest: blake3::Hash,
}

impl Key {
    /// Whether the key works in a collection.
    pub(crate) fn covers(&self, collection: &str) -> bool {
        let covers = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => collection.starts_with(beginning),
            None => collection == pattern,
        };
        self.collections.as_ref().is_none_or(|patterns| patterns.iter().any(covers))
    }
}

/// All keys; none lets everybody in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys(Vec<Arc<Key>>);

impl Keys {
    /// Checks what a user wrote.
    pub(crate) fn new(written: Vec<KeySettings>) -> Result<Self, SettingsError> {
        let mut keys = Self::default();
        let now = Instant::now();
        for key in written {
            let KeySettings { name, secret: Secret(secret), access, collections, .. } = key;
            let refused = |reason| SettingsError::Key { name: name.clone(), reason };
            if secret.len() < MIN_SECRET_BYTES
                || !secret.bytes().all(|byte| byte.is_ascii_graphic())
            {
                return Err(refused("expected a secret of 16 or more visible ASCII characters"));
            }
            let digest = blake3::hash(secret.as_bytes());
            if keys.0.iter().any(|key| key.name == name || key.digest == digest) {
                return Err(refused("another key has this name or secret"));
            }
            let meter = |rate: Option<f64>, reason| match rate {
                Some(rate) if rate > 0.0 && rate.is_finite() => Ok(Some(Meter::new(rate, now))),
                Some(_) => Err(refused(reason)),
                None => Ok(None),
            };
            let requests =
                meter(key.requests_per_second, "expected requests_per_second to be more than 0")?;
            let points =
                meter(key.points_per_second, "expected points_per_second to be more than 0")?;
            let max_points = key.max_points;
            let key = Key { name, access, collections, requests, points, max_points, digest };
            keys.0.push(Arc::new(key));
        }
        Ok(keys)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the key of a secret. All keys are looked at, whichever it is.
    pub(crate) fn find(&self, secret: &[u8]) -> Option<&Arc<Key>> {
        let digest = blake3::hash(secret);
        // Comparing two hashes takes the same time wherever they differ.
        self.0.iter().fold(None, |found, key| if key.digest == digest { Some(key) } else { found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, secret: &str) -> KeySettings {
        KeySettings { name: name.to_owned(), secret: Secret::new(secret), ..KeySettings::default() }
    }

    #[test]
    fn weak_and_doubled_keys_are_refused_by_name_and_without_their_secret() {
        let good = "0123456789abcdef";
        for keys in [
            vec![written("short", "0123456789abcde")],
            vec![written("short", "0123456789 abcdef")],
            vec![written("a", good), written("short", good)],
            vec![written("short", good), written("short", "another-secret-16")],
        ] {
            let error = Keys::new(keys).unwrap_err().to_string();
            assert!(error.contains("\"short\"") && !error.contains("0123"), "{error}");
        }
        assert!(!format!("{:?}", written("a", good)).contains(good));
    }

    #[test]
    fn a_rate_of_nothing_is_refused_by_name() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let key = written("a", "0123456789abcdef");
            let requests = KeySettings { requests_per_second: Some(rate), ..key.clone() };
            let error = Keys::new(vec![requests]).unwrap_err().to_string();
            assert!(error.contains("requests_per_second"), "{error}");
            let points = KeySettings { points_per_second: Some(rate), ..key };
            let error = Keys::new(vec![points]).unwrap_err().to_string();
            assert!(error.contains("points_per_second"), "{error}");
        }
    }

    #[test]
    fn a_key_is_found_by_all_of_its_secret_only() {
        let keys = Keys::new(vec![written("a", "0123456789abcdef")]).unwrap();
        assert_eq!(keys.find(b"0123456789abcdef").unwrap().name, "a");
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
            assert!(keys.find(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_scope_is_names_and_beginnings_of_names() {
        let scope = Some(vec!["docs".to_owned(), "team-*".to_owned()]);
        let keys =
            Keys::new(vec![KeySettings { collections: scope, ..written("a", "0123456789abcdef") }]);
        let keys = keys.unwrap();
        let key = keys.find(b"0123456789abcdef").unwrap();
        for (name, covered) in
            [("docs", true), ("docs2", false), ("team-a", true), ("team", false), ("", false)]
        {
            assert_eq!(key.covers(name), covered, "{name}");
        }
    }
}
