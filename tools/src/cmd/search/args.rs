//! The command line, and what a person sees.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use bigrain_encoders::compose;
use bigrain_engine::{
    Collection, Engine, Filter, GroupBy, GroupOutput, MAX_OVERSAMPLING, QueryAdapter, SearchOutput,
    SearchParams,
};
use clap::Args;
use serde_json::json;

use super::question::{Asker, Found, Question};
use super::{batch, read_adapter, read_filter, tokens};
use crate::cmd::answer_flags::{AnswerFlags, groups_json, write_groups};
use crate::cmd::hybrid_flags::{HybridFlags, Way};
use crate::cmd::rerank_flags::RerankFlags;
use crate::code;
use crate::failure::Usage;
use crate::pictures::{Page, PictureModel, PictureSource, heat_maps};
use crate::session::{Session, find_collection, open_collection};
use crate::{hits, human};

/// Finds the points nearest to a text, by vectors, by words, or by both; or to a sparse vector or a
/// multi-vector.
///
/// In a field of multi-vectors a text is encoded token by token, by a model that can.
#[derive(Args, Debug)]
pub struct SearchArgs {
    /// What to look for; may be left out beside --sparse
    #[arg(
        required_unless_present_any = ["batch", "sparse", "multi", "image", "text"],
        conflicts_with_all = ["batch", "multi"]
    )]
    query: Option<String>,
    /// What to look for, as an option
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["query", "batch"])]
    text: Option<String>,
    /// Look for pictures like the one in this file; with a text, for those like it that are also like the
    /// text
    #[arg(long, value_name = "FILE", conflicts_with_all = ["batch", "sparse", "code", "rerank", "field"])]
    image: Option<PathBuf>,
    /// Look for points by MaxSim with the token matrix in this file: JSON ([[0.1, ..], ..], .json), or a
    /// token in each row of .npy or another format of vectors
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["batch", "sparse", "image", "text", "code", "rerank", "hybrid", "words_only"]
    )]
    multi: Option<PathBuf>,
    /// How much the text counts beside --image; below 0 it is what the pictures should not be like
    #[arg(
        long,
        value_name = "W",
        default_value_t = 1.0,
        requires = "image",
        allow_negative_numbers = true
    )]
    compose: f32,
    /// Write a page with the pictures that were found
    #[arg(long, value_name = "FILE", conflicts_with_all = ["batch", "code", "group_by"])]
    html: Option<PathBuf>,
    /// Answer every line of this file, {"text" or "vector": .., "id", "filter", "limit": ..}, with a
    /// line of JSON; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sparse", "code", "rerank"])]
    batch: Option<PathBuf>,
    /// The collection to search; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    /// The vector field to search [default: the collection's first]
    #[arg(long, value_name = "NAME")]
    pub(super) field: Option<String>,
    /// Search among the points that match this filter, as JSON ({"field": "year", "gte": 1990};
    /// docs/filters.md has all conditions)
    #[arg(long, value_name = "JSON", value_parser = read_filter)]
    pub(super) filter: Option<Filter>,
    /// The folder of the model that encodes the text [default: the field's]
    #[arg(long, value_name = "DIR")]
    pub(super) model: Option<PathBuf>,
    /// While the collection goes over to another encoder, the folder of the model before [default: that which the
    /// former field names]
    #[arg(long, value_name = "DIR")]
    pub(super) former_model: Option<PathBuf>,
    /// How many results
    #[arg(long, short = 'n', value_name = "N", default_value_t = bigrain_engine::DEFAULT_LIMIT)]
    limit: usize,
    /// The share of the true neighbours to aim at, above 0 and at most 1 [default: 0.95]
    #[arg(long, value_name = "SHARE")]
    recall: Option<f32>,
    /// Probe this many lists of each segment, whatever --recall says
    #[arg(long, value_name = "N")]
    probes: Option<usize>,
    /// Rank by the codes alone, and read no vectors
    #[arg(long, conflicts_with = "exact")]
    codes_only: bool,
    /// Score every vector instead of asking the codes first
    #[arg(long)]
    exact: bool,
    /// Order what codes find by an adapter that `bigrain train adapt` wrote, in place of verification
    #[arg(long, value_name = "FILE", value_parser = read_adapter, conflicts_with_all = ["codes_only", "exact"])]
    pub(super) adapter: Option<QueryAdapter>,
    #[arg(long, value_name = "X", help = oversampling_help())]
    oversampling: Option<f32>,
    #[command(flatten)]
    pub(super) hybrid: HybridFlags,
    #[command(flatten)]
    pub(super) answer: AnswerFlags,
    #[command(flatten)]
    rerank: RerankFlags,
    /// Search code that was built with --code: print file and line of functions and types, each with
    /// the block that matches best
    #[arg(long, conflicts_with_all = ["field", "group_by", "diversity", "rerank"])]
    code: bool,
    /// Blocks of each function or type
    #[arg(long, value_name = "N", default_value_t = 3, requires = "code")]
    blocks: usize,
    /// Leave tests out: what Rust marks as a test, and files that are called or lie as tests do
    #[arg(long, requires = "code")]
    no_tests: bool,
    /// Show the plan
    #[arg(long)]
    explain: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When a parameter is out of range, or data folder, collection or model cannot be opened.
