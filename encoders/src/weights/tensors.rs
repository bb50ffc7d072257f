//! The tensors of a safetensors file, by the name a model knows them by.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use thiserror::Error;

use super::Int8Names;
use crate::nn::Observations;

/// What wrappers put before the names of a model's own tensors.
const PREFIXES: [&str; 4] = ["model.", "bert.", "roberta.", "module."];
/// How many missing tensors an error lists.
const MAX_LISTED: usize = 8;

/// Weights that are refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file could not be read.
    #[error("read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a whole safetensors file.
    #[error("{path} is not a valid safetensors file: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: SafeTensorError,
    },
    /// Tensors the model needs are not in the file.
    #[error("{path} lacks {count} tensors the model needs: {}", names.join(", "))]
    Missing {
        /// The file.
        path: PathBuf,
        /// How many are missing.
        count: usize,
        /// The first of them.
        names: Vec<String>,
    },
    /// A tensor has another shape than the model's configuration says.
    #[error("tensor {name}: expected shape {expected:?}, got {actual:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape the configuration asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        actual: Vec<usize>,
    },
    /// A tensor holds something else than floating-point numbers.
    #[error("tensor {name}: expected f32, f16 or bf16, got {actual:?}")]
    Dtype {
        /// The tensor.
        name: String,
        /// What it holds.
        actual: Dtype,
    },
    /// A tensor of a layer in int8 has another type.
    #[error("tensor {name}: expected {expected:?}, got {actual:?}")]
    Int8Dtype {
        /// The tensor.
        name: String,
        /// What it must hold.
        expected: Dtype,
        /// What it holds.
        actual: Dtype,
    },
    /// An exact input of a layer in int8 is not an input of it, or is out of order.
    #[error("tensor {name}: {value} is out of order or not one of {inputs} inputs")]
    ExactInput {
        /// The tensor.
        name: String,
        /// The value.
        value: i32,
        /// Inputs of the layer.
        inputs: usize,
    },
    /// Layers of the same input have different exact inputs.
    #[error(
        "tensor {name} differs from {other}: layers of one input must have the same exact inputs"
    )]
    ExactInputsDiffer {
        /// The tensor.
        name: String,
        /// The one it should equal.
        other: String,
    },
    /// A weight is NaN or infinite.
    #[error("tensor {name}: value {position} is {value}, every weight must be finite")]
    NotFinite {
        /// The tensor.
        name: String,
        /// Which of its values.
        position: usize,
        /// What it holds.
        value: f32,
    },
}

/// A tensor a model expects: its name without wrappers' prefixes, and its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorSpec {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

/// The tensors of one file.
#[derive(Debug)]
pub(crate) struct Tensors<'a> {
    path: PathBuf,
    views: HashMap<String, TensorView<'a>>,
    observations: Option<Observations>,
}

impl<'a> Tensors<'a> {
    /// Reads the header of a file whose bytes are `bytes`; `path` names it in errors.
    pub(crate) fn parse(path: &Path, bytes: &'a [u8]) -> Result<Self, WeightsError> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|source| WeightsError::Malformed { path: path.to_owned(), source })?;
        let mut views = HashMap::new();
        for (name, view) in tensors.tensors() {
            let bare = bare_name(&name);
            // A tensor under its own name wins over one that a wrapper renamed.
            if bare == name || !views.contains_key(&bare) {
                views.insert(bare, view);
            }
        }
        Ok(Self { path: path.to_owned(), views, observations: None })
    }

    /// Checks that every tensor is there, in its shape.
    pub(crate) fn check(&self, specs: &[TensorSpec]) -> Result<(), WeightsError> {
        let missing: Vec<&TensorSpec> =
            specs.iter().filter(|spec| !self.views.contains_key(&spec.name)).collect();
        if !missing.is_empty() {
            return Err(WeightsError::Missing {
                path: self.path.clone(),
                count: missing.len(),
                names: missing.iter().take(MAX_LISTED).map(|spec| spec.name.clone()).collect(),
            });
        }
        for spec in specs {
            let actual = self.views[&spec.name].shape();
            if actual != spec.shape {
                return Err(WeightsError::Shape {
                    name: spec.name.clone(),
                    expected: spec.shape.clone(),
                    actual: actual.to_vec(),
                });
            }
        }
        Ok(())
    }

