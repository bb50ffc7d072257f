//! What codes are learned for: vectors by their ids, of a collection or of a file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{anyhow, bail};
use bigrain_engine::{Cancel, Collection, Metric, PointId};

use super::Texts;
use crate::input::{Content, Fields, Format, Input};
use crate::matrix::Matrix;
use crate::progress::Progress;

/// Points read at a time.
const PAGE: usize = 1000;

/// Vectors by their ids.
#[derive(Debug)]
pub struct Documents {
    places: HashMap<PointId, u32>,
    /// The id of each row.
    ids: Vec<PointId>,
    /// The vectors, as they were found.
    pub vectors: Matrix,
}

impl Documents {
    /// Takes the vectors of a field (the first without a name), in the order of their ids.
    ///
    /// # Errors
    ///
    /// For a field that is not compared by cosine, or not there, and when the engine cannot read it.
    pub fn of_collection(
        collection: &Collection,
        field: Option<&str>,
        cancel: &Cancel,
    ) -> anyhow::Result<Self> {
        let config = collection.config();
        let config = config.field(field)?;
        if config.metric != Metric::Cosine {
            let (name, metric) = (&config.name, config.metric);
            bail!("field {name:?} is compared by {metric}: codes are learned for cosine");
        }
        let mut documents =
            Self { places: HashMap::new(), ids: Vec::new(), vectors: Matrix::empty(config.dims) };
        let mut progress = Progress::new("read vectors", collection.info().points);
        let (mut last, mut read) = (None, 0);
        loop {
            cancel.check()?;
            let page = collection.scroll(last.as_ref(), PAGE)?;
            let Some(point) = page.last() else { break };
            last = Some(point.id.clone());
            read += page.len() as u64;
            progress.advance(page.len() as u64, read);
            for point in page {
                if let Some(vector) = point.vector(&config.name) {
                    documents.push(point.id.clone(), vector);
                }
            }
        }
        progress.finish();
        Ok(documents)
    }

    /// Takes the rows of a file as [`bigrain build`](crate::cmd::build) does: vectors, or texts to encode.
    ///
    /// # Errors
    ///
    /// For a row that is refused, has vectors of named fields, or is a text among vectors, and for texts
    /// that no model encodes.
    pub fn of_file(path: &Path, texts: &Texts<'_>, cancel: &Cancel) -> anyhow::Result<Self> {
        let input = Input::open(path, Format::of(path)?, Fields::default(), 0)?;
        let mut documents =
            Self { places: HashMap::new(), ids: Vec::new(), vectors: Matrix::empty(0) };
        let mut read: Vec<(PointId, String)> = Vec::new();
        for record in input {
            cancel.check()?;
            let record = record?;
            let place = record.place;
            match record.content {
                Content::Text(text) if documents.vectors.is_empty() => read.push((record.id, text)),
                Content::Vector(vector) if read.is_empty() => {
                    if documents.vectors.is_empty() {
                        documents.vectors = Matrix::empty(vector.len());
                    }
                    let dims = documents.vectors.dims();
                    if vector.len() != dims {
                        bail!("{place}: {} components, rows before have {dims}", vector.len());
                    }
                    documents.push(record.id, &vector);
                }
                Content::Named { .. } => bail!("{place}: expected one vector or a text"),
                Content::Text(_) | Content::Vector(_) => {
                    bail!("{place}: some rows are vectors, others texts");
                }
            }
        }
        if !read.is_empty() {
            let all: Vec<&str> = read.iter().map(|(_, text)| text.as_str()).collect();
            let vectors = texts.encode(&all, "encode documents")?;
            documents.vectors = Matrix::empty(vectors.dims());
            for ((id, _), vector) in read.into_iter().zip(vectors.rows()) {
                documents.push(id, vector);
            }
        }
        if documents.vectors.is_empty() {
            return Err(anyhow!("{} holds no rows", path.display()));
        }
        Ok(documents)
    }

    /// Returns the row of an id; of an id that was there twice, the last.
    #[must_use]
    pub fn place(&self, id: &PointId) -> Option<u32> {
        self.places.get(id).copied()
    }

    /// Returns the id of each row.
    pub fn ids(&self) -> impl Iterator<Item = &PointId> {
        self.ids.iter()
    }

    fn push(&mut self, id: PointId, vector: &[f32]) {
        self.ids.push(id.clone());
        self.places.insert(id, self.vectors.len() as u32);
        self.vectors.push(vector);
    }
}
