//! Which files of a folder are read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ModelDirError;

/// Names of weights, in the order of preference; an index names the shards it is followed by.
const WEIGHTS: [&str; 9] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "model.bin",
    "model.pt",
    "pytorch_model.pt",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
];

/// The files a tokenizer is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenizerFiles {
    /// `tokenizer.json`, which says everything.
    Json(PathBuf),
    /// `vocab.txt`: WordPiece, one token a line.
    WordPiece(PathBuf),
    /// `vocab.json` and `merges.txt`: byte-level BPE.
    ByteLevel(PathBuf, PathBuf),
}

impl TokenizerFiles {
    /// Finds them in a folder.
    pub(crate) fn find(folder: &Path) -> Result<Self, ModelDirError> {
        let [json, words, vocab, merges] =
            ["tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"]
                .map(|name| folder.join(name));
        if is_there(&json)? {
            Ok(Self::Json(json))
        } else if is_there(&words)? {
            Ok(Self::WordPiece(words))
        } else if is_there(&vocab)? && is_there(&merges)? {
            Ok(Self::ByteLevel(vocab, merges))
        } else {
            let expected = "tokenizer.json, vocab.txt, or vocab.json with merges.txt";
            Err(ModelDirError::MissingFile { path: folder.to_owned(), expected })
        }
    }

    /// All their bytes, one file after the other.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, ModelDirError> {
        match self {
            Self::Json(path) | Self::WordPiece(path) => read(path),
            Self::ByteLevel(vocab, merges) => Ok([read(vocab)?, read(merges)?].concat()),
        }
    }
}

/// The files of the weights in a folder.
pub(crate) fn weights(folder: &Path) -> Result<Vec<PathBuf>, ModelDirError> {
    for name in WEIGHTS {
        let path = folder.join(name);
        if is_there(&path)? {
            return if name.ends_with(".json") { shards(folder, &path) } else { Ok(vec![path]) };
        }
    }
    // Checkpoints are published under names of their own, too.
    let own = files_ending_in(folder, &["safetensors", "pt", "pth", "tar", "bin"])?;
    if own.len() == 1 {
        return Ok(own);
    }
    let expected = "model.safetensors, pytorch_model.bin, model.bin, an index of shards, or a \
                    single file that ends in .safetensors, .pt, .pth, .tar or .bin";
    Err(ModelDirError::MissingFile { path: folder.to_owned(), expected })
}

/// The files an index names.
fn shards(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, ModelDirError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let parsed: Index = parse_json(index, &read(index)?)?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    names
        .into_iter()
        .map(|name| {
            // A name with a folder in it would reach files outside.
            if Path::new(&name).file_name() == Some(OsStr::new(&name)) {
                Ok(folder.join(name))
            } else {
                Err(ModelDirError::Shard { path: index.to_owned(), name })
            }
        })
        .collect()
}

fn files_ending_in(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, ModelDirError> {
    let failed = |source| ModelDirError::Io { path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path.extension().and_then(OsStr::to_str);
        if ending.is_some_and(|ending| endings.contains(&ending)) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Whether there is something at `path`.
pub(crate) fn is_there(path: &Path) -> Result<bool, ModelDirError> {
    path.try_exists().map_err(|source| ModelDirError::Io { path: path.to_owned(), source })
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ModelDirError> {
    fs::read(path).map_err(|source| ModelDirError::Io { path: path.to_owned(), source })
}

/// Reads a JSON file, if there is one.
pub(super) fn read_json_if_there<T: DeserializeOwned>(
    path: &Path,
) -> Result<Option<T>, ModelDirError> {
    match read(path) {
        Ok(bytes) => parse_json(path, &bytes).map(Some),
        Err(ModelDirError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads the JSON in a file's bytes.
pub(crate) fn parse_json<T: DeserializeOwned>(
    path: &Path,
    bytes: &[u8],
) -> Result<T, ModelDirError> {
    serde_json::from_slice(bytes)
        .map_err(|source| ModelDirError::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "{}").unwrap();
        }
        folder
    }

    fn chosen(names: &[&str]) -> Result<Vec<String>, String> {
        let folder = folder(names);
        let paths = weights(folder.path()).map_err(|error| error.to_string())?;
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        Ok(paths.into_iter().map(name).collect())
    }

    #[test]
    fn safetensors_come_first_and_a_single_file_of_any_name_will_do() {
        let all = ["pytorch_model.bin", "model.safetensors", "config.json"];
        assert_eq!(chosen(&all).unwrap(), ["model.safetensors"]);
        assert_eq!(chosen(&["pytorch_model.bin", "other.pt"]).unwrap(), ["pytorch_model.bin"]);
        assert_eq!(chosen(&["8k.safetensors", "a.json"]).unwrap(), ["8k.safetensors"]);
        for names in [&["config.json"][..], &["a.pt", "b.pt"]] {
            let error = chosen(names).unwrap_err();
            assert!(error.contains("has no model.safetensors, pytorch_model.bin"), "{error}");
        }
    }

    #[test]
    fn an_index_names_its_shards_and_nothing_outside() {
        let name = "model.safetensors.index.json";
        let folder = folder(&[]);
        let index = |json: &str| {
            fs::write(folder.path().join(name), json).unwrap();
            weights(folder.path())
        };
        let shards = index(r#"{"weight_map": {"a": "2.safetensors", "b": "1.safetensors"}}"#);
        assert_eq!(
            shards.unwrap(),
            ["1", "2"].map(|n| folder.path().join(format!("{n}.safetensors")))
        );
        for outside in ["../x.safetensors", "/etc/passwd", "a/b", "..", ""] {
            let error = index(&format!(r#"{{"weight_map": {{"a": "{outside}"}}}}"#)).unwrap_err();
            assert!(error.to_string().ends_with("is not the name of a file"), "{error}");
        }
        assert!(index("{}").unwrap_err().to_string().contains("weight_map"));
    }

    #[test]
    fn a_tokenizer_is_made_from_what_says_most() {
        let find = |names: &[&str]| TokenizerFiles::find(folder(names).path());
        assert!(matches!(find(&["vocab.txt", "tokenizer.json"]), Ok(TokenizerFiles::Json(_))));
        let pair = find(&["vocab.json", "merges.txt"]);
        assert!(matches!(pair, Ok(TokenizerFiles::ByteLevel(..))));
        assert!(find(&["vocab.json"]).is_err());
    }
}
