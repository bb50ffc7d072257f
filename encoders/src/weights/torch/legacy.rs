//! The legacy format: before torch 1.6, and later with `_use_new_zipfile_serialization=False`.

use std::collections::HashMap;

use safetensors::Dtype;

use super::error::TorchFileError;
use super::pickle::{self, Pickled};
use super::state_dict;
use super::value::{Heap, Storage, Value};
use crate::weights::stored::StoredTensor;

/// The first pickle: protocol 2, a number of ten bytes, the end.
pub(super) const MAGIC_PICKLE: &[u8] =
    &[0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
/// The second pickle's number.
const PROTOCOL: Value<'_> = Value::Int(1001);

/// Whether a file starts as this format does.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC_PICKLE)
}

/// Reads the tensors of a file.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<(String, StoredTensor<'_>)>, TorchFileError> {
    let mut rest = bytes.get(MAGIC_PICKLE.len()..).unwrap_or_default();
    if next(&mut rest)?.value != PROTOCOL {
        return Err(TorchFileError::Layout("expected protocol version 1001".to_owned()));
    }
    let system = next(&mut rest)?;
    if entry(&system, "little_endian") != Some(Value::Bool(true)) {
        return Err(TorchFileError::Layout("expected little-endian numbers".to_owned()));
    }
    let checkpoint = next(&mut rest)?;
    let keys = next(&mut rest)?;
    let dtypes = dtypes(&checkpoint.heap)?;
    let mut storages = HashMap::new();
    for key in items(&keys)? {
        let &Value::Str(key) = key else {
            return Err(TorchFileError::Layout("expected keys of storages".to_owned()));
        };
        // A storage that no tensor uses is not written.
        let dtype = dtypes.get(key).ok_or_else(|| {
            TorchFileError::Layout(format!("storage {} is not known", key.escape_debug()))
        })?;
        let (data, after) =
            split_storage(rest, *dtype).ok_or(TorchFileError::Truncated(bytes.len()))?;
        storages.insert(key, data);
        rest = after;
    }
    state_dict::tensors(&checkpoint, &mut |storage: &Storage<'_>| {
        storages.get(storage.key).copied().ok_or_else(|| {
            let key = storage.key.escape_debug();
            TorchFileError::Layout(format!("storage {key} is missing"))
        })
    })
}

/// Runs the next pickle.
fn next<'a>(rest: &mut &'a [u8]) -> Result<Pickled<'a>, TorchFileError> {
    let pickled = pickle::run(rest)?;
    *rest = &rest[pickled.len..];
    Ok(pickled)
}

/// The value of a key in a dict.
fn entry<'a>(pickled: &Pickled<'a>, key: &str) -> Option<Value<'a>> {
    let Value::Dict(at) = pickled.value else { return None };
    let pairs = &pickled.heap.dicts[at];
    pairs.iter().find(|(name, _)| *name == Value::Str(key)).map(|&(_, value)| value)
}

/// The items of a list.
fn items<'a, 'h>(pickled: &'h Pickled<'a>) -> Result<&'h [Value<'a>], TorchFileError> {
    let Value::List(at) = pickled.value else {
        return Err(TorchFileError::Layout("expected a list of storages".to_owned()));
    };
    Ok(&pickled.heap.lists[at])
}

/// The type of each storage, by its key.
fn dtypes<'a>(heap: &Heap<'a>) -> Result<HashMap<&'a str, Dtype>, TorchFileError> {
    let mut dtypes = HashMap::new();
    for storage in &heap.storages {
        if *dtypes.entry(storage.key).or_insert(storage.dtype) != storage.dtype {
            let key = storage.key.escape_debug();
            return Err(TorchFileError::Layout(format!("storage {key} has two types")));
        }
    }
    Ok(dtypes)
}

/// Splits off one storage: its elements (u64), then their bytes.
fn split_storage(bytes: &[u8], dtype: Dtype) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(len)).ok()?;
    rest.split_at_checked(len.checked_mul(dtype.bitsize() / 8)?)
}
