//! Reads an archive, believing nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bigrain_types::Cancel;

use super::header::{self, BLOCK_BYTES, Found, NoHeader, padding};
use super::{ArchiveError, ArchiveFolder, CHECKSUMS, END_BYTES, MAX_CHECKSUMS_BYTES, last_line};
use crate::directory::{Directory, FileReader};

/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;

/// An open archive, shared by any number of threads.
#[derive(Debug)]
pub struct Archive {
    reader: Arc<dyn FileReader>,
    entries: Vec<ArchiveEntry>,
    names: HashMap<String, usize>,
}

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Its name: a relative path of plain names.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    pub(super) offset: u64,
    hash: blake3::Hash,
}

impl Archive {
    /// Opens an archive: reads its headers and its list of checksums, not its data.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`] for a file that is no archive, was cut off, or holds entries that this
    /// program does not write.
    pub fn open(directory: &dyn Directory, path: &Path) -> Result<Self, ArchiveError> {
        let reader: Arc<dyn FileReader> = directory.open(path)?.into();
        let mut scan = HeaderScan { reader: &*reader, offset: 0, last: None };
        let mut entries = Vec::new();
        while let Some(entry) = scan.next()? {
            entries.push(entry);
        }
        let end = scan.offset;
        let mut archive = Self { reader, entries, names: HashMap::new() };
        archive.take_checksums(end)?;
        for (at, entry) in archive.entries.iter().enumerate() {
            if archive.names.insert(entry.name.clone(), at).is_some() {
                return Err(archive.refused(&entry.name, "it is there twice"));
            }
        }
        Ok(archive)
    }

    /// Returns the entries in their order, without the list of checksums.
    #[must_use]
    pub fn entries(&self) -> &[ArchiveEntry] {
        &self.entries
    }

    /// Returns the entry of a name.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Missing`].
    pub fn entry(&self, name: &str) -> Result<&ArchiveEntry, ArchiveError> {
        let found = self.names.get(name).map(|&at| &self.entries[at]);
        found.ok_or_else(|| ArchiveError::Missing { path: self.path(), name: name.to_owned() })
    }

