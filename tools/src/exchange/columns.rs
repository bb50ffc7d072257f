//! Which column of a table holds what of a point.

use bigrain_engine::CollectionConfig;

/// The column of ids, as text.
pub const ID: &str = "id";
/// The column that tells the number 42 from the text "42".
pub const ID_IS_NUMBER: &str = "id_is_number";
/// The column of payloads, JSON text.
pub const PAYLOAD: &str = "payload";

/// Which column of a table holds what of a point.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The id; without it, a column called `id`.
    pub id: Option<String>,
    /// Each vector field with its column; a column without a field is the first field's. Without any,
    /// every column that holds lists of floats: of the field of its name, or, if it is the only one,
    /// of the first; and every column that holds sparse vectors or multi-vectors, of the field of its
    /// name.
    pub vectors: Vec<(Option<String>, String)>,
    /// A column of JSON objects, which are the payloads; without it, all columns that are nothing
    /// else become attributes.
    pub payload: Option<String>,
    /// Columns to leave out.
    pub skip: Vec<String>,
}

impl Columns {
    /// Returns the columns of an export of a collection.
    #[must_use]
    pub fn of(config: &CollectionConfig) -> Self {
        let field = |name: &str| (Some(name.to_owned()), vector_column(name));
        Self {
            id: Some(ID.to_owned()),
            vectors: config.field_names().map(field).collect(),
            payload: Some(PAYLOAD.to_owned()),
            skip: Vec::new(),
        }
    }
}

/// Returns the column of a vector field: its own name, unless that is taken.
fn vector_column(field: &str) -> String {
    if [ID, ID_IS_NUMBER, PAYLOAD].contains(&field) {
        // A dot is in no field's name.
        format!("{field}.vector")
    } else {
        field.to_owned()
    }
}
