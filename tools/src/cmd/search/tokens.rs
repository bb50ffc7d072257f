//! Questions that are token matrices: of a file, or of a text that an encoder gives them for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use bigrain_encoders::{EncodeOptions, TokenMatrix};
use bigrain_engine::{Collection, CollectionConfig, MultiFieldConfig, MultiVector};

use crate::device::EncodeOn;
use crate::input::{Content, Fields, Format, Input};
use crate::model::Model;

/// Reads a token matrix: JSON (`[[0.1, ..], ..]`), or rows of vectors of any format that
/// [`Format::of`] knows, a token each.
pub(super) fn read(path: &Path) -> anyhow::Result<MultiVector> {
    let context = || format!("read the token matrix {}", path.display());
    if path.extension().is_some_and(|extension| extension == "json") {
        let bytes = fs::read(path).with_context(context)?;
        return serde_json::from_slice(&bytes).with_context(context);
    }
    let format = Format::of(path).with_context(context)?;
    let mut tokens = Vec::new();
    for record in Input::open(path, format, Fields::default(), 0)? {
        let record = record?;
        match record.content {
            Content::Vector(vector) => tokens.push(vector),
            Content::Text(_) | Content::Named { .. } => bail!("{}: no vector", record.place),
        }
    }
    MultiVector::from_tokens(&tokens).with_context(context)
}

/// Returns the field a question is asked in, if that is one of multi-vectors: the one named, or the first
/// where there is no field of another kind.
pub(super) fn field_of(config: &CollectionConfig, name: Option<&str>) -> Option<MultiFieldConfig> {
    let mut fields = config.multi().iter();
    let field = match name {
        Some(name) => fields.find(|field| field.name == name),
        None => fields.next().filter(|_| config.first().is_none() && config.sparse().is_empty()),
    };
    field.cloned()
}

/// Opens the model for the texts of a field: the folder named on the command line, or else the one the
/// field was built with.
pub(super) fn open_model(
    collection: &Collection,
    field: &MultiFieldConfig,
    folder: Option<&Path>,
    on: &EncodeOn,
) -> anyhow::Result<Model> {
    let name = &field.name;
    let own = field.model.as_ref().map(PathBuf::from);
    let folder = folder.map(Path::to_owned).or(own).ok_or_else(|| {
        anyhow!(
            "field {name:?} of {:?} names no model: pass --model DIR, or tokens with --multi FILE",
            collection.name()
        )
    })?;
    let model = Model::open(&folder, on)?;
    let shape = model.encoder().token_shape().ok_or_else(|| {
        anyhow!("field {name:?} holds vectors of tokens, and model {} gives none", model.name())
    })?;
    if shape.dims != field.dims {
        bail!(
            "dimension mismatch: field {name:?} has tokens of {}, model {} gives {}",
            field.dims,
            model.name(),
            shape.dims
        );
    }
    Ok(model)
}

/// Encodes texts with a model whose tokens were [checked](open_model).
pub(super) fn encode(
    model: &Model,
    texts: &[&str],
    options: &EncodeOptions,
) -> anyhow::Result<Vec<MultiVector>> {
    let matrices = model.encoder().encode_tokens(texts, options).context("encode the tokens")?;
    matrices.into_iter().map(multi_vector).collect()
}

/// Returns a matrix as the engine takes it.
fn multi_vector(matrix: TokenMatrix) -> anyhow::Result<MultiVector> {
    let dims = matrix.dims();
    MultiVector::new(dims, matrix.into_data()).context("tokens of a text")
}
