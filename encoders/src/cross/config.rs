//! What a cross-encoder's `config.json` says about its score.

use std::fmt;

use serde::Deserialize;

use crate::architecture::ModelConfigError;

/// What is applied to the model's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScoreActivation {
    /// Nothing: any number, as the model gives it.
    #[default]
    Raw,
    /// `1 / (1 + e^-x)`: between 0 and 1, in the same order.
    Sigmoid,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ScoreConfig {
    sentence_transformers: SentenceTransformers,
    sbert_ce_default_activation_function: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SentenceTransformers {
    activation_fn: Option<String>,
}

impl ScoreActivation {
    /// What the text of a `config.json` asks for: sentence-transformers writes it there. Raw where
    /// it says nothing.
    pub(super) fn parse(json: &[u8]) -> Result<Self, ModelConfigError> {
        let config: ScoreConfig = serde_json::from_slice(json)?;
        let named = config.sentence_transformers.activation_fn;
        let Some(named) = named.or(config.sbert_ce_default_activation_function) else {
            return Ok(Self::Raw);
        };
        match named.rsplit('.').next() {
            Some("Identity") => Ok(Self::Raw),
            Some("Sigmoid") => Ok(Self::Sigmoid),
            _ => Err(ModelConfigError::Unsupported {
                field: "activation_fn",
                actual: named,
                expected: "torch.nn.modules.linear.Identity or torch.nn.modules.activation.Sigmoid",
            }),
        }
    }

    /// Returns the score of a model's number.
    #[must_use]
    pub fn apply(self, raw: f32) -> f32 {
        match self {
            Self::Raw => raw,
            Self::Sigmoid => 1.0 / (1.0 + (-raw).exp()),
        }
    }
}

impl fmt::Display for ScoreActivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Sigmoid => "sigmoid",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_places_are_read_and_the_new_one_counts() {
        let parse = |json: &str| ScoreActivation::parse(json.as_bytes());
        let new = r#"{"sentence_transformers": {"activation_fn":
            "torch.nn.modules.activation.Sigmoid", "version": "4.1.0"},
            "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}"#;
        assert_eq!(parse(new).unwrap(), ScoreActivation::Sigmoid);
        let old = r#"{"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}"#;
        assert_eq!(parse(old).unwrap(), ScoreActivation::Raw);
        assert_eq!(parse("{}").unwrap(), ScoreActivation::Raw);
        let other = parse(r#"{"sbert_ce_default_activation_function": "a.Softmax"}"#).unwrap_err();
        assert!(other.to_string().starts_with("activation_fn \"a.Softmax\" is not supported"));
    }

    #[test]
    fn sigmoid_keeps_the_order_and_holds_its_ends() {
        let score = |raw| ScoreActivation::Sigmoid.apply(raw);
        assert_eq!((score(0.0), score(-1000.0), score(1000.0)), (0.5, 0.0, 1.0));
        assert!(score(-0.2) < score(0.1));
    }
}
