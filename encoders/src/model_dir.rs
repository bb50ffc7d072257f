//! A model folder as it was downloaded.
//!
//! Two layouts are read, both unmodified:
//!
//! ```text
//! sentence-transformers                     Hugging Face
//!   modules.json                              config.json
//!   config.json                               tokenizer.json or vocab.txt
//!   sentence_bert_config.json                 tokenizer_config.json
//!   config_sentence_transformers.json         model.safetensors
//!   tokenizer.json or vocab.txt
//!   tokenizer_config.json
//!   model.safetensors
//!   1_Pooling/config.json
//! ```
//!
//! The first says how rows become a vector. The second does not: without `modules.json` rows are
//! averaged (of M2-BERT, pooled as its family does it) and not normalised, unless [`OpenOptions`]
//! says otherwise.
//!
//! Which families there are is said in `architecture`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::architecture::{Architecture, ModelConfigError};
use crate::m2_bert::PadPolicy;
use crate::pooling::Pooling;

/// What a caller decides rather than the folder. Default: the folder decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// How rows become a vector.
    pub pooling: Option<Pooling>,
    /// Whether embeddings are brought to length one.
    pub normalize: Option<bool>,
    /// The most tokens of a text, special tokens included.
    pub max_tokens: Option<usize>,
    /// How far texts are padded by a model that has no attention mask (M2-BERT); part of what the
    /// model computes. Default: to the longest text it reads.
    pub pad_policy: PadPolicy,
}

/// Everything a model folder says, read and checked; its weights are not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDir {
    path: PathBuf,
    /// The shape of the model.
    pub architecture: Architecture,
    /// How rows become a vector.
    pub pooling: Pooling,
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

/// A model folder that is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelDirError {
    /// A file that must be there could not be read.
    #[error("read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// None of the files that would do is there.
    #[error("{path} has no {expected}")]
    MissingFile {
        /// The folder.
        path: PathBuf,
        /// The files looked for.
        expected: &'static str,
    },
    /// A file is not the JSON it should be.
    #[error("parse {path}: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// The model's configuration is refused.
    #[error("{path}: {source}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ModelConfigError,
    },
    /// `modules.json` names a step that is not supported, or steps in an order that is not.
    #[error("{path}: module {module:?} is not supported: expected Transformer, Pooling, Normalize")]
    Module {
        /// The file.
        path: PathBuf,
        /// The module.
        module: String,
    },
    /// A pooling that is not supported.
    #[error("{path}: pooling {actual} is not supported: expected mean or cls")]
    Pooling {
        /// The file.
        path: PathBuf,
        /// The poolings it asks for.
        actual: String,
    },
    /// A limit on tokens that the model's position table does not reach.
    #[error("max tokens out of range: expected 1 to {limit}, got {actual}")]
    MaxTokens {
        /// What the model has positions for.
        limit: usize,
        /// What was asked for.
        actual: usize,
    },
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SentenceConfig {
    max_seq_length: Option<usize>,
    do_lower_case: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PromptConfig {
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
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

/// What the modules after the transformer say.
struct Modules {
    transformer: PathBuf,
    pooling: Option<Pooling>,
    normalize: bool,
}

impl ModelDir {
    /// Reads the configuration files of the folder at `path`.
    ///
    /// # Errors
    ///
    /// [`ModelDirError`] names the file and what it should have held.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Self, ModelDirError> {
        let modules = read_modules(path)?;
        let root = path.join(&modules.transformer);
        let config_path = root.join("config.json");
        let architecture = Architecture::parse(&read(&config_path)?)
            .map_err(|source| ModelDirError::Config { path: config_path, source })?
            .padded_by(options.pad_policy);
        let sentence: SentenceConfig =
            read_json_if_there(&root.join("sentence_bert_config.json"))?.unwrap_or_default();
        let tokenizer: TokenizerConfig =
            read_json_if_there(&root.join("tokenizer_config.json"))?.unwrap_or_default();
        let prompts: PromptConfig =
            read_json_if_there(&path.join("config_sentence_transformers.json"))?
                .unwrap_or_default();
        let asked = options.max_tokens.or(sentence.max_seq_length);
        Ok(Self {
            path: root,
            pooling: options
                .pooling
                .or(modules.pooling)
                .unwrap_or_else(|| architecture.default_pooling()),
            normalize: options.normalize.unwrap_or(modules.normalize),
            max_tokens: max_tokens(asked, tokenizer.model_max_length, architecture.max_tokens())?,
            prompts: prompts.into_prompts(),
            lowercase: sentence.do_lower_case,
            vocab_lowercase: tokenizer.do_lower_case,
            architecture,
        })
    }

    /// The file the tokenizer is made from: `tokenizer.json`, else `vocab.txt`.
    ///
    /// # Errors
    ///
    /// [`ModelDirError::MissingFile`] when neither is there.
    pub fn tokenizer_file(&self) -> Result<PathBuf, ModelDirError> {
        self.first_file(&["tokenizer.json", "vocab.txt"], "tokenizer.json or vocab.txt")
    }

    /// The file of the weights.
    ///
    /// # Errors
    ///
    /// [`ModelDirError::MissingFile`] when it is not there.
    pub fn weights_file(&self) -> Result<PathBuf, ModelDirError> {
        self.first_file(&["model.safetensors"], "model.safetensors")
    }

    fn first_file(&self, names: &[&str], expected: &'static str) -> Result<PathBuf, ModelDirError> {
        for name in names {
            let path = self.path.join(name);
            match path.try_exists() {
                Ok(true) => return Ok(path),
                Ok(false) => {}
                Err(source) => return Err(ModelDirError::Io { path, source }),
            }
        }
        Err(ModelDirError::MissingFile { path: self.path.clone(), expected })
    }
}

/// Reads `modules.json` and the pooling it points to.
fn read_modules(folder: &Path) -> Result<Modules, ModelDirError> {
    let path = folder.join("modules.json");
    let mut modules = Modules { transformer: PathBuf::new(), pooling: None, normalize: false };
    let Some(list) = read_json_if_there::<Vec<Module>>(&path)? else { return Ok(modules) };
    let kinds: Vec<&str> =
        list.iter().map(|module| module.kind.rsplit('.').next().unwrap_or_default()).collect();
    for (index, (module, &kind)) in list.iter().zip(&kinds).enumerate() {
        let inside = Path::new(&module.path);
        let refused = || ModelDirError::Module { path: path.clone(), module: module.kind.clone() };
        if !inside.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(refused());
        }
        match (index, kind) {
            (0, "Transformer") => modules.transformer = inside.to_owned(),
            (1, "Pooling") => {
                modules.pooling = Some(read_pooling(&folder.join(inside).join("config.json"))?);
            }
            (2, "Normalize") => modules.normalize = true,
            _ => return Err(refused()),
        }
    }
    if list.len() < 2 {
        return Err(ModelDirError::Module { path, module: kinds.join(", ") });
    }
    Ok(modules)
}