    /// Copies a tensor as `f32`, row by row.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let view = self.view(name).ok_or_else(|| self.missing(name))?;
        let values = to_f32(view)
            .ok_or_else(|| WeightsError::Dtype { name: name.to_owned(), actual: view.dtype() })?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(position) => Err(WeightsError::NotFinite {
                name: name.to_owned(),
                position,
                value: values[position],
            }),
        }
    }

    /// Feeds name, type, shape and bytes of the tensors, in the order of their names; a weight in int8
    /// is followed by what belongs to it.
    pub(crate) fn hash(&self, specs: &[TensorSpec], hasher: &mut blake3::Hasher) {
        let mut names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        names.sort_unstable();
        for name in names {
            self.hash_one(name, hasher);
            if self.is_int8(name) {
                Int8Names::of(name)
                    .companions()
                    .iter()
                    .for_each(|name| self.hash_one(name, hasher));
            }
        }
    }

    fn hash_one(&self, name: &str, hasher: &mut blake3::Hasher) {
        let Some(view) = self.views.get(name) else { return };
        hasher.update(format!("{name} {:?} {:?}\n", view.dtype(), view.shape()).as_bytes());
        hasher.update(view.data());
    }

    /// Whether a tensor is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.views.contains_key(name)
    }

    /// Has the linear layers that are read from now on tell what their inputs look like.
    pub(crate) fn observed(mut self, observations: Observations) -> Self {
        self.observations = Some(observations);
        self
    }

    /// Where linear layers tell what their inputs look like.
    pub(super) fn observations(&self) -> Option<&Observations> {
        self.observations.as_ref()
    }

    /// The tensor of that name.
    pub(super) fn view(&self, name: &str) -> Option<&TensorView<'a>> {
        self.views.get(name)
    }

    pub(super) fn missing(&self, name: &str) -> WeightsError {
        WeightsError::Missing { path: self.path.clone(), count: 1, names: vec![name.to_owned()] }
    }
}

/// The name without wrappers' prefixes, and with today's names for the parameters of a layer norm.
fn bare_name(name: &str) -> String {
    let mut bare = name;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| bare.strip_prefix(prefix)) {
        bare = rest;
    }
    bare.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}

/// Returns the values as `f32`, or `None` if they are no floating-point numbers we know.
fn to_f32(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    let halves = data.as_chunks::<2>().0;
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other type is refused alike")]
    match view.dtype() {
        Dtype::F32 => {
            Some(data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
        }
        Dtype::F16 => Some(halves.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()),
        Dtype::BF16 => Some(halves.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            (*name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn spec(name: &str, shape: &[usize]) -> TensorSpec {
        TensorSpec { name: name.to_owned(), shape: shape.to_vec() }
    }

    #[test]
    fn every_float_type_is_read_under_its_bare_name() {
        let bytes = file(&[
            ("bert.a", Dtype::F32, vec![2], [1.5f32, -2.0].map(f32::to_le_bytes).concat()),
            ("model.roberta.b", Dtype::F16, vec![1], f16::from_f32(0.5).to_le_bytes().to_vec()),
            ("c.LayerNorm.gamma", Dtype::BF16, vec![1], bf16::from_f32(3.0).to_le_bytes().to_vec()),
            ("ids", Dtype::I64, vec![1], vec![0; 8]),
        ]);
        let tensors = Tensors::parse(Path::new("m"), &bytes).unwrap();
        assert_eq!(tensors.read("a").unwrap(), [1.5, -2.0]);
        assert_eq!(tensors.read("b").unwrap(), [0.5]);
        assert_eq!(tensors.read("c.LayerNorm.weight").unwrap(), [3.0]);
        let error = tensors.read("ids").unwrap_err().to_string();
        assert_eq!(error, "tensor ids: expected f32, f16 or bf16, got I64");
    }

    #[test]
    fn refusals_name_the_tensor() {
        let nan = [1.0f32, f32::NAN].map(f32::to_le_bytes).concat();
        let bytes = file(&[("a", Dtype::F32, vec![1, 2], nan)]);
        let tensors = Tensors::parse(Path::new("model.safetensors"), &bytes).unwrap();
        let refuse = |specs: &[TensorSpec]| tensors.check(specs).unwrap_err().to_string();
        assert_eq!(refuse(&[spec("a", &[2, 1])]), "tensor a: expected shape [2, 1], got [1, 2]");
        assert_eq!(
            refuse(&[spec("a", &[1, 2]), spec("b", &[1]), spec("c", &[1])]),
            "model.safetensors lacks 2 tensors the model needs: b, c"
        );
        assert_eq!(
            tensors.read("a").unwrap_err().to_string(),
            "tensor a: value 1 is NaN, every weight must be finite"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Tensors::parse(Path::new("m"), &bytes);
        }

        #[test]
        fn damaged_files_are_read_or_refused(
            cut in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            flip in any::<u8>(),
        ) {
            let whole = file(&[("a", Dtype::F32, vec![3, 2], vec![0; 24])]);
            let cut = cut.index(whole.len());
            prop_assert!(Tensors::parse(Path::new("m"), &whole[..cut]).is_err());
            let mut bytes = whole;
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(tensors) = Tensors::parse(Path::new("m"), &bytes)
                && tensors.check(&[spec("a", &[3, 2])]).is_ok()
            {
                let _ = tensors.read("a");
            }
        }
    }
}
