//! A model folder as it was downloaded.
//!
//! Two layouts are read, both unmodified:
//!
//! ```text
//! sentence-transformers                     Hugging Face
//!   modules.json                              config.json
//!   config.json                               tokenizer.json, vocab.txt, or
//!   sentence_bert_config.json                   vocab.json with merges.txt
//!   config_sentence_transformers.json         tokenizer_config.json
//!   tokenizer.json ...                        model.safetensors ...
//!   tokenizer_config.json
//!   model.safetensors ...
//!   1_Pooling/config.json
//!   2_Dense/config.json, model.safetensors ...
//! ```
//!
//! The first says how rows become a vector. The second does not: without `modules.json` rows are
//! averaged (of M2-BERT, pooled as its family does it) and not normalised, unless [`OpenOptions`]
//! says otherwise.
//!
//! Which families there are is said in `architecture`.

mod dense;
mod error;
mod files;
mod modules;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::architecture::Architecture;
use crate::m2_bert::PadPolicy;
use crate::pooling::Pooling;

pub use dense::{DenseActivation, DenseModule};
pub use error::ModelDirError;
pub(crate) use files::TokenizerFiles;
use files::read_json_if_there;
pub(crate) use files::{is_there, parse_json, read, weights};
use modules::{Modules, PromptConfig};

/// What a caller decides rather than the folder. Default: the folder decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// How rows become a vector.
    pub pooling: Option<Pooling>,
    /// Whether embeddings are brought to length one.
    pub normalize: Option<bool>,
    /// The most tokens of a text, special tokens included.
    pub max_tokens: Option<usize>,
    /// What is put before texts. A model that was trained with prefixes which its folder does not
    /// state (E5: `query: ` and `passage: `) needs them; they are never guessed.
    pub prompts: Option<Prompts>,
    /// How far texts are padded by a model that has no attention mask (M2-BERT); part of what the
    /// model computes. Default: to the longest text it reads.
    pub pad_policy: PadPolicy,
}

/// Everything a model folder says, read and checked; its weights are not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDir {
    /// The folder of the transformer, where its weights and its tokenizer are.
    path: PathBuf,
    /// The shape of the model.
    pub architecture: Architecture,
    /// How rows become a vector.
    pub pooling: Pooling,
    /// Layers the vector goes through, in order.
    pub dense: Vec<DenseModule>,
    /// Whether embeddings are brought to length one.
    pub normalize: bool,
    /// The most tokens of a text, special tokens included.
    pub max_tokens: usize,
    /// What is put before texts.
    pub prompts: Prompts,
    /// Whether texts are brought to lower case before the tokenizer sees them.
    pub lowercase: bool,
    /// Whether a tokenizer made from `vocab.txt` brings words to lower case.
    pub vocab_lowercase: bool,
}

/// Prefixes a model was trained with. Default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    /// Put before each document.
    pub document: String,
    /// Put before each query.
    pub query: String,
}

/// Where sentence-transformers keeps the length of texts: a file by the name of the family.
const SENTENCE_CONFIGS: [&str; 7] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_mpnet_config.json",
    "sentence_electra_config.json",
];

#[derive(Default, Deserialize)]
#[serde(default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

#[derive(Deserialize)]
#[serde(default)]
struct TokenizerConfig {
    do_lower_case: bool,
    /// A float, since "no limit" is written as 1e30.
    model_max_length: Option<f64>,
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self { do_lower_case: true, model_max_length: None }
    }
}

