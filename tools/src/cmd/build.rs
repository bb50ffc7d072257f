//! `bigrain build`: a file becomes a collection.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use bigrain_engine::{
    Collection, CollectionConfig, DEFAULT_FIELD, DenseFormat, Engine, FieldConfig,
    LearnedBinarizer, Levels, Metric, MultiFieldConfig, MultiVector, SparseFieldConfig,
    SparseModifier, TextField,
};
use clap::Args;

use crate::building::finish_segments;
use crate::cmd::build_code::{self, CODE_CONFLICTS, CodeRequest};
use crate::cmd::build_pictures::{self, PicturesRequest, TagFlags};
use crate::cmd::built::Built;
use crate::cmd::field_spec::{FieldSpec, read_binarizer};
use crate::cmd::flags::parse_levels;
use crate::code;
use crate::device::EncodeOn;
use crate::failure::Usage;
use crate::human;
use crate::ingest::{BadRows, Ingest, IngestReport, KnownRows};
use crate::input::{Content, Fields, Format, Input, InputError, Record};
use crate::model::Model;
use crate::pictures;
use crate::progress::Progress;
use crate::session::{Session, find_collection};

/// Bad rows before the first good one, after which the file is taken to be something else.
const MAX_BAD_START: usize = 10_000;

/// Reads rows from a file, or code from a folder, into a collection.
///
/// Creates the collection, or goes on with it: rows that are stored already are passed over, so
/// a build that was stopped is taken up by running the same command again.
///
/// A line of JSON may have vectors of several fields, in an object by their names; a sparse one is an
/// object of "indices" and "values". Fields that the first line has, and those named with --field and
/// --sparse, are made.
#[derive(Args, Debug)]
pub struct BuildArgs {
    /// JSON lines (.jsonl), or vectors: .npy, .fvecs, .bvecs, .hdf5 (its dataset "train")
    #[arg(required_unless_present_any = ["code", "images"])]
    input: Option<PathBuf>,
    /// Index the source files of this folder instead, without those that .gitignore names: functions,
    /// types and the rest, each whole and in overlapping blocks. Files that are stored as they are are
    /// passed over, and what is gone is deleted
    #[arg(long, value_name = "DIR", conflicts_with_all = CODE_CONFLICTS)]
    code: Option<PathBuf>,
    /// Index the pictures of this folder instead: PNG, JPEG, WebP, GIF and BMP, told by what they hold.
    /// Captions come from captions.jsonl, from text files beside pictures, or from their names. Pictures
    /// that are stored as they are are passed over, and what is gone is deleted
    #[arg(long, value_name = "DIR", conflicts_with_all = CODE_CONFLICTS, conflicts_with = "code")]
    images: Option<PathBuf>,
    /// The collection to create, or to go on with [default with --code: code; with
    /// --images: pictures]
    #[arg(long, short, value_name = "NAME", required_unless_present_any = ["code", "images"])]
    collection: Option<String>,
    /// The folder of the model that encodes texts [default: the collection's, or all-MiniLM-L6-v2]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_MODEL")]
    model: Option<PathBuf>,
    /// The folder of the model for pictures [default: the collection's, or efficientnet-lite0-minilm]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_IMAGE_MODEL")]
    image_model: Option<PathBuf>,
    #[command(flatten)]
    tags: TagFlags,
    /// How vectors are compared: cosine, dot or l2 [default: cosine]
    #[arg(long)]
    metric: Option<Metric>,
    /// Bits a dimension of the codes in memory, 1 to 4 [default: 2]
    #[arg(long, value_parser = parse_levels)]
    levels: Option<Levels>,
    /// How vectors are stored on disk: f32, f16 or i8 [default: f32]
    #[arg(long, value_name = "FORMAT")]
    dense: Option<DenseFormat>,
    /// Lists of codes in each segment [default: about four times the root of its rows]
    #[arg(long, value_name = "N")]
    lists: Option<u32>,
    /// Makes codes with a binarizer that `bigrain train binarizer` wrote, of as many levels as it has, in place of
    /// the rotation
    #[arg(long, value_name = "FILE", value_parser = read_binarizer)]
    binarizer: Option<LearnedBinarizer>,
    /// A vector field and its shape: NAME[,dims=N][,metric=M][,levels=N][,dense=F][,lists=N]
    /// [,binarizer=FILE]; what is not stated is that of the other flags. Added to the collection if it
    /// has no such field
    #[arg(long = "field", value_name = "FIELD")]
    fields: Vec<FieldSpec>,
    /// A field of sparse vectors: NAME, or NAME:idf to multiply queries by how rare their dimensions
    /// are. Added to the collection if it has no such field
    #[arg(long, value_name = "NAME", value_parser = parse_sparse)]
    sparse: Vec<SparseFieldConfig>,
    /// A field of multi-vectors for the vector of each token of a text, by a model that gives them. Added to
    /// the collection if it has no such field
    #[arg(long, value_name = "NAME")]
    tokens: Option<String>,
    /// Payload texts to search by words (BM25), as one text field: PATH[+PATH][:LANGUAGE
    /// [:no-stop-words]], such as title+text:en. Added to the collection if it has no such field
    #[arg(long = "bm25", value_name = "TEXTS", conflicts_with = "drop_text")]
    texts: Vec<TextField>,
    /// The format of the input [default: what its name says]
    #[arg(long)]
    format: Option<Format>,
    /// JSON field with the id [default: id, or else _id]
    #[arg(long, value_name = "FIELD")]
    id_field: Option<String>,
    /// JSON field with the text
    #[arg(long, value_name = "FIELD", default_value = "text")]
    text_field: String,
    /// JSON field put before the text
    #[arg(long, value_name = "FIELD", default_value = "title")]
    title_field: String,
    /// JSON field with a vector, which is then used in place of the text
    #[arg(long, value_name = "FIELD", default_value = "vector")]
    vector_field: String,
    /// JSON field with an object of vectors by field
    #[arg(long, value_name = "FIELD", default_value = "vectors")]
    vectors_field: String,
    /// Do not keep text and title in the payload; rows stored already are then encoded again
    #[arg(long)]
    drop_text: bool,
    /// The id of the first row of a matrix; the others count up from it
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_id: u64,
    /// Pass over bad rows and list them at the end, instead of stopping at the first
    #[arg(long)]
    skip_bad: bool,
    /// Encode and write every row again, even if it is stored already
    #[arg(long)]
    rewrite: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the input, the model or the data folder is refused, or the caller stops it. Rows that
/// were committed before stay.
pub fn run(args: &BuildArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    if let Some(folder) = &args.code {
        let name = args.collection.as_deref().unwrap_or(code::DEFAULT_COLLECTION);
        let field = args.defaults(DEFAULT_FIELD);
        let request =
            CodeRequest { folder, name, field, model: args.model.as_deref(), json: args.json };
        return build_code::run(&request, session);
    }
    if let Some(folder) = &args.images {
        let name = args.collection.as_deref().unwrap_or(pictures::DEFAULT_COLLECTION);
        let field = args.defaults(DEFAULT_FIELD);
        let model = args.image_model.as_deref();
        let (tags, json) = (&args.tags, args.json);
        let request = PicturesRequest { folder, name, field, model, tags, json };
        return build_pictures::run(&request, session);
    }
    let (input, name) =
        args.input.as_deref().zip(args.collection.as_deref()).context("no input")?;
    let format = args.format.map_or_else(|| Format::of(input), Ok)?;
    let reader = Input::open(input, format, args.fields(), args.first_id)?;
    let end = reader.len_bytes();
    let (first, records) = peek(reader, args.bad_rows())?;
    let first = first.ok_or_else(|| anyhow!("{} holds no rows", input.display()))?;
    let engine = session.create_or_open(&session.data_dir())?;
    let existing = find_collection(&engine, name)?;
    let model = args.open_model(existing.as_ref(), &first, &session.encode_on())?;
    let collection = match existing {
        Some(collection) => args.adapt(collection, model.as_ref(), &first)?,
        None => args.create(&engine, name, model.as_ref(), &first)?,
    };
    let mut progress = Progress::new(name, end);
    let ingest = Ingest {
        targets: std::slice::from_ref(&collection),
        encoder: model.as_ref().map(Model::encoder),
        bad_rows: args.bad_rows(),
        known_rows: args.known_rows(),
        cancel: &session.cancel,
    };
    let (report, ended) = ingest.run(records, &mut progress);
    progress.finish();
    if ended.is_ok() {
        finish_segments(&collection, true)?;
    }
    write_report(args, session, &collection, &report)?;
    ended.with_context(|| {
        let rows = human::counted(report.rows, "row of this run is", "rows of this run are");
        format!("build {name:?} ({rows} stored; the same command goes on after that)")
    })
}

impl BuildArgs {
    fn fields(&self) -> Fields {
        Fields {
            id: self.id_field.clone(),
            text: self.text_field.clone(),
            title: self.title_field.clone(),
            vector: self.vector_field.clone(),
            vectors: self.vectors_field.clone(),
            payload: None,
            keep_text: !self.drop_text,
        }
    }

