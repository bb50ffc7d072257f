//! The folder of such a pair.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::ClassNamesError;
use crate::dual::{Label, PLACE};
use crate::efficientnet::CLASSES;
use crate::model_dir::{ModelDirError, parse_json, read};

const CLASSIFIER: &str = "efficientnet-lite0";

/// What `config.json` says.
#[derive(Debug, Deserialize)]
pub(super) struct PairConfig {
    classifier: String,
    /// The file with the names of the classes.
    classes: String,
    /// What is said of a picture of a class; the name alone, if there are none.
    #[serde(default)]
    templates: Vec<String>,
    /// The folder of the sentence encoder, from this one.
    text_model: PathBuf,
}

impl PairConfig {
    /// Reads the folder's `config.json`.
    pub(super) fn read(folder: &Path) -> Result<Self, PairError> {
        let path = folder.join("config.json");
        let config: Self = parse_json(&path, &read(&path)?)?;
        if config.classifier != CLASSIFIER {
            let (actual, expected) = (config.classifier, CLASSIFIER);
            return Err(ClassNamesError::Classifier { path, actual, expected }.into());
        }
        if let Some(template) = config.templates.iter().find(|text| !text.contains(PLACE)) {
            let template = template.clone();
            return Err(ClassNamesError::Template { path, template }.into());
        }
        Ok(config)
    }

    /// The folder of the sentence encoder.
    pub(super) fn text_model(&self, folder: &Path) -> PathBuf {
        folder.join(&self.text_model)
    }

    /// The classes with what is said of each, texts that the sentence encoder reads, and the file that
    /// names them.
    pub(super) fn labels(&self, folder: &Path) -> Result<(PathBuf, Vec<Label>), PairError> {
        let path = folder.join(&self.classes);
        let names: Vec<String> = parse_json(&path, &read(&path)?)?;
        if names.len() != CLASSES {
            let (expected, actual) = (CLASSES, names.len());
            return Err(ClassNamesError::Count { path, expected, actual }.into());
        }
        if let Some(class) = names.iter().position(|name| name.trim().is_empty()) {
            return Err(ClassNamesError::NoName { path, class }.into());
        }
        let templates: Vec<&str> = self.templates.iter().map(String::as_str).collect();
        let labels = names.iter().map(|name| Label::from_templates(name, &templates)).collect();
        Ok((path, labels))
    }
}

/// What can be wrong with the folder.
#[derive(Debug)]
pub(super) enum PairError {
    Folder(ModelDirError),
    Names(ClassNamesError),
}

impl From<ModelDirError> for PairError {
    fn from(error: ModelDirError) -> Self {
        Self::Folder(error)
    }
}

impl From<ClassNamesError> for PairError {
    fn from(error: ClassNamesError) -> Self {
        Self::Names(error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn message(error: PairError) -> String {
        match error {
            PairError::Folder(error) => error.to_string(),
            PairError::Names(error) => error.to_string(),
        }
    }

    #[test]
    fn refusals_name_the_file_and_the_class() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let config = r#"{"model_type": "class_names", "classifier": "CLASSIFIER",
            "classes": "classes.json", "templates": ["No {label}", "TEMPLATE"],
            "text_model": "../text"}"#;
        write("config.json", config);
        let error = message(PairConfig::read(folder.path()).unwrap_err());
        assert!(
            error.ends_with(
                "classifier \"CLASSIFIER\" is not supported: expected efficientnet-lite0"
            )
        );
        let config = config.replace("CLASSIFIER", CLASSIFIER);
        write("config.json", &config);
        let error = message(PairConfig::read(folder.path()).unwrap_err());
        assert!(error.ends_with("config.json: template \"TEMPLATE\" has no {label}"), "{error}");
        write("config.json", &config.replace("TEMPLATE", "A drawing of {label}"));
        let config = PairConfig::read(folder.path()).unwrap();
        assert_eq!(config.text_model(folder.path()), folder.path().join("../text"));
        let refused = |names: &[&str]| {
            write("classes.json", &serde_json::to_string(names).unwrap());
            message(config.labels(folder.path()).unwrap_err())
        };
        assert!(refused(&["a"]).ends_with("expected the names of 1000 classes, got 1"));
        let mut names = vec!["A tench."; CLASSES];
        names[7] = " ";
        assert!(refused(&names).ends_with("classes.json: class 7 has no name"));
        names[7] = "A hen.";
        write("classes.json", &serde_json::to_string(&names).unwrap());
        let (_, classes) = config.labels(folder.path()).unwrap();
        assert_eq!((&*classes[0].name, &*classes[7].name), ("A tench.", "A hen."));
        assert_eq!(classes[7].descriptions, ["No A hen.", "A drawing of A hen."]);
    }
}
