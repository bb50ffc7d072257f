//! The zip format: torch 1.6 and later, and TorchScript.

use std::collections::HashMap;
use std::io;

use rawzip::{CompressionMethod, ZipArchive};

use super::error::TorchFileError;
use super::value::Storage;
use super::{pickle, state_dict};
use crate::weights::stored::StoredTensor;

/// Where a TorchScript file keeps the source of its program.
const CODE: &str = "/code/";
/// Entries of an archive; there is one a tensor.
const MAX_ENTRIES: usize = 1 << 18;

/// Reads the tensors of an archive.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<(String, StoredTensor<'_>)>, TorchFileError> {
    let entries = entries(bytes)?;
    let mut pickles = entries.keys().filter_map(|name| name.strip_suffix("data.pkl"));
    let (Some(root), None) = (pickles.next(), pickles.next()) else {
        return Err(TorchFileError::Layout("expected one entry data.pkl".to_owned()));
    };
    if let Some(order) = entries.get(&format!("{root}byteorder"))
        && *order != b"little"
    {
        let order = String::from_utf8_lossy(order).escape_debug().to_string();
        return Err(TorchFileError::Layout(format!("byte order {order} is not supported")));
    }
    let pickled = pickle::run(entries[&format!("{root}data.pkl")])?;
    state_dict::tensors(&pickled, &mut |storage: &Storage<'_>| {
        let name = format!("{root}data/{}", storage.key);
        entries.get(&name).copied().ok_or_else(|| {
            TorchFileError::Layout(format!("entry {} is missing", name.escape_debug()))
        })
    })
}

/// The entries of an archive but for code, by name; each is stored, not compressed, and matches its checksum.
fn entries(bytes: &[u8]) -> Result<HashMap<String, &[u8]>, TorchFileError> {
    let damaged = |error: rawzip::Error| TorchFileError::Zip(error.to_string());
    let archive = ZipArchive::from_slice(bytes).map_err(damaged)?;
    let mut found = HashMap::new();
    let mut entries = archive.entries();
    while let Some(header) = entries.next_entry().map_err(damaged)? {
        let path = header.file_path();
        let name = str::from_utf8(path.as_ref())
            .map_err(|_| TorchFileError::Zip("the name of an entry is not UTF-8".to_owned()))?;
        if name.contains(CODE) {
            continue;
        }
        let refused =
            |reason: &str| TorchFileError::Zip(format!("entry {}: {reason}", name.escape_debug()));
        if header.compression_method() != CompressionMethod::STORE {
            return Err(refused("compressed, which torch never does"));
        }
        let entry = archive.get_entry(header.wayfinder()).map_err(damaged)?;
        io::copy(&mut entry.verifying_reader(entry.data()), &mut io::sink())
            .map_err(|error| refused(&error.to_string()))?;
        let (start, end) = entry.compressed_data_range();
        let data = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let data = data.and_then(|(start, end)| bytes.get(start..end));
        let data = data.ok_or_else(|| refused("outside the file"))?;
        if found.insert(name.to_owned(), data).is_some() {
            return Err(refused("is there twice"));
        }
        if found.len() > MAX_ENTRIES {
            return Err(TorchFileError::TooMuch { what: "entries", limit: MAX_ENTRIES });
        }
    }
    Ok(found)
}