/// Reads the one pooling mode that is on.
fn read_pooling(path: &Path) -> Result<Pooling, ModelDirError> {
    let json: BTreeMap<String, serde_json::Value> = parse_json(path, &read(path)?)?;
    let mut modes: Vec<&str> = json
        .iter()
        .filter(|(_, value)| value.as_bool() == Some(true))
        .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"))
        .collect();
    if let Some(mode) = json.get("pooling_mode").and_then(serde_json::Value::as_str) {
        modes.push(mode);
    }
    match modes[..] {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::Cls),
        _ => Err(ModelDirError::Pooling { path: path.to_owned(), actual: modes.join(" + ") }),
    }
}

impl PromptConfig {
    fn into_prompts(self) -> Prompts {
        let named = |name: &str| self.prompts.get(name).cloned().flatten();
        let default = self.default_prompt_name.as_deref().and_then(named);
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| named(name))
                .or_else(|| default.clone())
                .unwrap_or_default()
        };
        Prompts { document: first(&["document", "passage"]), query: first(&["query"]) }
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

fn read(path: &Path) -> Result<Vec<u8>, ModelDirError> {
    fs::read(path).map_err(|source| ModelDirError::Io { path: path.to_owned(), source })
}

fn read_json_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelDirError> {
    match read(path) {
        Ok(bytes) => parse_json(path, &bytes).map(Some),
        Err(ModelDirError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn parse_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, ModelDirError> {
    serde_json::from_slice(bytes)
        .map_err(|source| ModelDirError::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
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
            ..OpenOptions::default()
        };
        let dir = open(&files, &options).unwrap();
        assert_eq!((dir.pooling, dir.normalize, dir.max_tokens), (Pooling::Pooler, true, 9));
        let options = OpenOptions { max_tokens: Some(65), ..OpenOptions::default() };
        assert_eq!(
            open(&files, &options).unwrap_err(),
            "max tokens out of range: expected 1 to 64, got 65"
        );
    }

    #[test]
    fn refusals_name_the_file() {
        let dense = MODULES.replace("Normalize\"}", "Dense\"}");
        let outside = MODULES.replace("1_Pooling", "../1_Pooling");
        let max = CLS.replace("cls_token", "max_tokens");
        let both = CLS.replace("false", "true");
        let pool = ("1_Pooling/config.json", CLS);
        let cases: [(&[(&str, &str)], &str); 7] = [
            (&[], "read config.json"),
            (&[("config.json", "{")], "config.json: parse model configuration"),
            (&[("modules.json", "{}"), pool], "parse modules.json"),
            (
                &[("modules.json", &dense), pool],
                "modules.json: module \"sentence_transformers.models.Dense\"",
            ),
            (&[("modules.json", &outside), pool], "modules.json: module"),
            (
                &[("modules.json", MODULES), ("1_Pooling/config.json", &max)],
                "1_Pooling/config.json: pooling max_tokens is not supported",
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