impl ModelDir {
    /// Reads the configuration files of the folder at `path`.
    ///
    /// # Errors
    ///
    /// [`ModelDirError`] names the file and what it should have held.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, ModelDirError> {
        let modules = Modules::read(path)?;
        let root = path.join(&modules.transformer);
        let config_path = root.join("config.json");
        let architecture = Architecture::parse(&read(&config_path)?)
            .map_err(|source| ModelDirError::Config { path: config_path, source })?
            .padded_by(options.pad_policy);
        let mut sentence = None;
        for name in SENTENCE_CONFIGS {
            if sentence.is_none() {
                sentence = read_json_if_there::<SentenceConfig>(&root.join(name))?;
            }
        }
        let sentence = sentence.unwrap_or_default();
        let tokenizer: TokenizerConfig =
            read_json_if_there(&root.join("tokenizer_config.json"))?.unwrap_or_default();
        let prompts = match &options.prompts {
            Some(prompts) => prompts.clone(),
            None => PromptConfig::read(path)?,
        };
        modules.check(architecture.hidden_size(), &prompts)?;
        let asked = options.max_tokens.or(sentence.max_seq_length);
        Ok(Self {
            path: root,
            pooling: options
                .pooling
                .or(modules.pooling)
                .unwrap_or_else(|| architecture.default_pooling()),
            dense: modules.dense,
            normalize: options.normalize.unwrap_or(modules.normalize),
            max_tokens: max_tokens(asked, tokenizer.model_max_length, architecture.max_tokens())?,
            prompts,
            lowercase: sentence.do_lower_case,
            vocab_lowercase: tokenizer.do_lower_case,
            architecture,
        })
    }

    /// Values of an embedding.
    #[must_use]
    pub fn dims(&self) -> usize {
        let last = self.dense.last().map(|dense| dense.outputs);
        last.unwrap_or_else(|| self.architecture.hidden_size())
    }

    /// The path and the text of `config.json`.
    pub(crate) fn config_json(&self) -> Result<(PathBuf, Vec<u8>), ModelDirError> {
        let path = self.path.join("config.json");
        let json = read(&path)?;
        Ok((path, json))
    }

    /// The files the tokenizer is made from.
    ///
    /// # Errors
    ///
    /// [`ModelDirError::MissingFile`] when none of those that would do is there.
    pub(crate) fn tokenizer_files(&self) -> Result<TokenizerFiles, ModelDirError> {
        TokenizerFiles::find(&self.path)
    }

    /// The files of the weights: one, or its shards.
    ///
    /// # Errors
    ///
    /// [`ModelDirError::MissingFile`] when none of those that would do is there, and other
    /// [`ModelDirError`] when an index of shards is refused.
    pub fn weights_files(&self) -> Result<Vec<PathBuf>, ModelDirError> {
        weights(&self.path)
    }
}

