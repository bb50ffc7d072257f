//! Writes a backup.

use std::path::Path;

use bigrain_storage::{
    ArchiveError, ArchiveWriter, CollectionKey, MmapDirectory, RawRow, RowKind, Store,
};

use super::contents::{
    BackupContents, BackupFormat, CONTENTS, CollectionManifest, manifest_name, part_name,
    segments_folder,
};
use super::parts::{self, PART_BYTES};
use crate::collection::Collection;
use crate::moment::{Held, HeldSegment, Moment};
use crate::watch::Watch;
use crate::{Error, ErrorKind, Result};

/// What a row is expected to take, before it is read.
const ROW_BYTES: u64 = 256;

/// Writes what some collections hold now to an archive that does not exist yet.
pub(crate) fn write(
    store: &Store,
    collections: &[Collection],
    to: &Path,
    created_unix_ms: u64,
    watch: &mut Watch<'_>,
) -> Result<BackupContents> {
    let (folder, name) = split(to)?;
    let directory = MmapDirectory::open(folder)?;
    if to.try_exists()? {
        return Err(Error::new(ErrorKind::AlreadyExists, "the file exists"));
    }
    let moment = Moment::take(store, collections)?;
    let aliases = moment.view.aliases()?;
    let manifests = moment.collections.iter().map(|held| manifest(held, &aliases));
    let manifests: Vec<CollectionManifest> = manifests.collect();
    let contents = BackupContents {
        format: BackupFormat::CURRENT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        created_unix_ms,
        collections: manifests.iter().map(CollectionManifest::saved).collect(),
    };
    for saved in &contents.collections {
        watch.expect(saved.segment_bytes + saved.points * ROW_BYTES);
    }
    let mut writer = ArchiveWriter::create(&directory, name)?;
    writer.bytes(CONTENTS, &to_json(&contents)?)?;
    for (at, (held, manifest)) in moment.collections.iter().zip(&manifests).enumerate() {
        writer.bytes(&manifest_name(at), &to_json(manifest)?)?;
        let mut collection = CollectionWriter { writer: &mut writer, at, watch: &mut *watch };
        for kind in RowKind::ALL {
            let rows = moment.view.raw_rows(held.key, kind)?;
            collection.rows(kind, rows.map(|row| Ok(row?)))?;
        }
        for segment in &held.segments {
            collection.segment(segment)?;
        }
    }
    writer.finish()?;
    Ok(contents)
}

fn manifest(held: &Held, aliases: &[(String, CollectionKey)]) -> CollectionManifest {
    let own = aliases.iter().filter(|(_, of)| *of == held.key);
    CollectionManifest {
        row: held.row.clone(),
        aliases: own.map(|(alias, _)| alias.clone()).collect(),
        counts: held.counts,
        segments: held.segments.iter().map(|segment| segment.row.clone()).collect(),
    }
}

struct CollectionWriter<'a, 'd, 'w> {
    writer: &'a mut ArchiveWriter<'d>,
    at: usize,
    watch: &'a mut Watch<'w>,
}

impl CollectionWriter<'_, '_, '_> {
    fn rows(&mut self, kind: RowKind, rows: impl Iterator<Item = Result<RawRow>>) -> Result<()> {
        let (mut part, mut number) = (Vec::new(), 0);
        for row in rows {
            parts::push(&mut part, &row?);
            if part.len() >= PART_BYTES {
                self.part(kind, number, &part)?;
                part.clear();
                number += 1;
            }
        }
        if part.is_empty() { Ok(()) } else { self.part(kind, number, &part) }
    }

    fn part(&mut self, kind: RowKind, number: usize, part: &[u8]) -> Result<()> {
        self.writer.bytes(&part_name(self.at, kind, number), part)?;
        Ok(self.watch.advance(part.len() as u64)?)
    }

    /// Copies the files of a segment; damage is found here, not when the backup is needed.
    fn segment(&mut self, held: &HeldSegment) -> Result<()> {
        let folder = format!("{}/{}", segments_folder(self.at), held.row.id);
        for (name, file) in held.segment.files() {
            let (length, cancel) = (file.identity().length, self.watch.cancel());
            let watch = &mut *self.watch;
            self.writer.entry(&format!("{folder}/{name}"), length, |sink| {
                file.copy(&cancel, |bytes| {
                    sink.append(bytes)?;
                    Ok::<(), Error>(watch.advance(bytes.len() as u64)?)
                })
            })?;
        }
        Ok(())
    }
}

/// Splits the path of a file into its folder and its name.
pub(super) fn split(path: &Path) -> Result<(&Path, &Path)> {
    let name = path.file_name().ok_or_else(|| Error::invalid("expected the name of a file"))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")), Path::new(name)))
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>, ArchiveError> {
    // Plain structures of numbers and strings: this cannot fail.
    Ok(serde_json::to_vec_pretty(value).unwrap_or_default())
}
