//! Parquet: a table with a column of ids and columns of vectors.
//!
//! A table that `bigrain export` wrote says itself which column is what, and comes back exactly. Of
//! any other, the columns can be named ([`Columns`]), or are found: ids in `id` or `_id`, vectors in
//! lists of floats, sparse vectors in structs of `indices` and `values`, multi-vectors in structs of
//! `tokens` and `grid`, and everything else becomes attributes of the payload. Lists of lists of floats are
//! multi-vectors where their column is named.
//!
//! A batch of rows is in memory at a time. The crate that reads the format can panic on bytes that
//! are none; here that is an error like any other.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};
use bigrain_engine::{MultiVector, PatchGrid, Payload, PointId, SparseVector};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::{Map, Value};

use super::{At, Content, InputError, Place, Problem, Record};
use crate::exchange::{Columns, ExportedShape, ID_IS_NUMBER, SHAPE_KEY};

/// Rows in memory at a time.
const BATCH_ROWS: usize = 256;

/// Reads records from a Parquet table.
pub struct ParquetInput {
    file: Arc<Path>,
    reader: ParquetRecordBatchReader,
    roles: Vec<(String, Role)>,
    rows: u64,
    next_row: u64,
    shape: Option<ExportedShape>,
    waiting: VecDeque<Result<Record, InputError>>,
    ended: bool,
}

/// What a column is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Id,
    IdIsNumber,
    /// The vector of a field; of the first one without a name.
    Vector(Option<String>),
    /// The vector of a sparse field.
    Sparse(String),
    /// The multi-vector of a field.
    Multi(String),
    Payload,
    Attribute,
    Nothing,
}

impl ParquetInput {
    /// Opens a table. What `columns` does not say is found out.
    ///
    /// # Errors
    ///
    /// [`InputError`] for a file that is no Parquet, or lacks a column that is needed.
    pub fn open(file: File, name: &Arc<Path>, columns: &Columns) -> Result<Self, InputError> {
        Self::open_table(file, name, columns)
            .map_err(|problem| Place::new(name, At::Start).error(problem))
    }

    fn open_table(file: File, name: &Arc<Path>, columns: &Columns) -> Result<Self, Problem> {
        let builder = caught(|| ParquetRecordBatchReaderBuilder::try_new(file))?;
        let metadata = builder.metadata().file_metadata();
        let rows =
            u64::try_from(metadata.num_rows()).map_err(|e| Problem::Parquet(e.to_string()))?;
        let shape = metadata.key_value_metadata().into_iter().flatten();
        let shape = shape.filter(|entry| entry.key == SHAPE_KEY).find_map(|e| e.value.as_deref());
        let shape: Option<ExportedShape> = match shape {
            Some(text) => Some(ExportedShape::from_json(text.as_bytes()).map_err(|error| {
                Problem::Parquet(format!("the shape in its metadata: {error}"))
            })?),
            None => None,
        };
        let roles = match &shape {
            Some(shape) if *columns == Columns::default() => {
                roles(builder.schema(), &Columns::of(&shape.config))?
            }
            _ => roles(builder.schema(), columns)?,
        };
        let reader = caught(|| builder.with_batch_size(BATCH_ROWS).build())?;
        let (file, waiting) = (Arc::clone(name), VecDeque::new());
        Ok(Self { file, reader, roles, rows, next_row: 0, shape, waiting, ended: false })
    }

    /// Returns the shape of the collection that was exported, if the table is an export.
    #[must_use]
    pub fn shape(&self) -> Option<&ExportedShape> {
        self.shape.as_ref()
    }

    /// Returns how many rows there are.
    #[must_use]
    pub fn len_rows(&self) -> u64 {
        self.rows
    }

    /// Makes records of the next batch of rows.
    fn fill(&mut self) -> Result<bool, Problem> {
        let Some(batch) = caught(|| self.reader.next().transpose())? else { return Ok(false) };
        for row in 0..batch.num_rows() {
            let place = Place::new(&self.file, At::Row(self.next_row));
            self.next_row += 1;
            let record = caught_row(|| self.record(&batch, row));
            self.waiting.push_back(match record {
                Ok((id, content, payload)) => {
                    Ok(Record { place, id, content, payload, position: self.next_row })
                }
                Err(problem) => Err(place.error(problem)),
            });
        }
        Ok(true)
    }

