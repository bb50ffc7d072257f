//! The fields of the tantivy index.

use bigrain_types::TextField;
use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::TokenizerManager;

use crate::text::{field_name, tokenizer};

/// The field of payload terms.
const TERMS: &str = "terms";

/// The schema of an index to be written.
pub(crate) struct WrittenSchema {
    pub schema: Schema,
    /// The field of payload terms: raw bytes, indexed without frequencies, positions or lengths.
    pub terms: Field,
    /// The field of each text field: words with their frequencies, and lengths.
    pub texts: Vec<Field>,
    /// What cuts texts into words, by field name.
    pub tokenizers: TokenizerManager,
}

impl WrittenSchema {
    pub fn new(text_fields: &[TextField]) -> Self {
        let mut schema = Schema::builder();
        let terms = schema.add_bytes_field(TERMS, BytesOptions::default().set_indexed());
        // tantivy asks for its own default, whatever the fields are.
        let tokenizers = TokenizerManager::default();
        let mut texts = Vec::with_capacity(text_fields.len());
        for field in text_fields {
            let name = field_name(field);
            tokenizers.register(&name, tokenizer(field));
            let indexing = TextFieldIndexing::default()
                .set_tokenizer(&name)
                .set_index_option(IndexRecordOption::WithFreqs);
            let options = TextOptions::default().set_indexing_options(indexing);
            texts.push(schema.add_text_field(&name, options));
        }
        Self { schema: schema.build(), terms, texts, tokenizers }
    }
}

/// Returns the field of a text field, if the index has it.
pub(crate) fn text_field(schema: &Schema, field: &TextField) -> Option<Field> {
    schema.get_field(&field_name(field)).ok()
}

/// Returns the field of payload terms of an index that was read.
pub(crate) fn terms_field(schema: &Schema) -> tantivy::Result<Field> {
    schema.get_field(TERMS)
}