    fn bad_rows(&self) -> BadRows {
        if self.skip_bad { BadRows::Skip } else { BadRows::Stop }
    }

    fn known_rows(&self) -> KnownRows {
        // Without its text in the payload a row that changed cannot be told from one that did not.
        if self.rewrite || self.drop_text { KnownRows::Rewrite } else { KnownRows::Skip }
    }

    fn open_model(
        &self,
        existing: Option<&Collection>,
        first: &Content,
        on: &EncodeOn,
    ) -> anyhow::Result<Option<Model>> {
        let config = existing.map(Collection::config);
        let first_field = config.as_ref().and_then(CollectionConfig::first);
        let named = first_field.is_some_and(|first| first.model.is_some());
        // Where all fields are sparse, texts are payload and nothing else.
        let encodes = config.is_none() || first_field.is_some();
        let folder = self.model.as_deref();
        let needless = match first {
            Content::Named { .. } if !encodes => true,
            Content::Text(_) => false,
            Content::Vector(_) => folder.is_none() && !named,
            Content::Named { text: Some(_), .. } => folder.is_none() && !named,
            Content::Named { text: None, .. } => !named,
        };
        if needless {
            return Ok(None);
        }
        match existing {
            Some(collection) => Model::open_for(collection, None, folder, on).map(Some),
            None => Model::open_or_default(folder, on).map(Some),
        }
    }

