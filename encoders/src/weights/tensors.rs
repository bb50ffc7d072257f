//! The tensors of a checkpoint, by the names a model knows them by.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

use super::error::{TensorMismatch, WeightsError, WrongShape};
use super::int8::Int8Names;
use super::names::bare_name;
use super::q4::Q4;
use super::stored::StoredTensor;
use super::torch;
use crate::nn::Observations;

/// A tensor a model expects: its name without wrappers' prefixes, and its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TensorSpec {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
}

/// The tensors of a checkpoint.
#[derive(Debug)]
pub(crate) struct Tensors<'a> {
    /// The first file, which names all of them in errors.
    path: PathBuf,
    stored: HashMap<String, StoredTensor<'a>>,
    observations: Option<Observations>,
}

/// A tensor under the name of one that a model expects.
enum Found<'t, 'a> {
    Stored(&'t StoredTensor<'a>),
    Q4(Q4<'t>),
}

impl<'a> Tensors<'a> {
    /// Reads what tensors one file has: for tests.
    #[cfg(test)]
    pub(crate) fn parse(path: &Path, bytes: &'a [u8]) -> Result<Self, WeightsError> {
        Self::parse_all([(path, bytes)])
    }

    /// Reads what tensors the files have together.
    pub(crate) fn parse_all<'p>(
        files: impl IntoIterator<Item = (&'p Path, &'a [u8])>,
    ) -> Result<Self, WeightsError> {
        let mut tensors = Self { path: PathBuf::new(), stored: HashMap::new(), observations: None };
        for (path, bytes) in files {
            if tensors.path.as_os_str().is_empty() {
                path.clone_into(&mut tensors.path);
            }
            for (name, tensor) in parse_file(path, bytes)? {
                let bare = bare_name(&name);
                // A tensor under its own name wins over one that a wrapper renamed.
                if bare == name || !tensors.stored.contains_key(&bare) {
                    tensors.stored.insert(bare, tensor);
                }
            }
        }
        Ok(tensors)
    }

