//! `modules.json` of sentence-transformers: what comes after the transformer.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::Prompts;
use super::dense::DenseModule;
use super::error::ModelDirError;
use super::files::{parse_json, read, read_json_if_there};
use crate::pooling::Pooling;

/// The poolings a folder may ask for, as an error lists them.
const POOLINGS: &str = "cls_token, mean_tokens, max_tokens, lasttoken, weightedmean_tokens, \
                        mean_sqrt_len_tokens";

/// What the modules say.
#[derive(Debug)]
pub(super) struct Modules {
    /// The folder of the transformer, within the model's.
    pub(super) transformer: PathBuf,
    /// How rows become a vector, where the folder says it.
    pub(super) pooling: Option<Pooling>,
    /// The file that leaves prompts out of the pooling, if one does.
    without_prompt: Option<PathBuf>,
    pub(super) dense: Vec<DenseModule>,
    pub(super) normalize: bool,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Modules {
    /// Reads the modules of a folder, and the files they point to; without `modules.json` there are
    /// none.
    pub(super) fn read(folder: &Path) -> Result<Self, ModelDirError> {
        let path = folder.join("modules.json");
        let mut modules = Self {
            transformer: PathBuf::new(),
            pooling: None,
            without_prompt: None,
            dense: Vec::new(),
            normalize: false,
        };
        let Some(list) = read_json_if_there::<Vec<Module>>(&path)? else { return Ok(modules) };
        let kind = |module: &Module| module.kind.rsplit('.').next().unwrap_or_default().to_owned();
        for (index, module) in list.iter().enumerate() {
            let inside = Path::new(&module.path);
            let refused =
                || ModelDirError::Module { path: path.clone(), module: module.kind.clone() };
            if !inside.components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(refused());
            }
            match (index, kind(module).as_str()) {
                (0, "Transformer") => modules.transformer = inside.to_owned(),
                (1, "Pooling") => {
                    modules.read_pooling(folder.join(inside).join("config.json"))?;
                }
                (2.., "Dense") if !modules.normalize => {
                    modules.dense.push(DenseModule::read(&folder.join(inside))?);
                }
                (2.., "Normalize") if !modules.normalize => modules.normalize = true,
                _ => return Err(refused()),
            }
        }
        if list.len() < 2 {
            let kinds: Vec<String> = list.iter().map(kind).collect();
            return Err(ModelDirError::Module { path, module: kinds.join(", ") });
        }
        Ok(modules)
    }

    /// Reads the one pooling mode that is on.
    fn read_pooling(&mut self, path: PathBuf) -> Result<(), ModelDirError> {
        let json: BTreeMap<String, Value> = parse_json(&path, &read(&path)?)?;
        let mut modes: Vec<&str> = json
            .iter()
            .filter(|(_, value)| value.as_bool() == Some(true))
            .filter_map(|(key, _)| key.strip_prefix("pooling_mode_"))
            .collect();
        if let Some(mode) = json.get("pooling_mode").and_then(Value::as_str) {
            modes.push(mode);
        }
        self.pooling = Some(match modes[..] {
            ["mean_tokens" | "mean"] => Pooling::Mean,
            ["cls_token" | "cls"] => Pooling::Cls,
            ["max_tokens" | "max"] => Pooling::Max,
            ["lasttoken"] => Pooling::Last,
            ["weightedmean_tokens" | "weightedmean"] => Pooling::WeightedMean,
            ["mean_sqrt_len_tokens"] => Pooling::MeanSqrtLen,
            _ => {
                let actual = modes.join(" + ");
                return Err(ModelDirError::Pooling { path, actual, expected: POOLINGS });
            }
        });
        if json.get("include_prompt") == Some(&Value::Bool(false)) {
            self.without_prompt = Some(path);
        }
        Ok(())
    }

    /// Checks the modules against the width of the transformer's rows and the prompts.
    pub(super) fn check(&self, hidden: usize, prompts: &Prompts) -> Result<(), ModelDirError> {
        let mut width = hidden;
        for dense in &self.dense {
            dense.check(width)?;
            width = dense.outputs;
        }
        match &self.without_prompt {
            Some(path) if *prompts != Prompts::default() => Err(ModelDirError::Pooling {
                path: path.clone(),
                actual: "without the prompt".to_owned(),
                expected: POOLINGS,
            }),
            _ => Ok(()),
        }
    }
}

/// `config_sentence_transformers.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PromptConfig {
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
}

impl PromptConfig {
    /// The prompts a folder states.
    pub(super) fn read(folder: &Path) -> Result<Prompts, ModelDirError> {
        let path = folder.join("config_sentence_transformers.json");
        let config: Self = read_json_if_there(&path)?.unwrap_or_default();
        let named = |name: &str| config.prompts.get(name).cloned().flatten();
        let default = config.default_prompt_name.as_deref().and_then(named);
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| named(name))
                .or_else(|| default.clone())
                .unwrap_or_default()
        };
        Ok(Prompts {
            document: first(&["document", "passage", "corpus"]),
            query: first(&["query"]),
        })
    }
}