    fn create(
        &self,
        engine: &Engine,
        name: &str,
        model: Option<&Model>,
        first: &Content,
    ) -> anyhow::Result<Collection> {
        let mut fields = self.leading_field(model, first)?.into_iter().collect::<Vec<_>>();
        for spec in self.specs(first) {
            if !fields.iter().any(|field| field.name == spec.name) {
                fields.push(spec.config(dims_of(first, &spec.name))?);
            }
        }
        let mut sparse = self.sparse_fields(first).into_iter();
        let mut fields = fields.into_iter();
        let of_texts = self.tokens_field(model)?;
        let mut multi = self.multi_fields(first).into_iter().chain(of_texts);
        let config = match (fields.next(), sparse.next()) {
            (Some(leading), None) => CollectionConfig::of(leading),
            (Some(leading), Some(next)) => CollectionConfig::of(leading).with_sparse(next),
            (None, Some(first)) => CollectionConfig::of_sparse(first),
            (None, None) => {
                CollectionConfig::of_multi(multi.next().context("the first row has no vector")?)
            }
        };
        let config = fields.fold(config, CollectionConfig::with_field);
        let config = sparse.fold(config, CollectionConfig::with_sparse);
        let config = multi.fold(config, CollectionConfig::with_multi);
        let texts = self.texts.iter().cloned();
        let config = texts.fold(config, CollectionConfig::with_text);
        let collection = engine.create_collection(name, config)?;
        model.map_or(Ok(()), |model| model.check(&collection, None))?;
        Ok(collection)
    }