pub fn run(args: &SearchArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let (params, way) = (args.params()?, args.hybrid.way()?);
    let by = match args.code {
        // Blocks are grouped by the snippet that they are of.
        true => Some(GroupBy::new(code::GROUP_FIELD)?.with_per_group(args.blocks)?),
        false => args.answer.group_by()?,
    };
    let sparse = args.hybrid.sparse_query();
    let has_text = args.text().is_some_and(|query| !query.trim().is_empty());
    let brings_vector = args.batch.is_some() || args.image.is_some() || args.multi.is_some();
    if !brings_vector && way.needs_text(sparse.is_some()) && !has_text {
        return Err(Usage::new("the query is empty").into());
    }
    let engine = session.open_existing()?;
    let collection = match args.code {
        true => open_code(&engine, args.collection.as_deref())?,
        false => open_collection(&engine, args.collection.as_deref())?,
    };
    if let Some(path) = &args.batch {
        return batch::run(path, args, &way, &collection, session);
    }
    let (text, mut filter) = (args.text().map(str::to_owned), args.filter.clone());
    if args.no_tests {
        filter = Some(code::without_tests(filter)?);
    }
    let multi = args.multi.as_deref().map(tokens::read).transpose()?;
    let mut question = Question { text, filter, sparse, multi, ..Question::default() };
    let started = Instant::now();
    let pictures = args.picture_model(&collection, session)?;
    if let (Some(file), Some(model)) = (&args.image, &pictures) {
        let image = model.encode_file(file, &session.cancel)?;
        question.vector = Some(args.composed(image, model)?);
        question.space = Some(model.space());
    }
    let mut asker = Asker::new(args, &way, &collection, session);
    asker.encode(std::iter::once(&mut question))?;
    let encode = started.elapsed();
    match asker.query(question)?.run(&collection, &params, by.as_ref())? {
        Found::Points(mut found) => {
            let text = args.text().unwrap_or_default();
            let rerank = args.rerank.apply(text, args.limit, &mut found.points, session)?;
            if let Some(path) = &args.html {
                args.write_page(path, &found, pictures.as_ref())?;
            }
            args.write_points(&found, &collection, &way, Times { encode, rerank }, session)
        }
        Found::Groups(found) if args.code => args.write_code(&found, &collection, encode, session),
        Found::Groups(found) if args.json => {
            session.write_json(&json!({ "groups": groups_json(&found), "stats": found.stats }))
        }
        Found::Groups(found) => {
            write_groups(&found, session)?;
            write_end(&found, encode, session)
        }
    }
}

impl SearchArgs {
    /// What to look for, however it was said.
    fn text(&self) -> Option<&str> {
        self.query.as_deref().or(self.text.as_deref())
    }

    /// The collection's model for pictures, where a picture is to be encoded or shown.
    fn picture_model(
        &self,
        collection: &Collection,
        session: &Session<'_>,
    ) -> anyhow::Result<Option<PictureModel>> {
        if self.image.is_none() && self.html.is_none() {
            return Ok(None);
        }
        PictureModel::open_for(collection, self.model.as_deref(), &session.encode_on()).map(Some)
    }

    /// The vector of a picture, and of the text beside it.
    fn composed(&self, image: Vec<f32>, model: &PictureModel) -> anyhow::Result<Vec<f32>> {
        let Some(text) = self.text() else { return Ok(image) };
        let text = model.model().text_encoder().encode_query(text).context("encode the query")?;
        compose(&image, &text, self.compose).context("nothing is left of picture and text")
    }

