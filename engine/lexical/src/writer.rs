//! Writes the lexical index of a segment.

use std::path::Path;

use bigrain_storage::Directory;
use bigrain_types::{Payload, PointId, TextField};
use tantivy::directory::{Directory as _, OwnedBytes, RamDirectory};
use tantivy::indexer::SingleSegmentIndexWriter;
use tantivy::schema::Field;
use tantivy::{Index, TantivyDocument, TantivyError};

use crate::schema::WrittenSchema;
use crate::terms::document_terms;
use crate::{LexicalError, archive};

/// By this tantivy sizes its first hash table, a third of it; the table grows as it must.
const TABLE_BUDGET_BYTES: usize = 3_000_000;

/// tantivy names its files by a random id; here one that is always the same stands in its place, so
/// that the same rows give the same bytes.
const SEGMENT_NAME: &str = "00000000000000000000000000000001";

/// Where tantivy says which segments there are.
const META: &str = "meta.json";

/// Writes the lexical index of a segment, row by row.
///
/// The index is built in memory: some bytes for each term and row, far fewer than the payloads have,
/// and the finished files.
pub struct LexicalWriter {
    files: RamDirectory,
    writer: SingleSegmentIndexWriter,
    terms: Field,
    /// Each text field, and its field of words.
    texts: Vec<(TextField, Field)>,
    rows: u64,
}

impl LexicalWriter {
    /// Starts an index of payload values, and of the words of some text fields.
    ///
    /// # Errors
    ///
    /// [`LexicalError::Build`] when tantivy refuses.
    pub fn new(text_fields: &[TextField]) -> Result<Self, LexicalError> {
        let WrittenSchema { schema, terms, texts, tokenizers } = WrittenSchema::new(text_fields);
        let files = RamDirectory::create();
        let builder = Index::builder().schema(schema).tokenizers(tokenizers);
        let writer = builder
            .single_segment_index_writer(files.clone(), TABLE_BUDGET_BYTES)
            .map_err(|error| failed(&error))?;
        let texts = text_fields.iter().cloned().zip(texts).collect();
        Ok(Self { files, writer, terms, texts, rows: 0 })
    }

    /// Adds the row of the next offset.
    ///
    /// # Errors
    ///
    /// [`LexicalError::Build`] when tantivy refuses.
    pub fn add(&mut self, id: &PointId, payload: &Payload) -> Result<(), LexicalError> {
        let mut document = TantivyDocument::new();
        for term in document_terms(id, payload) {
            document.add_bytes(self.terms, &term);
        }
        for (field, words) in &self.texts {
            field.each_text(payload, &mut |text| document.add_text(*words, text));
        }
        self.writer.add_document(document).map_err(|error| failed(&error))?;
        self.rows += 1;
        Ok(())
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// [`LexicalError`] when tantivy or the directory refuses.
    pub fn finish(self, directory: &dyn Directory, path: &Path) -> Result<(), LexicalError> {
        let index = self.writer.finalize().map_err(|error| failed(&error))?;
        let segments = index.searchable_segment_ids().map_err(|error| failed(&error))?;
        let [segment] = segments[..] else {
            let reason = format!("expected one segment of tantivy, got {}", segments.len());
            return Err(LexicalError::Build(reason));
        };
        let name = segment.uuid_string();
        let mut files = Vec::new();
        for path in index.directory().list_managed_files() {
            let file = self.files.open_read(&path);
            let file = file.map_err(|error| LexicalError::Build(error.to_string()))?;
            let bytes = file.read_bytes();
            let bytes = bytes.map_err(|error| LexicalError::Build(error.to_string()))?;
            let path = path.to_string_lossy();
            if path == META {
                // tantivy writes ids with dashes there.
                let text = String::from_utf8_lossy(&bytes);
                let dashed = |name: &str| {
                    let at = |from: usize, to: usize| &name[from..to];
                    [at(0, 8), at(8, 12), at(12, 16), at(16, 20), at(20, 32)].join("-")
                };
                let text = text.replace(&dashed(&name), &dashed(SEGMENT_NAME));
                files.push((META.to_owned(), OwnedBytes::new(text.into_bytes())));
            } else {
                files.push((path.replace(&name, SEGMENT_NAME), bytes));
            }
        }
        files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        archive::write(directory, path, self.rows, &files)
    }
}

fn failed(error: &TantivyError) -> LexicalError {
    LexicalError::Build(error.to_string())
}
