//! Labels that pictures get when they are indexed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use bigrain_encoders::{EncodeOptions, Label, LabelSet};
use bigrain_engine::Cancel;
use serde::Deserialize;

use super::model::PictureModel;

/// Says of pictures which labels fit them.
#[derive(Debug)]
pub struct Tagger {
    names: Vec<String>,
    labels: LabelSet,
    min_score: f32,
    limit: usize,
    version: String,
}

/// A line of a file of labels.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Name(String),
    Described { name: String, descriptions: Vec<String> },
}

impl Tagger {
    /// Reads labels, a line of JSON each: a name, which describes itself, or an object with a `name` and the
    /// `descriptions` of pictures that have it. A picture gets those of at least `min_score`, the best first and
    /// at most `limit`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has no labels, a line is no label, or the model refuses a description.
    pub fn open(
        path: &Path,
        (min_score, limit): (f32, usize),
        model: &PictureModel,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        let labels = read(path)?;
        let mut hasher = blake3::Hasher::new();
        for label in &labels {
            hasher.update(format!("{label:?}").as_bytes());
        }
        hasher.update(format!("{min_score} {limit}").as_bytes());
        let version = hasher.finalize().to_hex()[..8].to_owned();
        let options = EncodeOptions { cancel: cancel.clone(), ..EncodeOptions::default() };
        let set = LabelSet::encode(model.model().encoder(), &labels, &options)
            .with_context(|| format!("encode the labels of {}", path.display()))?;
        let names = labels.into_iter().map(|label| label.name).collect();
        Ok(Self { names, labels: set, min_score, limit, version })
    }

    /// Returns the labels of a picture, from its embedding.
    #[must_use]
    pub fn tags(&self, picture: &[f32]) -> Vec<&str> {
        let tags = self.labels.tags(picture, self.min_score, self.limit);
        tags.iter().map(|tag| &*self.names[tag.label]).collect()
    }

    /// Changes when pictures may get other labels.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<Label>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut labels = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let place = || format!("{}:{number}", path.display());
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        let expected = "expected a name, or an object with name and descriptions";
        let line =
            serde_json::from_str(&line).with_context(|| format!("{}: {expected}", place()))?;
        let label = match line {
            Line::Name(name) => Label::from_templates(&name, &[]),
            Line::Described { name, descriptions } => Label { name, descriptions },
        };
        let said = |text: &String| !text.trim().is_empty();
        let is_said = !label.descriptions.is_empty() && label.descriptions.iter().all(said);
        ensure!(
            is_said && said(&label.name),
            "{}: a label without a name or a description",
            place()
        );
        labels.push(label);
    }
    if labels.is_empty() {
        bail!("{} has no labels", path.display());
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_names_or_have_descriptions_and_bad_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path)
        };
        let labels =
            read("\"cat\"\n\n{\"name\": \"dog\", \"descriptions\": [\"a dog\", \"a puppy\"]}\n");
        let labels = labels.unwrap();
        assert_eq!(labels[0], Label::from_templates("cat", &[]));
        assert_eq!(labels[1].descriptions, ["a dog", "a puppy"]);
        let refused = |text: &str| format!("{:#}", read(text).unwrap_err());
        assert!(refused("\"a\"\n7\n").contains("labels.jsonl:2: expected a name"));
        assert!(refused("{\"name\": \"a\", \"descriptions\": []}").contains(":1: a label without"));
        assert!(refused("\"  \"").contains(":1: a label without"));
        assert!(refused("\n").ends_with("has no labels"));
    }
}