    fn write_page(
        &self,
        path: &Path,
        found: &SearchOutput,
        model: Option<&PictureModel>,
    ) -> anyhow::Result<()> {
        let decode = model.map(|model| *model.model().decode()).unwrap_or_default();
        let mut page = Page::new("bigrain search", decode);
        let heading = self.text().unwrap_or("Pictures like this one");
        let heat = match (model, self.text()) {
            (Some(model), Some(text)) => heat_maps(model, text, &found.points)?,
            _ => Vec::new(),
        };
        let asked = self.image.clone().map(PictureSource::File);
        page.results(heading, asked.as_ref(), &found.points, &heat);
        fs::write(path, page.into_html()).with_context(|| format!("write {}", path.display()))
    }

    fn write_points(
        &self,
        found: &SearchOutput,
        collection: &Collection,
        way: &Way,
        times: Times,
        session: &mut Session<'_>,
    ) -> anyhow::Result<()> {
        if self.json {
            return session.write_json(&json!({
                "collection": collection.name(),
                "query": self.text(),
                "points": hits::to_json(&found.points),
                "encode_seconds": times.encode.as_secs_f64(),
                "rerank_seconds": times.rerank.map(|time| time.as_secs_f64()),
                "stats": found.stats,
                "plan": found.plan,
            }));
        }
        if found.points.is_empty() {
            let (name, shape) = (collection.name(), collection.config());
            match shape.fields().len() {
                _ if self.filter.is_some() || *way != Way::Vectors => {
                    writeln!(session.out, "no point of {name:?} matches")?
                }
                0 | 1 => writeln!(session.out, "collection {name:?} is empty")?,
                _ => {
                    let field = match &self.field {
                        Some(name) => name,
                        None => &shape.field(None)?.name,
                    };
                    writeln!(session.out, "no point of {name:?} has a vector in field {field:?}")?;
                }
            }
        } else {
            writeln!(session.out, "{}\n", hits::to_table(&found.points).trim_fmt())?;
        }
        writeln!(session.out, "{}", hits::stats_line(&found.stats, times.encode))?;
        if let Some(time) = times.rerank {
            writeln!(session.out, "reranked in {}", human::duration(time))?;
        }
        if let Some(plan) = &found.plan {
            writeln!(session.out, "\n{plan}")?;
        }
        Ok(())
    }

    fn write_code(
        &self,
        found: &GroupOutput,
        collection: &Collection,
        encode: Duration,
        session: &mut Session<'_>,
    ) -> anyhow::Result<()> {
        if self.json {
            let snippets = code::groups_json(found);
            return session.write_json(&json!({ "snippets": snippets, "stats": found.stats }));
        }
        if found.groups.is_empty() {
            writeln!(session.out, "no code of {:?} matches\n", collection.name())?;
        }
        code::write_groups(found, session.out)?;
        write_end(found, encode, session)
    }

    /// Returns how to search.
    pub(super) fn params(&self) -> anyhow::Result<SearchParams> {
        let usage = |error: bigrain_engine::SearchParamsError| Usage::new(error.to_string());
        let mut params = SearchParams::new(self.rerank.depth(self.limit)).map_err(usage)?;
        if let Some(oversampling) = self.oversampling {
            params = params.with_oversampling(oversampling).map_err(usage)?;
        }
        if let Some(recall) = self.recall {
            params = params.with_target_recall(recall).map_err(usage)?;
        }
        if let Some(probes) = self.probes {
            params = params.with_probes(probes).map_err(usage)?;
        }
        let params = params.with_verify(!self.codes_only).with_exact(self.exact);
        self.answer.params(params.with_explain(self.explain))
    }
}

/// How long models took.
#[derive(Clone, Copy)]
struct Times {
    encode: Duration,
    /// Where results were reranked.
    rerank: Option<Duration>,
}

/// Writes what a search for groups did.
fn write_end(
    found: &GroupOutput,
    encode: Duration,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    writeln!(session.out, "{}", hits::stats_line(&found.stats, encode))?;
    if let Some(plan) = &found.plan {
        writeln!(session.out, "\n{plan}")?;
    }
    Ok(())
}

/// Opens the collection of code: the one named, or the one that is made if none is, or the only one.
fn open_code(engine: &Engine, name: Option<&str>) -> anyhow::Result<Collection> {
    let default = find_collection(engine, code::DEFAULT_COLLECTION)?;
    match (name, default) {
        (None, Some(collection)) => Ok(collection),
        (name, _) => open_collection(engine, name),
    }
}

fn oversampling_help() -> String {
    format!(
        "Verify at most this many candidates for each result, 1 to {MAX_OVERSAMPLING} \
         [default: what suits the codes]"
    )
}
