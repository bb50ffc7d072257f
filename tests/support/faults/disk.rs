//! What a power cut leaves of a folder.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::Path;

use super::Event;
use crate::Random;

/// What a disk writes as a whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A folder as its process sees it, and as the disk knows it.
///
/// Follows a record event by event; at any point [`Disk::cut`] writes a folder that a power cut
/// there could have left.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    files: Vec<Contents>,
    /// Open files, by their number in the record.
    open: HashMap<u32, usize>,
    names: Names,
    synced_names: Names,
    /// By folder: what happened to its names since they were synced.
    unsynced_names: BTreeMap<String, Vec<NameChange>>,
}

/// What survives of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Everything: the process ended and the machine went on.
    All,
    /// Nothing.
    Nothing,
    /// Names and writes up to some point of each folder and file; the write there is torn.
    Prefixes,
    /// Names up to some point of each folder, and of each sector that was written what it was at some time.
    Sectors,
}

type Names = BTreeMap<String, Node>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Put(String, Node),
    Remove(String),
    Move(String, String),
}

#[derive(Clone, Debug, Default)]
struct Contents {
    now: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Disk {
    /// Returns an empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets an event happen.
    pub fn follow(&mut self, event: &Event<'_>) {
        match *event {
            Event::Open { file, name, created, emptied } => {
                let node = self.node(name, created);
                self.open.insert(file, node);
                if emptied {
                    self.files[node].change(Change::Resize(0));
                }
            }
            Event::Write { file, offset, bytes } => {
                let write = Change::Write { offset: offset as usize, bytes: bytes.to_vec() };
                self.file(file).change(write);
            }
            Event::Resize { file, length } => {
                self.file(file).change(Change::Resize(length as usize));
            }
            Event::Sync { file } => self.file(file).sync(),
            Event::SyncFolder { name } => {
                for change in self.unsynced_names.remove(name).unwrap_or_default() {
                    change.apply(&mut self.synced_names);
                }
            }
            Event::Rename { from, to } => {
                assert_eq!(parent(from), parent(to), "no file moves between folders");
                self.rename(NameChange::Move(from.to_owned(), to.to_owned()), from);
            }
            Event::Unlink { name } | Event::RemoveFolder { name } => {
                self.rename(NameChange::Remove(name.to_owned()), name);
            }
            Event::MakeFolder { name } => {
                self.rename(NameChange::Put(name.to_owned(), Node::Folder), name);
            }
            Event::Mark(_) => {}
        }
    }

    /// Writes into `folder`, which is empty, what a power cut now could have left.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn cut(&self, how: Survival, random: &mut Random, folder: &Path) -> io::Result<()> {
        for (name, node) in self.surviving_names(how, random) {
            let path = folder.join(name.trim_start_matches('/'));
            match node {
                Node::Folder => std::fs::create_dir(path)?,
                Node::File(file) => std::fs::write(path, self.files[file].left(how, random))?,
            }
        }
        Ok(())
    }

    fn file(&mut self, number: u32) -> &mut Contents {
        let node = self.open[&number];
        &mut self.files[node]
    }

    /// Returns the file of a name, a new one if it was created.
    fn node(&mut self, name: &str, created: bool) -> usize {
        if let (Some(Node::File(node)), false) = (self.names.get(name), created) {
            return *node;
        }
        self.files.push(Contents::default());
        let node = self.files.len() - 1;
        self.rename(NameChange::Put(name.to_owned(), Node::File(node)), name);
        node
    }

    fn rename(&mut self, change: NameChange, name: &str) {
        change.apply(&mut self.names);
        self.unsynced_names.entry(parent(name).to_owned()).or_default().push(change);
    }