    /// Returns the first field of a new collection, where it is not a named one of the first row.
    fn leading_field(
        &self,
        model: Option<&Model>,
        first: &Content,
    ) -> anyhow::Result<Option<FieldConfig>> {
        let dims = match (first, model) {
            (Content::Vector(vector), _) => vector.len(),
            (Content::Text(_) | Content::Named { text: Some(_), .. }, Some(model)) => {
                model.encoder().dims()
            }
            (Content::Text(_), None) => bail!("texts need a model: pass --model DIR"),
            (Content::Named { .. }, _) => return Ok(None),
        };
        if let Some(model) = model.filter(|model| model.encoder().dims() != dims) {
            // Checked before anything is created: a collection of another shape could not be used.
            bail!(
                "dimension mismatch: rows have {dims}, model {} has {}: pass the model that made \
                 them, or none (unset BIGRAIN_MODEL)",
                model.name(),
                model.encoder().dims()
            );
        }
        let field = self.defaults(DEFAULT_FIELD).config(Some(dims))?;
        Ok(Some(match model {
            Some(model) => field.with_space(model.encoder().space()).with_model(model.name()),
            None => field,
        }))
    }

    /// Returns what the flags for all fields state.
    fn defaults(&self, name: &str) -> FieldSpec {
        FieldSpec {
            name: name.to_owned(),
            dims: None,
            metric: self.metric,
            levels: self.levels,
            dense: self.dense,
            lists: self.lists,
            binarizer: self.binarizer.clone(),
        }
    }

    /// Returns the fields that were named with flags, and then those of the first row.
    fn specs(&self, first: &Content) -> Vec<FieldSpec> {
        let flagged = self.fields.iter().map(|spec| spec.clone().or(&self.defaults(&spec.name)));
        let mut specs: Vec<FieldSpec> = flagged.collect();
        if let Content::Named { vectors, .. } = first {
            for (name, _) in vectors {
                if !specs.iter().any(|spec| spec.name == *name) {
                    specs.push(self.defaults(name));
                }
            }
        }
        specs
    }

    /// Returns the sparse fields that were named with flags, and then those of the first row.
    fn sparse_fields(&self, first: &Content) -> Vec<SparseFieldConfig> {
        let mut fields = self.sparse.clone();
        if let Content::Named { sparse, .. } = first {
            fields.extend(sparse.iter().map(|(name, _)| SparseFieldConfig::new(name)));
        }
        let mut seen = HashSet::new();
        fields.retain(|field| seen.insert(field.name.clone()));
        fields
    }

    /// Returns the multi-vector fields of the first row.
    fn multi_fields(&self, first: &Content) -> Vec<MultiFieldConfig> {
        let Content::Named { multi, .. } = first else { return Vec::new() };
        let metric = self.metric.unwrap_or(Metric::Cosine);
        let field = |(name, vector): &(String, MultiVector)| {
            MultiFieldConfig::new(name, vector.dims(), metric)
        };
        multi.iter().map(field).collect()
    }

    /// Returns the field for the tokens of texts, if one is wanted.
    fn tokens_field(&self, model: Option<&Model>) -> anyhow::Result<Option<MultiFieldConfig>> {
        let Some(name) = &self.tokens else { return Ok(None) };
        let model = model.context("tokens need texts, and a model: pass --model DIR")?;
        let shape = model.encoder().token_shape();
        let shape =
            shape.with_context(|| format!("{} gives no vectors of tokens", model.name()))?;
        let field = MultiFieldConfig::new(name, shape.dims, Metric::Cosine);
        Ok(Some(field.with_space(shape.space).with_model(model.name())))
    }

