//! What a pickle builds.

use safetensors::Dtype;

/// The names a state dict is made of, as an error lists them.
pub(super) const KNOWN: &str = "collections.OrderedDict, torch._utils._rebuild_tensor_v2, \
                                torch.FloatStorage, torch.HalfStorage, torch.BFloat16Storage, \
                                torch.LongStorage, torch.jit._pickle.build_intlist and its kind, \
                                modules of __torch__";

/// Where the classes of a TorchScript file are.
const SCRIPTED: &str = "__torch__";
const SCRIPTED_IN: &str = "__torch__.";

/// A name of another module: all that there are for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch.*Storage`
    Storage(Dtype),
    /// `torch.jit._pickle.build_*list`: the list that it is given.
    BuildList,
    /// `__torch__.*`: a module of a TorchScript file, which is the dict of its attributes to us.
    Module,
}

impl Global {
    /// The name, or `None` if it is not one of ours.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch", "FloatStorage") => Self::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Self::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Dtype::BF16),
            ("torch", "LongStorage") => Self::Storage(Dtype::I64),
            ("torch.jit._pickle", _) if name.starts_with("build_") && name.ends_with("list") => {
                Self::BuildList
            }
            (module, _) if module == SCRIPTED || module.starts_with(SCRIPTED_IN) => Self::Module,
            _ => return None,
        })
    }
}

/// A value. Compound ones are positions in a [`Heap`], so that a value that holds itself is no
/// danger and dropping takes no recursion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer that does not fit, as its bytes.
    Long(&'a [u8]),
    /// No tensor has one; what it is does not matter.
    Float,
    Str(&'a str),
    Global(Global),
    Tuple(usize),
    List(usize),
    Dict(usize),
    /// A module of a TorchScript file.
    Module(usize),
    Storage(usize),
    Tensor(usize),
}

/// Where tensors keep their elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub(super) dtype: Dtype,
    pub(super) key: &'a str,
    /// How many elements it has.
    pub(super) len: usize,
}

/// A window on a storage, as the pickle describes it; not checked against the storage yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorRef<'a> {
    pub(super) storage: Storage<'a>,
    /// The first element.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// Elements from one index to the next, of each axis.
    pub(super) strides: Vec<usize>,
}

/// Compound values.
#[derive(Debug, Default)]
pub(super) struct Heap<'a> {
    pub(super) tuples: Vec<Vec<Value<'a>>>,
    pub(super) lists: Vec<Vec<Value<'a>>>,
    pub(super) dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    /// Which dict holds the attributes of each module.
    pub(super) modules: Vec<Option<usize>>,
    pub(super) storages: Vec<Storage<'a>>,
    pub(super) tensors: Vec<TensorRef<'a>>,
}

impl<'a> Heap<'a> {
    /// The items of a tuple.
    pub(super) fn tuple(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        let Value::Tuple(at) = value else { return None };
        self.tuples.get(at).map(Vec::as_slice)
    }

    /// The dict that names what a value holds: itself, or that of a module's attributes.
    pub(super) fn entries(&self, value: Value<'a>) -> Option<usize> {
        match value {
            Value::Dict(at) => Some(at),
            Value::Module(at) => *self.modules.get(at)?,
            Value::None
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Long(_)
            | Value::Float
            | Value::Str(_)
            | Value::Global(_)
            | Value::Tuple(_)
            | Value::List(_)
            | Value::Storage(_)
            | Value::Tensor(_) => None,
        }
    }

    /// The sizes in a tuple of integers.
    pub(super) fn sizes(&self, value: Value<'a>) -> Option<Vec<usize>> {
        self.tuple(value)?.iter().map(|size| size.as_size()).collect()
    }
}

impl Value<'_> {
    /// An integer that is not negative.
    pub(super) fn as_size(self) -> Option<usize> {
        let Self::Int(value) = self else { return None };
        usize::try_from(value).ok()
    }
}