    fn surviving_names(&self, how: Survival, random: &mut Random) -> Names {
        let mut names = self.synced_names.clone();
        for changes in self.unsynced_names.values() {
            let kept = match how {
                Survival::All => changes.len(),
                Survival::Nothing => 0,
                Survival::Prefixes | Survival::Sectors => {
                    random.below(changes.len() as u64 + 1) as usize
                }
            };
            changes[..kept].iter().for_each(|change| change.apply(&mut names));
        }
        // A name in a folder that is gone is gone. Folders sort before what is in them.
        let mut reachable = Names::new();
        for (name, node) in names {
            if parent(&name).is_empty() || reachable.contains_key(parent(&name)) {
                reachable.insert(name, node);
            }
        }
        reachable
    }
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Put(name, node) => drop(names.insert(name.clone(), *node)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Move(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

impl Contents {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        self.synced.clone_from(&self.now);
        self.unsynced.clear();
    }

    fn left(&self, how: Survival, random: &mut Random) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        match how {
            Survival::All => bytes.clone_from(&self.now),
            Survival::Nothing => {}
            Survival::Prefixes => {
                let kept = random.below(self.unsynced.len() as u64 + 1) as usize;
                self.unsynced[..kept].iter().for_each(|change| change.apply(&mut bytes));
                if let Some(Change::Write { offset, bytes: written }) = self.unsynced.get(kept) {
                    let sectors = sectors_of(*offset, written.len());
                    let kept = random.below(sectors.len() as u64) as usize;
                    sectors[..kept].iter().for_each(|sector| {
                        put(&mut bytes, sector.start, &written[within(sector, *offset)]);
                    });
                }
            }
            Survival::Sectors => {
                // Some cuts lose nearly everything, some hardly anything.
                let odds = random.below(101);
                // A sector is written as a whole, with all it was given before: what the disk holds of it
                // is what it was at one time.
                let mut stale = HashSet::new();
                for change in &self.unsynced {
                    change.apply_sectors(&mut bytes, |part| {
                        let sector = part.start / SECTOR_BYTES;
                        let kept = random.below(100) < odds && !stale.contains(&sector);
                        if !kept && !part.is_empty() {
                            stale.insert(sector);
                        }
                        kept
                    });
                }
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes: written } => put(bytes, *offset, written),
            Self::Resize(length) => bytes.resize(*length, 0),
        }
    }

    fn apply_sectors(&self, bytes: &mut Vec<u8>, mut keep: impl FnMut(&Range<usize>) -> bool) {
        match self {
            Self::Write { offset, bytes: written } => {
                for sector in sectors_of(*offset, written.len()).into_iter().filter(|s| keep(s)) {
                    put(bytes, sector.start, &written[within(&sector, *offset)]);
                }
            }
            Self::Resize(length) => {
                if keep(&(0..0)) {
                    bytes.resize(*length, 0);
                }
            }
        }
    }
}

/// Returns the parts of a write that lie in different sectors.
fn sectors_of(offset: usize, length: usize) -> Vec<Range<usize>> {
    let (mut at, end) = (offset, offset + length);
    let mut sectors = Vec::new();
    while at < end {
        let next = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
        sectors.push(at..next);
        at = next;
    }
    sectors
}

fn within(sector: &Range<usize>, offset: usize) -> Range<usize> {
    sector.start - offset..sector.end - offset
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITES: [Event<'_>; 5] = [
        Event::MakeFolder { name: "/f" },
        Event::SyncFolder { name: "" },
        Event::Open { file: 1, name: "/f/a", created: true, emptied: false },
        Event::Write { file: 1, offset: 0, bytes: &[1; 700] },
        Event::Sync { file: 1 },
    ];

    fn left(events: &[Event<'_>], how: Survival, seed: u64) -> Option<Vec<u8>> {
        let mut disk = Disk::new();
        events.iter().for_each(|event| disk.follow(event));
        let folder = tempfile::tempdir().unwrap();
        disk.cut(how, &mut Random::new(seed), folder.path()).unwrap();
        std::fs::read(folder.path().join("f/a")).ok()
    }

    #[test]
    fn a_name_lasts_when_its_folder_was_synced() {
        assert_eq!(left(&WRITES, Survival::Nothing, 1), None);
        assert_eq!(left(&WRITES, Survival::All, 1).unwrap(), [1; 700]);
        let synced = [&WRITES[..], &[Event::SyncFolder { name: "/f" }]].concat();
        assert_eq!(left(&synced, Survival::Nothing, 1).unwrap(), [1; 700]);
    }

    #[test]
    fn bytes_last_when_their_file_was_synced() {
        let more = Event::Write { file: 1, offset: 700, bytes: &[2; 1000] };
        let events = [&WRITES[..], &[Event::SyncFolder { name: "/f" }, more]].concat();
        assert_eq!(left(&events, Survival::Nothing, 1).unwrap(), [1; 700]);
        let mut lengths: Vec<usize> = Vec::new();
        for seed in 0..50 {
            let torn = left(&events, Survival::Prefixes, seed).unwrap();
            assert!(torn.starts_with(&[1; 700]) && torn[700..].iter().all(|&byte| byte == 2));
            lengths.push(torn.len());
        }
        lengths.sort_unstable();
        lengths.dedup();
        assert_eq!(lengths, [700, 1024, 1536, 1700], "a tear lies at the end of a sector");
        let hole = |torn: &[u8]| torn.len() > 1024 && torn[700..1024] == [0; 324];
        let torn = |seed| left(&events, Survival::Sectors, seed).unwrap();
        assert!((0..50).any(|seed| hole(&torn(seed))), "a later sector may be there alone");
    }

    #[test]
    fn a_sector_is_what_it_was_at_one_time() {
        let more = |offset, bytes| Event::Write { file: 1, offset, bytes };
        let synced = [&WRITES[..], &[Event::SyncFolder { name: "/f" }]].concat();
        let events = [&synced[..], &[more(700, &[2; 100]), more(800, &[3; 100])]].concat();
        let mut lengths: Vec<usize> = Vec::new();
        for seed in 0..50 {
            let torn = left(&events, Survival::Sectors, seed).unwrap();
            assert!(
                torn.len() < 800 || torn[700..800] == [2; 100],
                "what came before is there too"
            );
            lengths.push(torn.len());
        }
        lengths.sort_unstable();
        lengths.dedup();
        assert_eq!(lengths, [700, 800, 900]);
    }
}
