//! The new folder.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use half::f16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::error::QuantizeError;
use super::layer::QuantizedWeight;
use crate::weights::Int8Names;

/// From this many values on a table is written in `f16`; the embedding of words is half of a small model.
const HALF_VALUES: usize = 1 << 20;
/// Endings of weights, which are not copied.
const WEIGHTS: [&str; 8] = ["safetensors", "bin", "pt", "pth", "ckpt", "onnx", "h5", "msgpack"];
/// Folders of a model in other formats.
const OTHER_FORMATS: [&str; 4] = ["onnx", "openvino", "coreml", "rust"];

/// The tensors of a file that is being made.
#[derive(Debug, Default)]
pub(super) struct TensorFile(BTreeMap<String, StoredTensor>);

#[derive(Debug)]
struct StoredTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl TensorFile {
    /// Whether a tensor of that name is in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Adds the weight `name` and what belongs to it.
    pub(super) fn add_int8(&mut self, name: &str, weight: &QuantizedWeight) {
        let names = Int8Names::of(name);
        let outputs = weight.outputs();
        let values = weight.values.iter().map(|value| value.cast_unsigned()).collect();
        self.add(names.weight, Dtype::I8, vec![outputs, weight.values.len() / outputs], values);
        self.add(names.scale, Dtype::F32, vec![outputs], floats(&weight.scales));
        let exact: Vec<u8> =
            weight.exact_inputs.iter().flat_map(|&input| (input as i32).to_le_bytes()).collect();
        self.add(names.exact_inputs, Dtype::I32, vec![weight.exact_inputs.len()], exact);
        let shape = vec![outputs, weight.exact_inputs.len()];
        self.add(names.exact_weight, Dtype::F32, shape, floats(&weight.exact_weights));
    }

    /// Adds a tensor: in `f16` if it is large and fits, else in `f32`.
    pub(super) fn add_floats(&mut self, name: &str, shape: Vec<usize>, values: &[f32]) {
        let fits = |value: &f32| f16::from_f32(*value).is_finite();
        if values.len() >= HALF_VALUES && values.iter().all(fits) {
            let halves = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes());
            return self.add(name.to_owned(), Dtype::F16, shape, halves.collect());
        }
        self.add(name.to_owned(), Dtype::F32, shape, floats(values));
    }

    fn add(&mut self, name: String, dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) {
        self.0.insert(name, StoredTensor { dtype, shape, bytes });
    }

    /// Writes the file, and returns its size.
    fn write(&self, path: &Path) -> Result<u64, QuantizeError> {
        let refused = |source| QuantizeError::Write { path: path.to_owned(), source };
        let mut views = Vec::new();
        for (name, StoredTensor { dtype, shape, bytes }) in &self.0 {
            let view = TensorView::new(*dtype, shape.clone(), bytes).map_err(refused)?;
            views.push((name.as_str(), view));
        }
        let about = HashMap::from([("format".to_owned(), "bigrain int8".to_owned())]);
        let bytes = safetensors::serialize(views, Some(about)).map_err(refused)?;
        fs::write(path, &bytes).map_err(io("write", path))?;
        Ok(bytes.len() as u64)
    }
}

/// Refuses a path where there is something other than an empty folder.
pub(super) fn refuse_existing(path: &Path) -> Result<(), QuantizeError> {
    match fs::read_dir(path).map(|mut entries| entries.next()) {
        Ok(None) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(QuantizeError::Exists { path: path.to_owned() }),
    }
}

/// Copies `model` without its weights, which lie at `weights`, to `out`, then writes the new ones there:
/// a folder without weights does not open, so one that is not whole is noticed. Returns their size.
pub(super) fn write_folder(
    model: &Path,
    weights: &Path,
    out: &Path,
    tensors: &TensorFile,
) -> Result<u64, QuantizeError> {
    let root = weights.parent().unwrap_or(model);
    fs::create_dir_all(out).map_err(io("create", out))?;
    let out = &out.canonicalize().map_err(io("read", out))?;
    copy_folder(model, out, Boundaries { root, out })?;
    let inside = root.strip_prefix(model).unwrap_or(Path::new(""));
    tensors.write(&out.join(inside).join("model.safetensors"))
}

/// What is not copied.
#[derive(Clone, Copy)]
struct Boundaries<'a> {
    /// The folder of the weights.
    root: &'a Path,
    /// The new folder, which may lie in the old one.
    out: &'a Path,
}

/// Copies a folder without weights, folders of other formats, and the copy itself.
fn copy_folder(from: &Path, to: &Path, not: Boundaries<'_>) -> Result<(), QuantizeError> {
    fs::create_dir_all(to).map_err(io("create", to))?;
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(from).map_err(io("read", from))? {
        entries.push(entry.map_err(io("read", from))?.path());
    }
    entries.sort_unstable();
    for path in entries {
        let Some(name) = path.file_name() else { continue };
        let to = to.join(name);
        let name = name.to_string_lossy();
        // A downloaded folder may consist of links, so these are followed.
        let whole = path.canonicalize().map_err(io("read", &path))?;
        if whole.is_dir() {
            let other = name.starts_with('.') || OTHER_FORMATS.contains(&name.as_ref());
            if whole != not.out && !other {
                copy_folder(&path, &to, not)?;
            }
        } else if from != not.root || !is_weights(&name) {
            fs::copy(&path, &to).map_err(io("copy", &path))?;
        }
    }
    Ok(())
}

/// Whether a file is weights, or the list of the parts of weights.
fn is_weights(name: &str) -> bool {
    let name = name.strip_suffix(".index.json").unwrap_or(name);
    name.rsplit_once('.').is_some_and(|(_, ending)| WEIGHTS.contains(&ending))
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> QuantizeError {
    let path = path.to_owned();
    move |source| QuantizeError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_weights_is_copied() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in [
            "config.json",
            "model.safetensors",
            "pytorch_model-00001-of-00002.bin",
            "pytorch_model.bin.index.json",
            "sentencepiece.bpe.model",
            "LICENSE",
            "2_Dense/model.safetensors",
            "onnx/model.onnx",
            ".git/HEAD",
        ] {
            let path = from.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let weights = from.path().join("model.safetensors");
        let out = to.path().join("new");
        let mut tensors = TensorFile::default();
        tensors.add_floats("a", vec![2], &[1.0, 2.0]);
        let size = write_folder(from.path(), &weights, &out, &tensors).unwrap();
        let names = |folder: &Path| {
            let entries = fs::read_dir(folder).unwrap();
            let mut names: Vec<String> =
                entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let expected =
            ["2_Dense", "LICENSE", "config.json", "model.safetensors", "sentencepiece.bpe.model"];
        assert_eq!(names(&out), expected);
        assert_eq!(names(&out.join("2_Dense")), ["model.safetensors"]);
        assert_eq!(fs::metadata(out.join("model.safetensors")).unwrap().len(), size);
        assert!(matches!(refuse_existing(&out), Err(QuantizeError::Exists { .. })));
    }

    #[test]
    fn large_tables_are_halves_unless_a_value_does_not_fit() {
        let mut tensors = TensorFile::default();
        let mut values = vec![0.5; HALF_VALUES];
        tensors.add_floats("half", vec![HALF_VALUES], &values);
        values[7] = 1e6;
        tensors.add_floats("single", vec![HALF_VALUES], &values);
        tensors.add_floats("small", vec![1], &[0.5]);
        let dtype = |name: &str| tensors.0[name].dtype;
        assert_eq!(
            [dtype("half"), dtype("single"), dtype("small")],
            [Dtype::F16, Dtype::F32, Dtype::F32]
        );
    }
}