    /// Gives all bytes of an entry to `sink`, a piece at a time. They are what was written only if
    /// this returns `Ok`: the checksum is known at the end.
    ///
    /// # Errors
    ///
    /// What `sink` returns; [`ArchiveError::Checksum`] and [`ArchiveError::Damaged`] for damage,
    /// [`ArchiveError::Cancelled`], [`ArchiveError::Io`].
    pub fn copy<E: From<ArchiveError>>(
        &self,
        entry: &ArchiveEntry,
        cancel: &Cancel,
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; READ_BYTES.min(entry.length as usize)];
        let (mut offset, end) = (entry.offset, entry.offset + entry.length);
        while offset < end {
            cancel.check().map_err(ArchiveError::from)?;
            let length = (end - offset).min(READ_BYTES as u64) as usize;
            let bytes = &mut buffer[..length];
            self.reader.read_at(offset, bytes).map_err(ArchiveError::from)?;
            hasher.update(bytes);
            sink(bytes)?;
            offset += length as u64;
        }
        self.check_hash(entry, &hasher.finalize())?;
        Ok(self.check_padding(end)?)
    }

    /// Returns all bytes of an entry that has at most `limit`.
    ///
    /// # Errors
    ///
    /// As [`Archive::copy`], and [`ArchiveError::Refused`] past the limit.
    pub fn read(
        &self,
        entry: &ArchiveEntry,
        limit: u64,
        cancel: &Cancel,
    ) -> Result<Vec<u8>, ArchiveError> {
        if entry.length > limit {
            let reason = format!("it has {} bytes, the limit is {limit}", entry.length);
            return Err(self.refused(&entry.name, &reason));
        }
        let mut bytes = Vec::with_capacity(entry.length as usize);
        self.copy(entry, cancel, |part| {
            bytes.extend_from_slice(part);
            Ok::<(), ArchiveError>(())
        })?;
        Ok(bytes)
    }

    /// Returns the entries below `folder` as a directory, whose bytes are read where they lie and
    /// are not checked by the archive.
    #[must_use]
    pub fn folder(self: &Arc<Self>, folder: &str) -> ArchiveFolder {
        ArchiveFolder::new(Arc::clone(self), folder)
    }

    /// Returns the archive's own path, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.reader.path().to_owned()
    }

    /// Returns the length of the whole archive in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.reader.len()
    }

    /// Returns an error that refuses an entry.
    #[must_use]
    pub fn refused(&self, name: &str, reason: &str) -> ArchiveError {
        let (name, reason) = (name.to_owned(), reason.to_owned());
        ArchiveError::Refused { path: self.path(), name, reason }
    }

    pub(super) fn reader(&self) -> &Arc<dyn FileReader> {
        &self.reader
    }

    /// Checks what the archive ends in, from `end` on, takes the list of checksums out of the
    /// entries and gives each of the others its own.
    fn take_checksums(&mut self, end: u64) -> Result<(), ArchiveError> {
        let path = self.path();
        let list = self.entries.pop().filter(|entry| entry.name == CHECKSUMS);
        let list = list.ok_or_else(|| ArchiveError::Truncated {
            path: path.clone(),
            at: self.reader.len(),
            within: format!("without {CHECKSUMS}"),
        })?;
        let damaged = |offset: u64, reason: &str| {
            let (path, reason) = (path.clone(), reason.to_owned());
            ArchiveError::Damaged { path, offset, reason }
        };
        if self.reader.len() < end + END_BYTES {
            let (at, within) = (self.reader.len(), "within its last kilobyte".to_owned());
            return Err(ArchiveError::Truncated { path, at, within });
        }
        if self.reader.len() > end + END_BYTES {
            return Err(damaged(end + END_BYTES, "expected the end of the file"));
        }
        self.check_zeros(end, END_BYTES as usize)?;
        if list.length > MAX_CHECKSUMS_BYTES {
            return Err(self.refused(CHECKSUMS, "it is too long"));
        }
        let mut text = vec![0; list.length as usize];
        self.reader.read_at(list.offset, &mut text)?;
        self.check_padding(list.offset + list.length)?;
        let broken = || damaged(list.offset, "checksums.txt does not match its own checksum");
        let text = String::from_utf8(text).map_err(|_| broken())?;
        let lines = text.trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1);
        let (lines, last) = text.split_at(lines);
        if last != last_line(lines) {
            return Err(broken());
        }
        let mut count = 0;
        for line in lines.lines() {
            let mut parts = line.splitn(3, "  ");
            let (hash, length, name) = (parts.next(), parts.next(), parts.next());
            let entry = self.entries.get_mut(count).filter(|entry| {
                name == Some(&entry.name) && length == Some(&entry.length.to_string())
            });
            let hash = hash.and_then(|hash| blake3::Hash::from_hex(hash).ok());
            let (Some(entry), Some(hash)) = (entry, hash) else {
                return Err(damaged(list.offset, "checksums.txt does not list what is there"));
            };
            entry.hash = hash;
            count += 1;
        }
        if count != self.entries.len() {
            return Err(damaged(list.offset, "checksums.txt does not list all that is there"));
        }
        Ok(())
    }

    fn check_hash(&self, entry: &ArchiveEntry, actual: &blake3::Hash) -> Result<(), ArchiveError> {
        if entry.hash == *actual {
            return Ok(());
        }
        Err(ArchiveError::Checksum {
            path: self.path(),
            name: entry.name.clone(),
            expected: entry.hash.to_string(),
            actual: actual.to_string(),
        })
    }

    fn check_padding(&self, end: u64) -> Result<(), ArchiveError> {
        self.check_zeros(end, padding(end) as usize)
    }

    fn check_zeros(&self, offset: u64, length: usize) -> Result<(), ArchiveError> {
        let mut zeros = [0; END_BYTES as usize];
        let zeros = &mut zeros[..length];
        self.reader.read_at(offset, zeros)?;
        if zeros.iter().all(|&byte| byte == 0) {
            return Ok(());
        }
        let reason = "expected zeros".to_owned();
        Err(ArchiveError::Damaged { path: self.path(), offset, reason })
    }
}

/// Goes from header to header.
struct HeaderScan<'a> {
    reader: &'a dyn FileReader,
    offset: u64,
    last: Option<String>,
}