/// The limit asked for, else the tokenizer's if it is one, else the model's.
fn max_tokens(
    asked: Option<usize>,
    tokenizer: Option<f64>,
    limit: usize,
) -> Result<usize, ModelDirError> {
    match asked {
        Some(actual) if (1..=limit).contains(&actual) => Ok(actual),
        Some(actual) => Err(ModelDirError::MaxTokens { limit, actual }),
        // Cast saturates, and "no limit" is far above any table.
        None => Ok(tokenizer.map_or(limit, |length| (length as usize).clamp(1, limit))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONFIG: &str = r#"{"model_type": "bert", "vocab_size": 30, "hidden_size": 12,
        "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 24,
        "max_position_embeddings": 64}"#;
    const MODULES: &str = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]"#;
    const CLS: &str = r#"{"word_embedding_dimension": 12, "pooling_mode_cls_token": true,
        "pooling_mode_mean_tokens": false}"#;

    fn open(files: &[(&str, &str)], options: &OpenOptions) -> Result<ModelDir, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let name = format!("{}/", folder.path().display());
        ModelDir::open(folder.path(), options).map_err(|e| e.to_string().replace(&name, ""))
    }

    #[test]
    fn a_sentence_transformers_folder_says_everything() {
        let files = [
            ("config.json", CONFIG),
            ("modules.json", MODULES),
            ("1_Pooling/config.json", CLS),
            ("sentence_bert_config.json", r#"{"max_seq_length": 32}"#),
            (
                "config_sentence_transformers.json",
                r#"{"prompts": {"query": "q: ", "passage": "p: "}, "default_prompt_name": null}"#,
            ),
        ];
        let dir = open(&files, &OpenOptions::default()).unwrap();
        assert_eq!((dir.pooling, dir.normalize, dir.max_tokens), (Pooling::Cls, true, 32));
        assert_eq!(dir.prompts, Prompts { document: "p: ".to_owned(), query: "q: ".to_owned() });
    }

    #[test]
    fn a_plain_folder_averages_unless_told_otherwise() {
        let files =
            [("config.json", CONFIG), ("tokenizer_config.json", r#"{"model_max_length": 1e30}"#)];
        let dir = open(&files, &OpenOptions::default()).unwrap();
        assert_eq!((dir.pooling, dir.normalize, dir.max_tokens), (Pooling::Mean, false, 64));
        let options = OpenOptions {
            pooling: Some(Pooling::Pooler),
            normalize: Some(true),
            max_tokens: Some(9),
            prompts: Some(Prompts {
                query: "query: ".to_owned(),
                document: "passage: ".to_owned(),
            }),
            ..OpenOptions::default()
        };
        let dir = open(&files, &options).unwrap();
        assert_eq!((dir.pooling, dir.normalize, dir.max_tokens), (Pooling::Pooler, true, 9));
        assert_eq!(dir.prompts.document, "passage: ");
        let options = OpenOptions { max_tokens: Some(65), ..OpenOptions::default() };
        assert_eq!(
            open(&files, &options).unwrap_err(),
            "max tokens out of range: expected 1 to 64, got 65"
        );
    }

    #[test]
    fn every_pooling_of_a_folder_is_found_in_both_spellings() {
        for (old, new, expected) in [
            ("cls_token", "cls", Pooling::Cls),
            ("mean_tokens", "mean", Pooling::Mean),
            ("max_tokens", "max", Pooling::Max),
            ("lasttoken", "lasttoken", Pooling::Last),
            ("weightedmean_tokens", "weightedmean", Pooling::WeightedMean),
            ("mean_sqrt_len_tokens", "mean_sqrt_len_tokens", Pooling::MeanSqrtLen),
        ] {
            let flags = format!(r#"{{"pooling_mode_{old}": true, "pooling_mode_other": false}}"#);
            for config in [flags, format!(r#"{{"pooling_mode": "{new}"}}"#)] {
                let files = [
                    ("config.json", CONFIG),
                    ("modules.json", MODULES),
                    ("1_Pooling/config.json", &config),
                ];
                assert_eq!(open(&files, &OpenOptions::default()).unwrap().pooling, expected);
            }
        }
    }

    #[test]
    fn dense_layers_change_the_width_and_must_fit() {
        let modules = MODULES.replace(
            r#"{"path": "2_Normalize""#,
            r#"{"path": "2_Dense", "type": "sentence_transformers.models.Dense"},
               {"path": "3_Normalize""#,
        );
        let dense = |inputs: usize, activation: &str| {
            let config = format!(
                r#"{{"in_features": {inputs}, "out_features": 5, "bias": true,
                     "activation_function": "torch.nn.modules.activation.{activation}"}}"#
            );
            let files = [
                ("config.json", CONFIG),
                ("modules.json", &modules),
                ("1_Pooling/config.json", CLS),
                ("2_Dense/config.json", &config),
            ];
            open(&files, &OpenOptions::default())
        };
        let dir = dense(12, "Tanh").unwrap();
        assert_eq!((dir.dims(), dir.normalize), (5, true));
        assert_eq!(dir.dense[0].activation, DenseActivation::Tanh);
        assert_eq!(
            dense(13, "Tanh").unwrap_err(),
            "2_Dense/config.json: in_features 13 is not supported: expected the 12 values before it"
        );
        let error = dense(12, "Mish").unwrap_err();
        assert!(error.starts_with("2_Dense/config.json: activation_function torch"), "{error}");
    }

    #[test]
    fn a_prompt_that_the_pooling_would_leave_out_is_refused() {
        let pooling = r#"{"pooling_mode_mean_tokens": true, "include_prompt": false}"#;
        let mut files = vec![
            ("config.json", CONFIG),
            ("modules.json", MODULES),
            ("1_Pooling/config.json", pooling),
        ];
        assert!(open(&files, &OpenOptions::default()).is_ok());
        files.push(("config_sentence_transformers.json", r#"{"prompts": {"query": "q: "}}"#));
        let error = open(&files, &OpenOptions::default()).unwrap_err();
        assert!(error.starts_with("1_Pooling/config.json: pooling without the prompt"), "{error}");
    }

    #[test]
    fn refusals_name_the_file() {
        let other = MODULES.replace("Normalize\"}", "LayerNorm\"}");
        let outside = MODULES.replace("1_Pooling", "../1_Pooling");
        let max = CLS.replace("cls_token", "median");
        let both = CLS.replace("false", "true");
        let pool = ("1_Pooling/config.json", CLS);
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[], "read config.json"),
            (&[("config.json", "{")], "config.json: parse model configuration"),
            (&[("modules.json", "{}"), pool], "parse modules.json"),
            (
                &[("modules.json", &other), pool],
                "modules.json: module \"sentence_transformers.models.LayerNorm\"",
            ),
            (&[("modules.json", &outside), pool], "modules.json: module"),
            (
                &[("modules.json", MODULES), ("1_Pooling/config.json", &max)],
                "1_Pooling/config.json: pooling median is not supported",
            ),
            (
                &[("modules.json", MODULES), ("1_Pooling/config.json", &both)],
                "1_Pooling/config.json: pooling cls_token + mean_tokens is not supported",
            ),
        ];
        for (files, message) in cases {
            let error = open(files, &OpenOptions::default()).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
