//! Exports points as Parquet.
//!
//! ```text
//! id            utf8                     the number, the UUID or the text
//! id_is_number  boolean                  tells 42 from "42"
//! <field>       fixed-size list of f32   null where a point has no vector in the field
//! <field>       struct of `indices`, a list of u32, and `values`, a list of f32, if the field is sparse
//! <field>       struct of `tokens`, a list of fixed-size lists of f32, and `grid`, a list of two u8 or
//!               null, if the field is of multi-vectors
//! payload       utf8                     a JSON object
//! ```
//!
//! A group of rows is written when it has [`GROUP_BYTES`] in memory. The key [`SHAPE_KEY`] of the
//! file's metadata holds the collection's shape as JSON.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use arrow_array::builder::{
    BooleanBuilder, FixedSizeListBuilder, Float32Builder, ListBuilder, NullBufferBuilder,
    StringBuilder, UInt8Builder, UInt32Builder,
};
use arrow_array::{ArrayRef, RecordBatch, StructArray};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use bigrain_engine::{CollectionConfig, MultiFieldConfig, StoredPoint};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::Columns;
use super::ExportedShape;
use super::columns::{ID, ID_IS_NUMBER, PAYLOAD};
use super::shape_file::publish;

/// The key of the shape in the file's metadata.
pub const SHAPE_KEY: &str = "bigrain.shape";

/// Bytes of a group of rows, as far as they are known while it is made.
const GROUP_BYTES: usize = 64 << 20;

/// Points of one batch.
const BATCH_POINTS: usize = 1024;

/// Writes points as Parquet.
pub struct ParquetExport {
    path: PathBuf,
    part: PathBuf,
    schema: SchemaRef,
    config: CollectionConfig,
    writer: ArrowWriter<File>,
    waiting: Vec<StoredPoint>,
}

impl ParquetExport {
    /// Starts an export to `path`. What an earlier run left is written anew: a Parquet file has no
    /// end before it is complete.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn start(path: &Path, shape: &ExportedShape) -> anyhow::Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).with_context(|| format!("write {}", part.display()))?;
        let config = &shape.config;
        let schema = Arc::new(schema(config));
        let shape = KeyValue::new(SHAPE_KEY.to_owned(), serde_json::to_string(shape)?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_dictionary_enabled(false)
            .set_key_value_metadata(Some(vec![shape]))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
        let (path, config) = (path.to_owned(), config.clone());
        Ok(Self { path, part, schema, config, writer, waiting: Vec::new() })
    }

    /// Writes a point.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&mut self, point: StoredPoint) -> anyhow::Result<()> {
        self.waiting.push(point);
        if self.waiting.len() >= BATCH_POINTS { self.write_waiting() } else { Ok(()) }
    }

    /// Completes the file and gives it its name; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn finish(mut self) -> anyhow::Result<u64> {
        self.write_waiting()?;
        let file = self.writer.into_inner()?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        publish(&self.part, &self.path)?;
        Ok(bytes)
    }

    /// Removes what was written.
    pub fn discard(self) {
        drop(self.writer);
        // Best effort: the next export to this name writes it anew.
        let _ = fs::remove_file(&self.part);
    }

    fn write_waiting(&mut self) -> anyhow::Result<()> {
        let points = std::mem::take(&mut self.waiting);
        if points.is_empty() {
            return Ok(());
        }
        let columns = columns(&self.config, &points)?;
        self.writer.write(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)?;
        if self.writer.in_progress_size() >= GROUP_BYTES {
            self.writer.flush()?;
        }
        Ok(())
    }
}

fn schema(config: &CollectionConfig) -> Schema {
    let mut fields = vec![
        Field::new(ID, DataType::Utf8, false),
        Field::new(ID_IS_NUMBER, DataType::Boolean, false),
    ];
    let mut columns = Columns::of(config).vectors.into_iter().map(|(_, column)| column);
    for (field, column) in config.fields().iter().zip(&mut columns) {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        fields.push(Field::new(column, DataType::FixedSizeList(item, field.dims as i32), true));
    }
    for (_, column) in config.sparse().iter().zip(&mut columns) {
        fields.push(Field::new(column, DataType::Struct(sparse_parts()), true));
    }
    for (field, column) in config.multi().iter().zip(&mut columns) {
        fields.push(Field::new(column, DataType::Struct(multi_parts(field)), true));
    }
    fields.push(Field::new(PAYLOAD, DataType::Utf8, false));
    Schema::new(fields)
}