impl HeaderScan<'_> {
    /// Returns the next entry; none at the first block of zeros, which is where `offset` then is.
    fn next(&mut self) -> Result<Option<ArchiveEntry>, ArchiveError> {
        let mut block = [0; BLOCK_BYTES];
        let data = self.offset + BLOCK_BYTES as u64;
        if data > self.reader.len() {
            return Err(self.truncated());
        }
        self.reader.read_at(self.offset, &mut block)?;
        let found = header::read(&block).map_err(|problem| self.no_header(problem))?;
        let Found::Entry { name, length } = found else { return Ok(None) };
        let end = data.checked_add(length).and_then(|end| end.checked_add(padding(length)));
        self.last = Some(name.clone());
        let Some(end) = end.filter(|&end| end <= self.reader.len()) else {
            return Err(self.truncated());
        };
        self.offset = end;
        // Known once the list of checksums was read.
        let hash = blake3::Hash::from_bytes([0; 32]);
        Ok(Some(ArchiveEntry { name, length, offset: data, hash }))
    }

    fn truncated(&self) -> ArchiveError {
        let within = match &self.last {
            Some(name) => format!("within or after {name}"),
            None => "before its first entry".to_owned(),
        };
        ArchiveError::Truncated {
            path: self.reader.path().to_owned(),
            at: self.reader.len(),
            within,
        }
    }

    fn no_header(&self, problem: NoHeader) -> ArchiveError {
        let (path, offset) = (self.reader.path().to_owned(), self.offset);
        match problem {
            NoHeader::Refused { name, reason } => ArchiveError::Refused { path, name, reason },
            NoHeader::Damaged(_) if offset == 0 => {
                let reason = "this is no archive of bigrain backup".to_owned();
                ArchiveError::Damaged { path, offset, reason }
            }
            NoHeader::Damaged(reason) => {
                ArchiveError::Damaged { path, offset, reason: reason.to_owned() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ArchiveWriter;
    use super::*;
    use crate::directory::RamDirectory;
    use crate::fs::AtomicFile;

    fn path() -> &'static Path {
        Path::new("a.tar")
    }

    fn written(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let directory = RamDirectory::new();
        let mut writer = ArchiveWriter::create(&directory, path()).unwrap();
        for (name, bytes) in entries {
            writer.bytes(name, bytes).unwrap();
        }
        let length = writer.finish().unwrap();
        let reader = directory.open(path()).unwrap();
        let mut bytes = vec![0; reader.len() as usize];
        reader.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, length);
        bytes
    }

    /// Reads everything there is.
    fn read_all(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ArchiveError> {
        let directory = RamDirectory::new();
        let mut file = AtomicFile::create(&directory, path()).unwrap();
        file.append(bytes).unwrap();
        file.commit().unwrap();
        let archive = Archive::open(&directory, path())?;
        let read = |entry: &ArchiveEntry| {
            Ok((entry.name.clone(), archive.read(entry, 1 << 30, &Cancel::new())?))
        };
        archive.entries().iter().map(read).collect()
    }

    fn sample() -> Vec<(&'static str, Vec<u8>)> {
        let long = (0..1300_u32).map(|i| (i * 7) as u8).collect();
        vec![("bigrain.json", b"{}".to_vec()), ("0/rows", long), ("0/empty", Vec::new())]
    }

    #[test]
    fn what_is_written_is_read_by_us_and_by_tar() {
        let bytes = written(&sample());
        let owned: Vec<_> =
            sample().into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        assert_eq!(read_all(&bytes).unwrap(), owned);
        let mut tar = tar::Archive::new(&bytes[..]);
        let names = tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned());
        let names: Vec<PathBuf> = names.collect();
        assert_eq!(
            names,
            ["bigrain.json", "0/rows", "0/empty", "checksums.txt"].map(PathBuf::from)
        );
    }

    #[test]
    fn no_bit_can_flip_unnoticed() {
        let bytes = written(&sample());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = read_all(&damaged).expect_err("a flipped bit went unnoticed");
            assert!(error.is_corruption(), "{error}");
        }
    }

    #[test]
    fn every_cut_is_recognised() {
        let bytes = written(&sample());
        for length in 0..bytes.len() {
            let error = read_all(&bytes[..length]).expect_err("a cut went unnoticed");
            assert!(matches!(error, ArchiveError::Truncated { .. }), "{length}: {error}");
        }
    }

    #[test]
    fn damage_names_its_entry() {
        let mut bytes = written(&sample());
        let at = 512 + 512 + 512 + 100;
        bytes[at] ^= 1;
        let error = read_all(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("a.tar: 0/rows is damaged: expected checksum"), "{error}");
    }

    #[test]
    fn an_entry_cannot_be_there_twice_and_bytes_cannot_follow() {
        let twice = written(&[("a", vec![1]), ("a", vec![2])]);
        assert!(read_all(&twice).unwrap_err().to_string().contains("twice"));
        let more = [written(&sample()), vec![0; 512]].concat();
        assert!(read_all(&more).unwrap_err().to_string().contains("expected the end"));
    }

    #[test]
    fn a_writer_refuses_other_lengths_and_names_and_leaves_nothing() {
        let directory = RamDirectory::new();
        let mut writer = ArchiveWriter::create(&directory, path()).unwrap();
        for given in [&b"ab"[..], b"abcd"] {
            let error = writer.entry("x", 3, |sink| sink.append(given)).unwrap_err();
            assert!(matches!(error, ArchiveError::Length { expected: 3, .. }), "{error}");
        }
        assert!(writer.bytes("../x", b"").is_err());
        drop(writer);
        assert_eq!(directory.list(Path::new("")).unwrap(), []);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..4000),
            start in 0..3000_usize,
        ) {
            let _ = read_all(&bytes);
            let mut damaged = written(&sample());
            let end = damaged.len().min(start + bytes.len());
            damaged[start.min(end)..end].copy_from_slice(&bytes[..end - start.min(end)]);
            let _ = read_all(&damaged);
        }
    }
}