    /// Adds the fields that flags name and the collection does not have; refuses flags that ask for
    /// another shape than it has.
    fn adapt(
        &self,
        collection: Collection,
        model: Option<&Model>,
        first: &Content,
    ) -> anyhow::Result<Collection> {
        let (name, config) = (collection.name(), collection.config());
        let defaults = self.defaults(DEFAULT_FIELD);
        if let Some(first) = config.first() {
            defaults.check(first, &format!("collection {name:?}"))?;
        }
        for spec in &self.fields {
            match config.field(Some(&spec.name)) {
                Ok(field) => spec.check(field, &format!("field {:?}", spec.name))?,
                Err(_) => {
                    let spec = spec.clone().or(&defaults);
                    collection.add_field(spec.config(dims_of(first, &spec.name))?)?;
                }
            }
        }
        for field in &self.sparse {
            match config.sparse().iter().find(|has| has.name == field.name) {
                Some(has) if has == field => {}
                Some(has) => {
                    let line = format!(
                        "sparse field {:?} has modifier {}, {} was asked for",
                        has.name,
                        has.modifier.name(),
                        field.modifier.name()
                    );
                    return Err(Usage::new(line).into());
                }
                None => collection.add_sparse_field(field.clone())?,
            }
        }
        if let Some(field) = self.tokens_field(model)? {
            match config.multi().iter().find(|has| has.name == field.name) {
                Some(has) if has.space == field.space => {}
                Some(has) => {
                    let line = format!("field {:?} is not of the tokens of this model", has.name);
                    return Err(Usage::new(line).into());
                }
                None => collection.add_multi_field(field)?,
            }
        }
        for text in &self.texts {
            match config.text(&text.name()) {
                Ok(has) if has == text => {}
                Ok(has) => {
                    let line =
                        format!("collection {name:?} has text field {has}, {text} was asked for");
                    return Err(Usage::new(line).into());
                }
                Err(_) => collection.add_text_field(text.clone())?,
            }
        }
        Ok(collection)
    }
}

/// Reads a sparse field that was given as an argument.
fn parse_sparse(text: &str) -> Result<SparseFieldConfig, String> {
    let (name, modifier) = match text.split_once(':') {
        None => (text, SparseModifier::None),
        Some((name, modifier)) => {
            let known = SparseModifier::ALL.into_iter().find(|known| known.name() == modifier);
            let expected = || format!("unknown modifier {modifier:?}: expected idf");
            (name, known.ok_or_else(expected)?)
        }
    };
    Ok(SparseFieldConfig::new(name).with_modifier(modifier))
}

/// Returns the dimensions of a row's vector in a named field.
fn dims_of(row: &Content, field: &str) -> Option<usize> {
    let Content::Named { vectors, .. } = row else { return None };
    vectors.iter().find(|(name, _)| name == field).map(|(_, vector)| vector.len())
}

type Rows = Box<dyn Iterator<Item = Result<Record, InputError>> + Send>;

/// Returns the content of the first good row, which decides what the collection holds, and all
/// rows from the start.
fn peek(mut input: Input, bad_rows: BadRows) -> anyhow::Result<(Option<Content>, Rows)> {
    let mut start = Vec::new();
    for row in input.by_ref() {
        match row {
            Ok(record) => {
                let content = record.content.clone();
                start.push(Ok(record));
                return Ok((Some(content), Box::new(start.into_iter().chain(input))));
            }
            Err(error) if bad_rows == BadRows::Skip && error.skippable() => {
                if start.len() == MAX_BAD_START {
                    let rows = human::count(MAX_BAD_START as u64);
                    return Err(
                        anyhow!(error).context(format!("none of the first {rows} rows is good"))
                    );
                }
                start.push(Err(error));
            }
            Err(error) => return Err(error.into()),
        }
    }
    // Rows, and all of them bad: the first says why.
    match start.into_iter().next() {
        Some(Err(error)) => Err(anyhow!(error).context("no good row")),
        Some(Ok(_)) | None => Ok((None, Box::new(input))),
    }
}

fn write_report(
    args: &BuildArgs,
    session: &mut Session<'_>,
    collection: &Collection,
    report: &IngestReport,
) -> anyhow::Result<()> {
    let mut remarks = Vec::new();
    if report.truncated > 0 {
        let truncated = human::counted(report.truncated, "text was", "texts were");
        remarks.push(format!("{truncated} longer than the model reads"));
    }
    let built = Built {
        files: None,
        points: report.points_line(),
        speed: report.speed_line(),
        remarks,
        skipped: &report.bad_rows,
        skipped_in_all: report.bad,
        more: ["more bad row", "more bad rows"],
    };
    built.write(report, args.json, collection, session)
}