    fn record(
        &self,
        batch: &RecordBatch,
        row: usize,
    ) -> Result<(PointId, Content, Payload), Problem> {
        let (mut id, mut is_number) = (None, None);
        let (mut vectors, mut sparse, mut payload) = (Vec::new(), Vec::new(), Map::new());
        let mut multi = Vec::new();
        for ((name, role), column) in self.roles.iter().zip(batch.columns()) {
            let wrong = |reason: String| Problem::Column { column: name.clone(), reason };
            match role {
                Role::Id => id = Some((name, id_of(column, row).map_err(wrong)?)),
                Role::IdIsNumber => {
                    is_number = Some(column.is_valid(row) && column.as_boolean().value(row));
                }
                Role::Vector(field) => {
                    let vector = vector_of(column, row).map_err(wrong)?;
                    vectors.extend(vector.map(|vector| (field.clone(), vector)));
                }
                Role::Sparse(field) => {
                    let vector = sparse_of(column, row).map_err(wrong)?;
                    sparse.extend(vector.map(|vector| (field.clone(), vector)));
                }
                Role::Multi(field) => {
                    let vector = multi_of(column, row).map_err(wrong)?;
                    multi.extend(vector.map(|vector| (field.clone(), vector)));
                }
                Role::Payload => {
                    let text = text_of(column, row).map_err(wrong)?;
                    if let Some(text) = text {
                        let object = serde_json::from_str::<Map<String, Value>>(text);
                        payload.extend(object.map_err(|error| wrong(error.to_string()))?);
                    }
                }
                Role::Attribute => {
                    let value = json_of(column, row).map_err(wrong)?;
                    if !value.is_null() {
                        payload.insert(name.clone(), value);
                    }
                }
                Role::Nothing => {}
            }
        }
        let (name, id) = id.ok_or_else(|| Problem::Missing("\"id\"".to_owned()))?;
        let id = to_id(&id, is_number)
            .map_err(|reason| Problem::Column { column: name.clone(), reason })?;
        Ok((id, content(vectors, sparse, multi)?, Payload::from(payload)))
    }
}

impl Iterator for ParquetInput {
    type Item = Result<Record, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.waiting.is_empty() && !self.ended {
            match self.fill() {
                Ok(more) => self.ended = !more,
                Err(problem) => {
                    self.ended = true;
                    return Some(
                        Err(Place::new(&self.file, At::Row(self.next_row)).error(problem)),
                    );
                }
            }
        }
        self.waiting.pop_front()
    }
}

impl std::fmt::Debug for ParquetInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetInput")
            .field("file", &self.file)
            .field("roles", &self.roles)
            .finish()
    }
}

/// Decides what each column is for.
fn roles(schema: &Schema, columns: &Columns) -> Result<Vec<(String, Role)>, Problem> {
    let has = |name: &str| schema.fields().iter().any(|field| field.name() == name);
    let ids = columns.id.as_deref().map_or_else(|| vec!["id", "_id"], |id| vec![id]);
    let id = ids.iter().find(|id| has(id)).ok_or_else(|| missing(schema, ids[0]))?;
    for name in columns.vectors.iter().map(|(_, name)| name).chain(&columns.payload) {
        if !has(name) {
            return Err(missing(schema, name));
        }
    }
    let lists = || schema.fields().iter().filter(|field| is_vector(field.data_type()));
    // Beside sparse vectors, which name their fields, it has to name its own.
    let is_other = |kind: &DataType| is_sparse(kind) || is_multi(kind);
    let others = schema.fields().iter().any(|field| is_other(field.data_type()));
    let only_list = lists().count() == 1 && !others;
    let role = |name: &str, kind: &DataType| {
        if columns.skip.iter().any(|skip| skip == name) {
            return Role::Nothing;
        }
        if name == *id {
            return Role::Id;
        }
        if name == ID_IS_NUMBER && *kind == DataType::Boolean {
            return Role::IdIsNumber;
        }
        if let Some((field, _)) = columns.vectors.iter().find(|(_, column)| column == name) {
            if is_sparse(kind) {
                return Role::Sparse(field.clone().unwrap_or_else(|| name.to_owned()));
            }
            if is_multi(kind) || is_list_of_vectors(kind) {
                return Role::Multi(field.clone().unwrap_or_else(|| name.to_owned()));
            }
            return Role::Vector(field.clone());
        }
        if columns.payload.as_deref() == Some(name) {
            return Role::Payload;
        }
        if columns.vectors.is_empty() && is_vector(kind) {
            return Role::Vector((!only_list).then(|| name.to_owned()));
        }
        if columns.vectors.is_empty() && is_sparse(kind) {
            return Role::Sparse(name.to_owned());
        }
        if columns.vectors.is_empty() && is_multi(kind) {
            return Role::Multi(name.to_owned());
        }
        if columns.payload.is_some() { Role::Nothing } else { Role::Attribute }
    };
    let fields = schema.fields().iter();
    Ok(fields.map(|field| (field.name().clone(), role(field.name(), field.data_type()))).collect())
}

