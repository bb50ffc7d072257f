//! What the shim wrote down.

use std::io;
use std::path::Path;

const HEADER_BYTES: usize = 24;

/// Everything that changed a folder, in order.
#[derive(Debug)]
pub struct Record {
    bytes: Vec<u8>,
}

/// One change. Names begin with a slash, which stands for the folder that is watched; `file` is the
/// number of an open file.
#[expect(missing_docs, reason = "fields that are called what they are")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A file was opened; it may have been created or emptied thereby.
    Open { file: u32, name: &'a str, created: bool, emptied: bool },
    /// Bytes were written.
    Write { file: u32, offset: u64, bytes: &'a [u8] },
    /// The file got another length.
    Resize { file: u32, length: u64 },
    /// The file was synced.
    Sync { file: u32 },
    /// The names in a folder were synced.
    SyncFolder { name: &'a str },
    /// A file got another name.
    Rename { from: &'a str, to: &'a str },
    /// A file was removed.
    Unlink { name: &'a str },
    /// A folder was created.
    MakeFolder { name: &'a str },
    /// A folder was removed.
    RemoveFolder { name: &'a str },
    /// The process said something.
    Mark(&'a str),
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self { bytes: std::fs::read(path)? })
    }

    /// Returns the events, in order. What a killed process left unfinished at the end is no event.
    #[must_use]
    pub fn events(&self) -> Vec<Event<'_>> {
        let mut events = Vec::new();
        let mut rest = &self.bytes[..];
        while let Some((event, behind)) = next(rest) {
            events.push(event);
            rest = behind;
        }
        events
    }
}

#[expect(clippy::panic, reason = "the shim writes no other record")]
fn next(bytes: &[u8]) -> Option<(Event<'_>, &[u8])> {
    let (header, behind) = bytes.split_at_checked(HEADER_BYTES)?;
    let u32_at = |at: usize| header[at..at + 4].try_into().map(u32::from_le_bytes);
    let u64_at = |at: usize| header[at..at + 8].try_into().map(u64::from_le_bytes);
    let (kind, file) = (u32_at(0).ok()?, u32_at(4).ok()?);
    let (offset, length) = (u64_at(8).ok()?, u64_at(16).ok()?);
    let (body, behind) = behind.split_at_checked(length as usize)?;
    let name = || {
        let name = std::str::from_utf8(body).expect("a name in utf-8");
        assert!(!name.contains("//"), "{name}: a name has one spelling");
        name.trim_end_matches('/')
    };
    let event = match kind {
        1 => Event::Open { file, name: name(), created: offset & 1 != 0, emptied: offset & 2 != 0 },
        2 => Event::Write { file, offset, bytes: body },
        3 => Event::Resize { file, length: offset },
        4 => Event::Sync { file },
        5 => Event::SyncFolder { name: name() },
        6 => {
            let (from, to) = name().split_once('\0').expect("two names");
            Event::Rename { from, to }
        }
        7 => Event::Unlink { name: name() },
        8 => Event::MakeFolder { name: name() },
        9 => Event::RemoveFolder { name: name() },
        10 => Event::Mark(std::str::from_utf8(body).expect("a mark in utf-8")),
        other => panic!("event of kind {other}"),
    };
    Some((event, behind))
}