    /// The tensors whose names start with `prefix`, without it: one of the models in a checkpoint.
    pub(crate) fn under(&self, prefix: &str) -> Self {
        let inner = |(name, tensor): (&String, &StoredTensor<'a>)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        let stored = self.stored.iter().filter_map(inner).collect();
        Self { path: self.path.clone(), stored, observations: None }
    }

    /// Checks that every tensor of a model is there, in its shape; the error also tells which are of
    /// no use to it.
    pub(crate) fn check_model(&self, specs: &[TensorSpec]) -> Result<(), WeightsError> {
        let mut mismatch = self.compare(specs);
        if mismatch == TensorMismatch::default() {
            return Ok(());
        }
        mismatch.unused = self.unused(specs);
        Err(self.mismatch(mismatch))
    }

    /// Checks that these tensors are there, each in its shape.
    pub(crate) fn check(&self, specs: &[TensorSpec]) -> Result<(), WeightsError> {
        let mismatch = self.compare(specs);
        if mismatch == TensorMismatch::default() { Ok(()) } else { Err(self.mismatch(mismatch)) }
    }

    fn compare(&self, specs: &[TensorSpec]) -> TensorMismatch {
        let mut mismatch = TensorMismatch::default();
        for TensorSpec { name, shape } in specs {
            let actual = match self.find(name) {
                None => {
                    mismatch.missing.push(name.clone());
                    continue;
                }
                Some(Found::Stored(tensor)) => tensor.shape().to_vec(),
                // Its shape is not stored: any of that many values will do.
                Some(Found::Q4(q4)) => match q4.len() {
                    Some(len) if len == shape.iter().product::<usize>() => shape.clone(),
                    len => vec![len.unwrap_or_default()],
                },
            };
            if actual != *shape {
                let (name, expected) = (name.clone(), shape.clone());
                mismatch.wrong_shape.push(WrongShape { name, expected, actual });
            }
        }
        mismatch
    }

    fn mismatch(&self, mismatch: TensorMismatch) -> WeightsError {
        WeightsError::Mismatch { path: self.path.clone(), mismatch: Box::new(mismatch) }
    }

    /// The names of the tensors that are none of these, sorted.
    pub(crate) fn unused(&self, specs: &[TensorSpec]) -> Vec<String> {
        let int8: Vec<Int8Names> = specs
            .iter()
            .filter(|spec| self.is_int8(&spec.name))
            .map(|spec| Int8Names::of(&spec.name))
            .collect();
        let mut known: HashSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        known.extend(int8.iter().flat_map(Int8Names::companions));
        let used = |name: &str| {
            let quantized = name.strip_suffix(".q4").or_else(|| name.strip_suffix(".scales"));
            known.contains(name) || quantized.is_some_and(|name| known.contains(name))
        };
        let mut names: Vec<String> =
            self.stored.keys().filter(|name| !used(name)).cloned().collect();
        names.sort_unstable();
        names
    }

    /// Whether a tensor is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Reads the one value of a tensor of shape `[]` or `[1]`; `None` if there is no such tensor.
    pub(crate) fn scalar(&self, name: &str) -> Result<Option<f32>, WeightsError> {
        if !self.has(name) {
            return Ok(None);
        }
        match self.read(name)?[..] {
            [value] => Ok(Some(value)),
            _ => {
                let actual = self.stored(name).map_or(Vec::new(), |tensor| tensor.shape().to_vec());
                let wrong = WrongShape { name: name.to_owned(), expected: vec![1], actual };
                Err(self
                    .mismatch(TensorMismatch { wrong_shape: vec![wrong], ..Default::default() }))
            }
        }
    }

    /// What a tensor is stored as, in small letters.
    pub(crate) fn dtype_name(&self, name: &str) -> Option<String> {
        Some(match self.find(name)? {
            Found::Stored(tensor) => format!("{:?}", tensor.dtype()).to_lowercase(),
            Found::Q4(_) => "q4".to_owned(),
        })
    }

    /// The shape of a tensor, where it is stored as it is.
    pub(crate) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match self.find(name)? {
            Found::Stored(tensor) => Some(tensor.shape().to_vec()),
            Found::Q4(_) => None,
        }
    }

    /// What there is, sorted by name: for tests, which compare files.
    #[cfg(test)]
    pub(super) fn specs(&self) -> Vec<TensorSpec> {
        let spec = |(name, tensor): (&String, &StoredTensor<'_>)| TensorSpec {
            name: name.clone(),
            shape: tensor.shape().to_vec(),
        };
        let mut specs: Vec<TensorSpec> = self.stored.iter().map(spec).collect();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        specs
    }

    /// Copies a tensor as `f32`, row by row.
    pub(crate) fn read(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let values = match self.find(name).ok_or_else(|| self.missing(name))? {
            Found::Q4(q4) => q4.to_f32(),
            Found::Stored(tensor) => tensor.to_f32().ok_or_else(|| WeightsError::Dtype {
                name: name.to_owned(),
                actual: tensor.dtype(),
            })?,
        };
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
        match self.find(name) {
            None => {}
            Some(Found::Stored(tensor)) => {
                let head = format!("{name} {:?} {:?}\n", tensor.dtype(), tensor.shape());
                hasher.update(head.as_bytes()).update(&tensor.bytes());
            }
            Some(Found::Q4(q4)) => {
                let head = format!("{name} Q4 {}\n", q4.packed.len());
                hasher.update(head.as_bytes()).update(q4.packed).update(q4.scales);
            }
        }
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

    /// The tensor of that name, as it is stored.
    pub(super) fn stored(&self, name: &str) -> Option<&StoredTensor<'a>> {
        self.stored.get(name)
    }

    /// A tensor that is not there.
    pub(crate) fn missing(&self, name: &str) -> WeightsError {
        let missing = vec![name.to_owned()];
        self.mismatch(TensorMismatch { missing, ..Default::default() })
    }