fn missing(schema: &Schema, name: &str) -> Problem {
    let known: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    Problem::Parquet(format!("no column {name:?}: it has {}", known.join(", ")))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of dozens of types these are taken")]
fn is_vector(kind: &DataType) -> bool {
    match kind {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
            item.data_type().is_floating()
        }
        _ => false,
    }
}

/// Whether values are structs of indices and values.
#[expect(clippy::wildcard_enum_match_arm, reason = "of dozens of types these are taken")]
fn is_sparse(kind: &DataType) -> bool {
    let DataType::Struct(parts) = kind else { return false };
    let is = |name: &str, taken: fn(&DataType) -> bool| {
        parts.iter().any(|part| {
            part.name() == name
                && match part.data_type() {
                    DataType::List(item) | DataType::LargeList(item) => taken(item.data_type()),
                    _ => false,
                }
        })
    };
    parts.len() == 2 && is("indices", DataType::is_integer) && is("values", DataType::is_floating)
}

/// Whether values are structs of tokens and a grid.
fn is_multi(kind: &DataType) -> bool {
    let DataType::Struct(parts) = kind else { return false };
    let part = |name: &str| parts.iter().find(|part| part.name() == name);
    let tokens = part("tokens").is_some_and(|part| is_list_of_vectors(part.data_type()));
    parts.len() == 2 && tokens && part("grid").is_some()
}

/// Whether values are lists of lists of floats.
#[expect(clippy::wildcard_enum_match_arm, reason = "of dozens of types these are taken")]
fn is_list_of_vectors(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) | DataType::LargeList(item) => is_vector(item.data_type()),
        _ => false,
    }
}

/// Makes a record's content of its vectors.
fn content(
    mut vectors: Vec<(Option<String>, Vec<f32>)>,
    sparse: Vec<(String, SparseVector)>,
    multi: Vec<(String, MultiVector)>,
) -> Result<Content, Problem> {
    let is_alone = sparse.is_empty() && multi.is_empty();
    if vectors.len() == 1 && vectors[0].0.is_none() && is_alone {
        return Ok(Content::Vector(vectors.remove(0).1));
    }
    let mut named = Vec::with_capacity(vectors.len());
    for (field, vector) in vectors {
        let field = field.ok_or_else(|| {
            Problem::Parquet("of several vector columns one names no field".to_owned())
        })?;
        named.push((field, vector));
    }
    Ok(Content::Named { text: None, vectors: named, sparse, multi })
}

/// An id as its column holds it.
enum RawId {
    Number(u64),
    Text(String),
}

fn id_of(column: &ArrayRef, row: usize) -> Result<RawId, String> {
    match json_of(column, row)? {
        Value::String(text) => Ok(RawId::Text(text)),
        Value::Number(number) => number
            .as_u64()
            .map(RawId::Number)
            .ok_or_else(|| format!("expected an unsigned integer or a text, got {number}")),
        other @ (Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            Err(format!("expected an unsigned integer or a text, got {other}"))
        }
    }
}

