//! Exports points as JSON lines; an export that was stopped goes on where it was.
//!
//! ```text
//! points.jsonl.part        the lines so far
//! points.jsonl.position    how many bytes of them count, and the cursor behind them
//! points.jsonl             the part, once it is complete
//! ```
//!
//! The position is written after the lines it counts are on disk. What lies behind it in the part
//! is of a run that was stopped between the two, and is cut off.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bigrain_engine::{Cursor, StoredPoint};
use serde::{Deserialize, Serialize};

use super::shape_file::{publish, write_durably};

/// Writes points as JSON lines.
#[derive(Debug)]
pub struct JsonlExport {
    path: PathBuf,
    part: BufWriter<File>,
    position: Position,
    line: Vec<u8>,
}

/// How far an export has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    collection: String,
    bytes: u64,
    points: u64,
    /// None at the start.
    cursor: Option<String>,
}

impl JsonlExport {
    /// Starts an export to `path`, or goes on with one that was stopped.
    ///
    /// # Errors
    ///
    /// When there is a file of that name, or what an earlier run left is of another collection.
    pub fn start(path: &Path, collection: &str) -> anyhow::Result<Self> {
        let mut position = read_position(path)?.unwrap_or_default();
        if position.cursor.is_none() {
            position = Position { collection: collection.to_owned(), ..Position::default() };
        }
        if position.collection != collection {
            bail!(
                "{} is of an export of {:?} that was stopped: remove it to export {collection:?}",
                position_path(path).display(),
                position.collection
            );
        }
        let part = part_path(path);
        let mut open = || {
            let mut file =
                OpenOptions::new().create(true).truncate(false).write(true).open(&part)?;
            // More than the position counts was never meant to stay; less cannot be made up for.
            if file.metadata()?.len() < position.bytes {
                position = Position { collection: collection.to_owned(), ..Position::default() };
            }
            file.set_len(position.bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok::<File, std::io::Error>(file)
        };
        let file = open().with_context(|| format!("write {}", part.display()))?;
        let part = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { path: path.to_owned(), part, position, line: Vec::new() })
    }

    /// Returns where to go on, and how many points lie before it.
    ///
    /// # Errors
    ///
    /// When what an earlier run left is no position.
    pub fn resume(&self) -> anyhow::Result<(Option<Cursor>, u64)> {
        let cursor = self.position.cursor.as_deref().map(str::parse).transpose();
        let cursor =
            cursor.with_context(|| format!("read {}", position_path(&self.path).display()))?;
        Ok((cursor, self.position.points))
    }

    /// Writes a point.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&mut self, point: &StoredPoint) -> anyhow::Result<()> {
        self.line.clear();
        write_line(&mut self.line, point)?;
        self.part.write_all(&self.line).context("write points")?;
        self.position.bytes += self.line.len() as u64;
        self.position.points += 1;
        Ok(())
    }

    /// Makes everything so far survive, so that the next run goes on behind it.
    ///
    /// # Errors
    ///
    /// When the files cannot be written.
    pub fn save(&mut self, next: Option<&Cursor>) -> anyhow::Result<()> {
        self.part.flush()?;
        self.part.get_ref().sync_data()?;
        self.position.cursor = next.map(Cursor::to_string);
        write_durably(&position_path(&self.path), &serde_json::to_vec(&self.position)?)
    }

    /// Gives the complete file its name; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// When the files cannot be written.
    pub fn finish(mut self) -> anyhow::Result<u64> {
        self.part.flush()?;
        self.part.get_ref().sync_all()?;
        publish(&part_path(&self.path), &self.path)?;
        match fs::remove_file(position_path(&self.path)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(self.position.bytes),
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn part_path(path: &Path) -> PathBuf {
    with_suffix(path, ".part")
}

fn position_path(path: &Path) -> PathBuf {
    with_suffix(path, ".position")
}

fn read_position(path: &Path) -> anyhow::Result<Option<Position>> {
    let path = position_path(path);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("read {}", path.display()))?,
    };
    let position = serde_json::from_slice(&text);
    Ok(Some(position.with_context(|| format!("read {}", path.display()))?))
}

/// Writes the line of a point.
fn write_line(line: &mut Vec<u8>, point: &StoredPoint) -> anyhow::Result<()> {
    line.extend_from_slice(b"{\"id\":");
    serde_json::to_writer(&mut *line, &point.id)?;
    line.extend_from_slice(b",\"vectors\":{");
    for (at, vector) in point.vectors.iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        serde_json::to_writer(&mut *line, &*vector.field)?;
        line.push(b':');
        write_vector(line, &vector.values)?;
    }
    for (at, vector) in point.sparse.iter().enumerate() {
        if at + point.vectors.len() > 0 {
            line.push(b',');
        }
        serde_json::to_writer(&mut *line, &*vector.field)?;
        line.extend_from_slice(b":{\"indices\":");
        serde_json::to_writer(&mut *line, vector.vector.dimensions())?;
        line.extend_from_slice(b",\"values\":");
        write_vector(line, vector.vector.values())?;
        line.push(b'}');
    }
    for (at, vector) in point.multi.iter().enumerate() {
        if at + point.vectors.len() + point.sparse.len() > 0 {
            line.push(b',');
        }
        serde_json::to_writer(&mut *line, &*vector.field)?;
        line.extend_from_slice(b":{\"tokens\":[");
        for (at, token) in vector.vector.iter().enumerate() {
            if at > 0 {
                line.push(b',');
            }
            write_vector(line, token)?;
        }
        line.extend_from_slice(b"],\"grid\":");
        serde_json::to_writer(&mut *line, &vector.vector.grid())?;
        line.push(b'}');
    }
    line.extend_from_slice(b"},\"payload\":");
    serde_json::to_writer(&mut *line, &point.payload)?;
    line.extend_from_slice(b"}\n");
    Ok(())
}

fn write_vector(line: &mut Vec<u8>, values: &[f32]) -> anyhow::Result<()> {
    line.push(b'[');
    for (at, &value) in values.iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        write_component(line, value)?;
    }
    line.push(b']');
    Ok(())
}

/// Writes a component so that whoever reads it as f64 and rounds to f32 has the same bits.
///
/// The shortest decimal that is nearest to an f32 is short, but on the way over f64 it is rounded
/// twice, which in rare cases ends at a neighbour. Those are written with all digits of the f64.
fn write_component(line: &mut Vec<u8>, value: f32) -> anyhow::Result<()> {
    let start = line.len();
    serde_json::to_writer(&mut *line, &value)?;
    let read = std::str::from_utf8(&line[start..])?.parse::<f64>()?;
    if (read as f32).to_bits() != value.to_bits() {
        line.truncate(start);
        serde_json::to_writer(&mut *line, &f64::from(value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_finite_component_is_read_as_it_was(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            let mut line = Vec::new();
            write_component(&mut line, value).unwrap();
            let read: f64 = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!((read as f32).to_bits(), bits);
        }
    }
}
