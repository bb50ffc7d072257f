//! The fields of the tantivy index.

use tantivy::schema::{BytesOptions, Field, Schema};

/// The field of payload terms.
const TERMS: &str = "terms";

/// Returns the schema of an index to be written, and its field of payload terms: raw bytes, indexed
/// without frequencies, positions or lengths. Text fields for ranked search stand beside it.
pub(crate) fn schema() -> (Schema, Field) {
    let mut schema = Schema::builder();
    let terms = schema.add_bytes_field(TERMS, BytesOptions::default().set_indexed());
    (schema.build(), terms)
}

/// Returns the field of payload terms of an index that was read.
pub(crate) fn terms_field(schema: &Schema) -> tantivy::Result<Field> {
    schema.get_field(TERMS)
}