fn to_id(id: &RawId, is_number: Option<bool>) -> Result<PointId, String> {
    match (id, is_number) {
        (RawId::Number(number), _) => Ok(PointId::from(*number)),
        (RawId::Text(text), Some(true)) => {
            let number: Result<u64, _> = text.parse();
            number.map(PointId::from).map_err(|_| format!("expected a number, got {text:?}"))
        }
        (RawId::Text(text), _) => PointId::parse(text).map_err(|error| error.to_string()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of dozens of types these are taken")]
fn text_of(column: &ArrayRef, row: usize) -> Result<Option<&str>, String> {
    if column.is_null(row) {
        return Ok(None);
    }
    match column.data_type() {
        DataType::Utf8 => Ok(Some(column.as_string::<i32>().value(row))),
        DataType::LargeUtf8 => Ok(Some(column.as_string::<i64>().value(row))),
        DataType::Utf8View => Ok(Some(column.as_string_view().value(row))),
        other => Err(format!("expected text, found {other}")),
    }
}

/// Returns the vector of a row; none for a null.
fn vector_of(column: &ArrayRef, row: usize) -> Result<Option<Vec<f32>>, String> {
    if column.is_null(row) {
        return Ok(None);
    }
    let values = list_of(column, row)
        .ok_or_else(|| format!("expected a list of floats, found {}", column.data_type()))?;
    floats_of(&values).map(Some)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of dozens of types these are taken")]
fn floats_of(values: &ArrayRef) -> Result<Vec<f32>, String> {
    if values.null_count() > 0 {
        return Err("a component is null".to_owned());
    }
    match values.data_type() {
        DataType::Float32 => Ok(values.as_primitive::<Float32Type>().values().to_vec()),
        DataType::Float64 => {
            let values = values.as_primitive::<Float64Type>().values().iter();
            Ok(values.map(|&value| value as f32).collect())
        }
        DataType::Float16 => {
            let values = values.as_primitive::<Float16Type>().values().iter();
            Ok(values.map(|value| value.to_f32()).collect())
        }
        other => Err(format!("expected a list of floats, found a list of {other}")),
    }
}

/// Returns the sparse vector of a row; none for a null.
fn sparse_of(column: &ArrayRef, row: usize) -> Result<Option<SparseVector>, String> {
    if column.is_null(row) {
        return Ok(None);
    }
    let parts = column.as_struct_opt().ok_or("expected a struct of indices and values")?;
    let part = |name: &str| {
        let part = parts.column_by_name(name).and_then(|part| list_of(part, row));
        part.ok_or_else(|| format!("no list of {name}"))
    };
    let (indices, values) = (part("indices")?, floats_of(&part("values")?)?);
    let mut dimensions = Vec::with_capacity(indices.len());
    for at in 0..indices.len() {
        let index = json_of(&indices, at)?;
        let dimension = index.as_u64().and_then(|index| u32::try_from(index).ok());
        dimensions.push(dimension.ok_or_else(|| format!("index {index} is not below 2^32"))?);
    }
    SparseVector::new(dimensions, values).map(Some).map_err(|error| error.to_string())
}

/// Returns the multi-vector of a row; none for a null.
fn multi_of(column: &ArrayRef, row: usize) -> Result<Option<MultiVector>, String> {
    if column.is_null(row) {
        return Ok(None);
    }
    let (tokens, grid) = match column.as_struct_opt() {
        None => (list_of(column, row), None),
        Some(parts) => {
            let part = |name: &str| parts.column_by_name(name).filter(|part| part.is_valid(row));
            let tokens = part("tokens").and_then(|tokens| list_of(tokens, row));
            (tokens, part("grid").map(|grid| json_of(grid, row)).transpose()?)
        }
    };
    let tokens = tokens.ok_or("expected lists of tokens")?;
    let token = |at: usize| vector_of(&tokens, at)?.ok_or_else(|| format!("token {at} is null"));
    let tokens: Vec<Vec<f32>> = (0..tokens.len()).map(token).collect::<Result<_, _>>()?;
    let vector = MultiVector::from_tokens(&tokens).map_err(|error| error.to_string())?;
    let Some(grid) = grid else { return Ok(Some(vector)) };
    let grid: PatchGrid = serde_json::from_value(grid).map_err(|error| format!("grid: {error}"))?;
    vector.with_grid(grid).map(Some).map_err(|error| error.to_string())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of dozens of types these are taken")]
fn list_of(column: &ArrayRef, row: usize) -> Option<ArrayRef> {
    match column.data_type() {
        DataType::FixedSizeList(..) => Some(column.as_fixed_size_list().value(row)),
        DataType::List(_) => Some(column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(column.as_list::<i64>().value(row)),
        _ => None,
    }
}

/// Returns a value as JSON.
#[expect(clippy::wildcard_enum_match_arm, reason = "of dozens of types these are taken")]
fn json_of(column: &ArrayRef, row: usize) -> Result<Value, String> {
    use arrow_array::types::{
        Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    };
    if column.is_null(row) {
        return Ok(Value::Null);
    }
    let value = match column.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            text_of(column, row)?.unwrap_or_default().into()
        }
        DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_) => {
            let values = list_of(column, row).ok_or("expected a list")?;
            let values = (0..values.len()).map(|at| json_of(&values, at));
            Value::Array(values.collect::<Result<_, _>>()?)
        }
        DataType::Struct(fields) => {
            let columns = column.as_struct().columns();
            let mut object = Map::new();
            for (field, column) in fields.iter().zip(columns) {
                object.insert(field.name().clone(), json_of(column, row)?);
            }
            Value::Object(object)
        }
        other => return Err(format!("{other} has no form in JSON: leave the column out")),
    };
    Ok(value)
}

/// Calls the crate that reads the format; its panics are errors.
fn caught<T, E: std::fmt::Display>(read: impl FnOnce() -> Result<T, E>) -> Result<T, Problem> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|error| Problem::Parquet(error.to_string())),
        Err(_) => Err(Problem::Parquet("it contradicts itself".to_owned())),
    }
}

fn caught_row<T>(read: impl FnOnce() -> Result<T, Problem>) -> Result<T, Problem> {
    let contradiction = || Problem::Parquet("it contradicts itself".to_owned());
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(contradiction()))
}
