//! From what a pickle built to tensors by name.
//!
//! A checkpoint is a dict of tensors, or holds one among other things (`{"state_dict": {...},
//! "epoch": 3}`). Dicts within dicts become names with dots, `state_dict.embeddings.weight`;
//! prefixes are stripped later, for every format alike. What is no tensor is left out. A TorchScript file
//! holds a module, whose attributes are tensors and modules within it: their names are those of its state
//! dict.

use super::error::TorchFileError;
use super::pickle::Pickled;
use super::value::{Storage, TensorRef, Value};
use crate::weights::stored::StoredTensor;

/// Dicts within dicts.
const MAX_DEPTH: usize = 6;
/// Entries of all dicts, counted as often as they are met.
const MAX_ENTRIES: usize = 1 << 20;

/// Returns the tensors, by name; `storage_bytes` gives the bytes of a storage, all of them.
pub(super) fn tensors<'a>(
    pickled: &Pickled<'a>,
    storage_bytes: &mut impl FnMut(&Storage<'a>) -> Result<&'a [u8], TorchFileError>,
) -> Result<Vec<(String, StoredTensor<'a>)>, TorchFileError> {
    let root = pickled.heap.entries(pickled.value).ok_or(TorchFileError::NotAStateDict)?;
    let mut found = Vec::new();
    let mut entries = 0;
    let mut open = vec![(String::new(), root, 0)];
    while let Some((prefix, dict, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(TorchFileError::TooMuch { what: "dicts in each other", limit: MAX_DEPTH });
        }
        for &(key, value) in &pickled.heap.dicts[dict] {
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(TorchFileError::TooMuch { what: "entries", limit: MAX_ENTRIES });
            }
            let Value::Str(key) = key else { continue };
            let name = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
            if let Some(inner) = pickled.heap.entries(value) {
                open.push((name, inner, depth + 1));
                continue;
            }
            let Value::Tensor(at) = value else { continue };
            let tensor = &pickled.heap.tensors[at];
            let stored = stored(tensor, storage_bytes(&tensor.storage)?)
                .map_err(|reason| TorchFileError::Tensor { name: name.clone(), reason })?;
            found.push((name, stored));
        }
    }
    Ok(found)
}

/// Checks a tensor against the bytes of its storage.
fn stored<'a>(tensor: &TensorRef<'a>, bytes: &'a [u8]) -> Result<StoredTensor<'a>, String> {
    let Storage { dtype, len, .. } = tensor.storage;
    let width = dtype.bitsize() / 8;
    if len.checked_mul(width) != Some(bytes.len()) {
        return Err(format!("storage of {len} {dtype:?} has {} bytes", bytes.len()));
    }
    let outside = || {
        let TensorRef { offset, shape, strides, .. } = tensor;
        format!("shape {shape:?} with strides {strides:?} from {offset} leaves storage of {len}")
    };
    let count = tensor.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let count = count.ok_or_else(outside)?;
    let last = tensor.shape.iter().zip(&tensor.strides).try_fold(0usize, |last, (&size, &step)| {
        size.saturating_sub(1).checked_mul(step).and_then(|more| last.checked_add(more))
    });
    let last = last.ok_or_else(outside)?;
    let reach = if count == 0 { 0 } else { last.checked_add(1).ok_or_else(outside)? };
    let end = tensor.offset.checked_add(reach).filter(|&end| end <= len).ok_or_else(outside)?;
    if count > len {
        // A stride of 0 repeats elements: few bytes would ask for any amount of memory.
        return Err(format!("{count} elements from a storage of {len} are not supported"));
    }
    let data = &bytes[tensor.offset * width..end * width];
    Ok(StoredTensor::strided(dtype, tensor.shape.clone(), tensor.strides.clone(), data))
}
