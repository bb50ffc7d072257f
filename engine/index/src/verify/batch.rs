//! Rows fetched together.

use bigrain_storage::{Extent, ScatterBatch};
use bigrain_types::Offset;

use super::RowIo;
use super::row_io::Way;
use crate::dense::{DenseReader, DenseRow};
use crate::{Candidate, IndexError};

/// The dense files of a search, and how their rows are to be had.
pub(super) struct Sources<'a> {
    pub readers: &'a [&'a DenseReader],
    ways: Vec<Way>,
}

/// Rows fetched together. Reused between batches, it keeps its memory.
pub(super) struct Batch<'a> {
    places: Vec<Place<'a>>,
    extents: Vec<Extent<'a>>,
    scatter: ScatterBatch<'a>,
}

/// Where a candidate's row is.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// There is none: its score is known.
    Known,
    Mapped(DenseRow<'a>),
    /// Among the bytes read, in this place.
    Read(usize),
}

impl<'a> Sources<'a> {
    pub fn new(readers: &'a [&'a DenseReader], io: &RowIo) -> Self {
        Self { readers, ways: readers.iter().map(|reader| io.way(reader.file())).collect() }
    }

    /// Returns the files that may be read.
    pub fn read(&self) -> impl Iterator<Item = &'a DenseReader> {
        let read = self.readers.iter().zip(&self.ways).filter(|(_, way)| **way != Way::Map);
        read.map(|(reader, _)| *reader)
    }
}

impl<'a> Batch<'a> {
    pub fn new(io: &'a RowIo) -> Self {
        Self { places: Vec::new(), extents: Vec::new(), scatter: io.batch() }
    }

    /// Fetches the rows of some candidates and returns how many bytes were read from files for it. Rows
    /// in a map are looked up, and asked for all together, so that scoring one does not wait for it.
    pub fn fetch(
        &mut self,
        candidates: &[Candidate],
        sources: &Sources<'a>,
    ) -> Result<u64, IndexError> {
        self.places.clear();
        self.extents.clear();
        for candidate in candidates {
            let place = self.place(candidate, sources)?;
            self.places.push(place);
        }
        // In a loop of its own: a look-up waits for memory now and then, and would hold these up.
        for place in &self.places {
            if let Place::Mapped(row) = place {
                row.prefetch();
            }
        }
        if self.extents.is_empty() {
            return Ok(0);
        }
        Ok(self.scatter.read(&self.extents)?)
    }

    /// Returns the row of the candidate at `index`; none for one whose score is known.
    pub fn row(
        &self,
        index: usize,
        candidate: &Candidate,
        sources: &Sources<'a>,
    ) -> Result<Option<DenseRow<'_>>, IndexError> {
        match self.places[index] {
            Place::Known => Ok(None),
            Place::Mapped(row) => Ok(Some(row)),
            Place::Read(extent) => {
                let reader = sources.readers[candidate.source as usize];
                reader.row_in(self.scatter.bytes(extent)).map(Some)
            }
        }
    }

    /// Returns the bytes that scoring the candidate at `index` takes from a map.
    pub fn mapped_bytes(&self, index: usize, candidate: &Candidate, sources: &Sources<'a>) -> u64 {
        match self.places[index] {
            Place::Mapped(_) => sources.readers[candidate.source as usize].row_bytes(),
            Place::Known | Place::Read(_) => 0,
        }
    }

    fn place(
        &mut self,
        candidate: &Candidate,
        sources: &Sources<'a>,
    ) -> Result<Place<'a>, IndexError> {
        let source = candidate.source as usize;
        let Some(reader) = sources.readers.get(source).copied() else {
            return Ok(Place::Known);
        };
        let offset = Offset(candidate.offset);
        let mapped = match sources.ways[source] {
            Way::Map => true,
            Way::Ask => reader.is_cached(offset)?,
            Way::Read => false,
        };
        if mapped {
            return Ok(Place::Mapped(reader.row(offset)?));
        }
        self.extents.push(reader.extent(offset)?);
        Ok(Place::Read(self.extents.len() - 1))
    }
}