    fn find(&self, name: &str) -> Option<Found<'_, 'a>> {
        if let Some(tensor) = self.stored.get(name) {
            return Some(Found::Stored(tensor));
        }
        let part = |suffix: &str, dtype| {
            let tensor = self.stored.get(&format!("{name}.{suffix}"))?;
            (tensor.dtype() == dtype).then(|| tensor.row_major()).flatten()
        };
        let (packed, scales) = (part("q4", Dtype::U8)?, part("scales", Dtype::F16)?);
        Some(Found::Q4(Q4 { packed, scales }))
    }
}

/// Reads what tensors a file has, by the names it gives them.
fn parse_file<'a>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<Vec<(String, StoredTensor<'a>)>, WeightsError> {
    if torch::is_torch(bytes) {
        let refused = |source| WeightsError::Torch { path: path.to_owned(), source };
        return torch::parse(bytes).map_err(refused);
    }
    let tensors = SafeTensors::deserialize(bytes)
        .map_err(|source| WeightsError::Malformed { path: path.to_owned(), source })?;
    let views = tensors.tensors().into_iter();
    Ok(views
        .map(|(name, view)| {
            let tensor = StoredTensor::new(view.dtype(), view.shape().to_vec(), view.data());
            (name, tensor)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;

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
    fn the_tensors_of_one_model_among_several_lose_their_prefix() {
        let bytes = file(&[
            ("text_model.a", Dtype::F32, vec![1], 1.5f32.to_le_bytes().to_vec()),
            ("vision_model.b", Dtype::F32, vec![1], vec![0; 4]),
        ]);
        let tensors = Tensors::parse(Path::new("m"), &bytes).unwrap().under("text_model.");
        assert_eq!(tensors.read("a").unwrap(), [1.5]);
        assert!(tensors.unused(&[spec("a", &[1])]).is_empty());
    }

    #[test]
    fn refusals_name_the_tensor() {
        let nan = [1.0f32, f32::NAN].map(f32::to_le_bytes).concat();
        let bytes = file(&[
            ("a", Dtype::F32, vec![1, 2], nan),
            ("bert.d", Dtype::F16, vec![1], vec![0; 2]),
        ]);
        let tensors = Tensors::parse(Path::new("model.safetensors"), &bytes).unwrap();
        let refuse = |specs: &[TensorSpec]| tensors.check_model(specs).unwrap_err().to_string();
        assert_eq!(
            refuse(&[spec("a", &[2, 1]), spec("b", &[1]), spec("c", &[1])]),
            "model.safetensors lacks 2 tensors the model needs: b, c; it has 1 tensors in other \
             shapes than its configuration says: a: expected [2, 1], got [1, 2]; it has 1 tensors \
             the model does not use: d"
        );
        assert_eq!(tensors.unused(&[spec("a", &[2, 1])]), ["d"]);
        assert_eq!(
            tensors.read("a").unwrap_err().to_string(),
            "tensor a: value 1 is NaN, every weight must be finite"
        );
    }

    #[test]
    fn four_bits_are_read_under_the_name_of_their_matrix() {
        let scale = f16::from_f32(2.0).to_le_bytes().to_vec();
        let bytes = file(&[
            ("bert.w.q4", Dtype::U8, vec![2], vec![0x9a, 0x78]),
            ("bert.w.scales", Dtype::F16, vec![1], scale),
        ]);
        let tensors = Tensors::parse(Path::new("m"), &bytes).unwrap();
        let specs = [spec("w", &[2, 2])];
        tensors.check(&specs).unwrap();
        assert_eq!(tensors.read("w").unwrap(), [4.0, 2.0, 0.0, -2.0]);
        assert!(tensors.unused(&specs).is_empty());
        let error = tensors.check(&[spec("w", &[2, 3])]).unwrap_err().to_string();
        assert!(error.ends_with("w: expected [2, 3], got [4]"), "{error}");
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