fn columns(config: &CollectionConfig, points: &[StoredPoint]) -> anyhow::Result<Vec<ArrayRef>> {
    let (mut ids, mut numbers) = (StringBuilder::new(), BooleanBuilder::new());
    let mut payloads = StringBuilder::new();
    for point in points {
        ids.append_value(point.id.to_string());
        numbers.append_value(point.id.as_number().is_some());
        payloads.append_value(serde_json::to_string(&point.payload)?);
    }
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ids.finish()), Arc::new(numbers.finish())];
    for field in config.fields() {
        let mut vectors = FixedSizeListBuilder::new(Float32Builder::new(), field.dims as i32);
        for point in points {
            let vector = point.vector(&field.name);
            match vector {
                Some(vector) => vectors.values().append_slice(vector),
                None => vectors.values().append_nulls(field.dims),
            }
            vectors.append(vector.is_some());
        }
        columns.push(Arc::new(vectors.finish()));
    }
    for field in config.sparse() {
        columns.push(Arc::new(sparse_column(&field.name, points)?));
    }
    for field in config.multi() {
        columns.push(Arc::new(multi_column(field, points)?));
    }
    columns.push(Arc::new(payloads.finish()));
    Ok(columns)
}

/// The parts of a sparse vector.
fn sparse_parts() -> Fields {
    let list = |name: &str, kind: DataType| {
        Field::new(name, DataType::List(Arc::new(Field::new("item", kind, true))), true)
    };
    [list("indices", DataType::UInt32), list("values", DataType::Float32)].into_iter().collect()
}

fn sparse_column(field: &str, points: &[StoredPoint]) -> anyhow::Result<StructArray> {
    let mut indices = ListBuilder::new(UInt32Builder::new());
    let mut values = ListBuilder::new(Float32Builder::new());
    let mut present = NullBufferBuilder::new(points.len());
    for point in points {
        let vector = point.sparse(field);
        if let Some(vector) = vector {
            indices.values().append_slice(vector.dimensions());
            values.values().append_slice(vector.values());
        }
        indices.append(vector.is_some());
        values.append(vector.is_some());
        present.append(vector.is_some());
    }
    let parts: Vec<ArrayRef> = vec![Arc::new(indices.finish()), Arc::new(values.finish())];
    Ok(StructArray::try_new(sparse_parts(), parts, present.finish())?)
}

/// The parts of a multi-vector.
fn multi_parts(field: &MultiFieldConfig) -> Fields {
    let item = |kind: DataType| Arc::new(Field::new("item", kind, true));
    let token = DataType::FixedSizeList(item(DataType::Float32), field.dims as i32);
    let tokens = Field::new("tokens", DataType::List(item(token)), true);
    let grid = Field::new("grid", DataType::List(item(DataType::UInt8)), true);
    [tokens, grid].into_iter().collect()
}

fn multi_column(field: &MultiFieldConfig, points: &[StoredPoint]) -> anyhow::Result<StructArray> {
    let token = FixedSizeListBuilder::new(Float32Builder::new(), field.dims as i32);
    let (mut tokens, mut grids) = (ListBuilder::new(token), ListBuilder::new(UInt8Builder::new()));
    let mut present = NullBufferBuilder::new(points.len());
    for point in points {
        let vector = point.multi(&field.name);
        for token in vector.iter().flat_map(|vector| vector.iter()) {
            tokens.values().values().append_slice(token);
            tokens.values().append(true);
        }
        tokens.append(vector.is_some());
        let grid = vector.and_then(|vector| vector.grid());
        if let Some(grid) = grid {
            grids.values().append_slice(&[grid.height, grid.width]);
        }
        grids.append(grid.is_some());
        present.append(vector.is_some());
    }
    let parts: Vec<ArrayRef> = vec![Arc::new(tokens.finish()), Arc::new(grids.finish())];
    Ok(StructArray::try_new(multi_parts(field), parts, present.finish())?)
}
