//! Model folders for tests.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use bigrain_encoders::{OpenEncoderError, OpenOptions, Runtime, SentenceEncoder};

/// A writable copy of a tiny golden model, with a vocabulary.
pub struct ModelFolder(tempfile::TempDir);

impl ModelFolder {
    pub fn new(golden: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = Path::new("tests/data").join(golden);
        for name in ["config.json", "model.safetensors"] {
            fs::copy(from.join(name), folder.path().join(name)).unwrap();
        }
        let mut vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from).to_vec();
        vocab.extend(('a'..='z').map(String::from));
        vocab.extend(('a'..='z').map(|letter| format!("##{letter}")));
        fs::write(folder.path().join("vocab.txt"), vocab.join("\n")).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// Where the folder is.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Rewrites the weights, with `edit` choosing name, type, shape and bytes of each tensor.
    pub fn rewrite(
        &self,
        edit: impl Fn(&str, Dtype, &[usize], &[u8]) -> Option<(String, Dtype, Vec<usize>, Vec<u8>)>,
    ) {
        let bytes = fs::read(self.path("model.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let edited: Vec<_> = tensors
            .tensors()
            .iter()
            .filter_map(|(name, view)| edit(name, view.dtype(), view.shape(), view.data()))
            .collect();
        let views = edited.iter().map(|(name, dtype, shape, data)| {
            (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        self.write("model.safetensors", safetensors::serialize(views, None).unwrap());
    }

    pub fn open(&self, options: &OpenOptions) -> Result<SentenceEncoder, OpenEncoderError> {
        SentenceEncoder::open(self.0.path(), options, Runtime::new(2).unwrap())
    }

    /// The whole message of the error, causes included, without the folder's name.
    pub fn refusal(&self) -> String {
        let error = self.open(&OpenOptions::default()).unwrap_err();
        error.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// The folder of all-MiniLM-L6-v2; `None`, with a line that says so, where there is none.
pub fn real_model() -> Option<PathBuf> {
    folder_in("BIGRAIN_MODEL", "all-MiniLM-L6-v2")
}

/// The folder of paraphrase-MiniLM-L3-v2 in 4 bits; `None`, with a line, where there is none.
pub fn q4_model() -> Option<PathBuf> {
    folder_in("BIGRAIN_Q4_MODEL", "paraphrase-MiniLM-L3-v2 in 4 bits")
}

fn folder_in(variable: &str, model: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join("config.json").try_exists().unwrap());
    if folder.is_none() {
        assert!(
            std::env::var_os("REQUIRE_MODEL").is_none_or(|value| value != "1"),
            "REQUIRE_MODEL=1, but {variable} names no folder of a model"
        );
        println!("skipped: set {variable} to the folder of {model}");
    }
    folder
}

pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
