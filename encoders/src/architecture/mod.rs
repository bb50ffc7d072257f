//! Which kind of model a folder holds.
//!
//! [`Architecture`] is what a `config.json` describes; what it builds is a [`TextModel`]. Nothing
//! outside a family's own folder and this file knows families apart.
//!
//! Adding a family: its configuration and its model in a folder beside `bert/`, an implementation
//! of [`TextModel`] there, and its lines in the `match`es of [`Architecture`].

mod config_error;
mod text_model;

use serde::Deserialize;

use crate::bert::{BertConfig, BertTextModel};
use crate::m2_bert::{M2BertConfig, M2BertTextModel, PadPolicy};
use crate::pooling::Pooling;
use crate::runtime::Runtime;
use crate::weights::{TensorSpec, Tensors, WeightsError};

pub use config_error::ModelConfigError;
pub(crate) use config_error::{check_sizes, range};
pub(crate) use text_model::{EmbedTexts, Head, TextModel, TokenRows};

/// The shape of a model, as the `config.json` of its family gives it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Architecture {
    /// BERT and its relatives with the same arithmetic.
    Bert(BertConfig),
    /// M2-BERT, and how far it pads texts.
    M2Bert(M2BertConfig, PadPolicy),
}

/// A model that could not be built from its configuration and tensors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildModelError {
    #[error(transparent)]
    Config(#[from] ModelConfigError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl Architecture {
    /// Reads and checks the text of a `config.json`.
    ///
    /// # Errors
    ///
    /// [`ModelConfigError`] for text that is not such a file, a family that is not supported, or
    /// sizes that do not fit together.
    pub fn parse(json: &[u8]) -> Result<Self, ModelConfigError> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(default)]
            model_type: String,
            type_vocab_size: Option<usize>,
        }
        // The family comes first: another family's file lacks fields, which would say less.
        let kind: Kind = serde_json::from_slice(json)?;
        // Before BERT, as which some of these models pass themselves off.
        if M2BertConfig::recognizes(json) {
            return M2BertConfig::parse(json)
                .map(|config| Self::M2Bert(config, PadPolicy::default()));
        }
        // Files from before families had names, PROP's among them; RoBERTa's then had one type.
        let unnamed_bert = kind.model_type.is_empty() && kind.type_vocab_size == Some(2);
        if unnamed_bert || BertConfig::knows(&kind.model_type) {
            return BertConfig::parse(json).map(Self::Bert);
        }
        Err(ModelConfigError::ModelType(kind.model_type))
    }

    /// The family's name, as `config.json` says it.
    #[must_use]
    pub fn family(&self) -> &str {
        match self {
            Self::Bert(config) => &config.model_type,
            Self::M2Bert(..) => M2BertConfig::MODEL_TYPE,
        }
    }

    /// Values of one token's row.
    #[must_use]
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.hidden_size,
            Self::M2Bert(config, _) => config.hidden_size,
        }
    }

    /// Rows of the word table: token ids lie below it.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.vocab_size,
            Self::M2Bert(config, _) => config.vocab_size,
        }
    }

    /// The most tokens of a text.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        match self {
            Self::Bert(config) => config.max_tokens(),
            Self::M2Bert(config, _) => config.max_tokens(),
        }
    }

    /// The same shape with a caller's padding, where texts are padded at all.
    pub(crate) fn padded_by(self, pad_policy: PadPolicy) -> Self {
        match self {
            Self::Bert(config) => Self::Bert(config),
            Self::M2Bert(config, _) => Self::M2Bert(config, pad_policy),
        }
    }

    /// How rows become a vector where neither folder nor caller says.
    pub(crate) fn default_pooling(&self) -> Pooling {
        match self {
            Self::Bert(_) => Pooling::Mean,
            Self::M2Bert(..) => Pooling::Pooler,
        }
    }

    /// Types the texts of a pair may have; 1 if the model does not tell them apart.
    pub(crate) fn pair_types(&self) -> usize {
        match self {
            Self::Bert(config) => config.pair_types(),
            Self::M2Bert(..) => 1,
        }
    }

    /// The name of the layer that gives the label of [`Head::Classifier`]; empty in families without.
    pub(crate) fn label_layer(&self) -> &'static str {
        match self {
            Self::Bert(config) => config.label_layer(),
            Self::M2Bert(..) => "",
        }
    }

    /// The tensors of the model with a head.
    pub(crate) fn tensors(&self, head: Head) -> Vec<TensorSpec> {
        match self {
            Self::Bert(config) => config.tensors(head),
            Self::M2Bert(config, _) => config.tensors(head),
        }
    }

    /// What of the configuration decides an embedding beside the tensors; part of the id of the
    /// embedding space, so it never changes for a model that is in use.
    pub(crate) fn fingerprint(&self) -> String {
        match self {
            Self::Bert(config) => config.fingerprint(),
            Self::M2Bert(config, pad_policy) => config.fingerprint(*pad_policy),
        }
    }

    /// Builds the model with a head, to run on `runtime`: on its device too, if there is one.
    pub(crate) fn build(
        &self,
        tensors: &Tensors<'_>,
        head: Head,
        runtime: &Runtime,
    ) -> Result<Box<dyn TextModel>, BuildModelError> {
        match self {
            Self::Bert(config) => Ok(Box::new(BertTextModel::build(config, tensors, head)?.on(
                runtime.device(),
                config,
                tensors,
            ))),
            Self::M2Bert(config, pad_policy) => {
                config.check_head(head)?;
                let model = M2BertTextModel::build(config, *pad_policy, tensors, head)?;
                Ok(Box::new(model.on(runtime, config, tensors)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_is_named_before_the_fields_it_lacks() {
        let error = Architecture::parse(br#"{"model_type": "t5"}"#).unwrap_err().to_string();
        assert!(error.starts_with("model type \"t5\" is not supported: expected bert"), "{error}");
        let error = Architecture::parse(br#"{"type_vocab_size": 1}"#).unwrap_err().to_string();
        assert!(error.starts_with("model type \"\" is not supported"), "{error}");
        assert!(Architecture::parse(b"[").is_err());
    }
}
