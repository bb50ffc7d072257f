//! `bigrain upgrade`: a field goes over to the next version of its learned binarizer.

use std::time::Instant;

use anyhow::bail;
use bigrain_engine::{
    Collection, FieldConfig, LearnedBinarizer, PointId, Query, SearchParams, UpgradeInfo,
};
use clap::Args;
use serde_json::json;

use super::field_spec::read_binarizer;
use crate::human;
use crate::progress::Progress;
use crate::session::{Session, open_collection};

/// Stored vectors that recall is estimated by.
const QUERIES: usize = 50;

/// Results of each.
const LIMIT: usize = 10;

/// Makes the codes of a collection anew with the next version of its learned binarizer.
///
/// The collection answers all the while, by codes of both versions. A run that was stopped goes on where it
/// was when it is called again, without --binarizer too.
#[derive(Args, Debug)]
pub struct UpgradeArgs {
    /// The collection; may be left out when there is only one
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    /// The field [default: the first]
    #[arg(long, value_name = "NAME")]
    field: Option<String>,
    /// What `bigrain train binarizer --parent` wrote, with the field's binarizer as the parent; none goes on
    /// with the upgrade that was begun
    #[arg(long, value_name = "FILE", value_parser = read_binarizer)]
    binarizer: Option<LearnedBinarizer>,
    /// Leave segments of the former version as they are until it is called again, in a service too
    #[arg(long)]
    pause: bool,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When the binarizer does not follow the field's, there is nothing to upgrade, or the caller stops it.
pub fn run(args: &UpgradeArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let collection = open_collection(&engine, args.collection.as_deref())?;
    let FieldConfig { name: field, binarizer: present, .. } =
        dense_field(&collection, args.field.as_deref())?;
    if let Some(binarizer) = &args.binarizer
        && present.as_ref() != Some(binarizer)
    {
        collection.upgrade_binarizer(Some(&field), binarizer.clone())?;
    }
    collection.pause_upgrade(Some(&field), args.pause)?;
    let Some(begun) = left(&collection, &field) else {
        if args.binarizer.is_none() {
            bail!("no upgrade was begun, or it has ended: --binarizer names the next version");
        }
        writeln!(session.out, "{}: all codes are of the present version", collection.name())?;
        return Ok(());
    };
    let estimate = Estimate::new(&collection, &field)?;
    let (started, before) = (Instant::now(), estimate.recall(&collection)?);
    if !args.pause {
        re_encode(&collection, &field, begun, session)?;
    }
    let left = left(&collection, &field).map_or(0, |info| info.vectors_left);
    let (after, took) = (estimate.recall(&collection)?, started.elapsed());
    let vectors = begun.vectors_left.saturating_sub(left);
    if args.json {
        return session.write_json(&json!({
            "from": begun.from.to_string(),
            "to": begun.to.to_string(),
            "vectors": vectors,
            "left": left,
            "paused": args.pause,
            "seconds": took.as_secs_f64(),
            "recall": [before, after],
        }));
    }
    writeln!(
        session.out,
        "{}: {} coded anew, {} left; recall@{LIMIT} of codes alone, asked with {} of its vectors: {before:.3} before, \
         {after:.3} after; {}",
        collection.name(),
        human::counted(vectors, "vector", "vectors"),
        human::count(left),
        estimate.truth.len(),
        human::duration(took),
    )?;
    Ok(())
}

/// Rewrites segment after segment.
fn re_encode(
    collection: &Collection,
    field: &str,
    begun: UpgradeInfo,
    session: &Session<'_>,
) -> anyhow::Result<()> {
    let mut progress = Progress::counting("upgrade", "vectors", begun.vectors_left);
    let mut done = 0;
    while collection.upgrade_next(&session.cancel)? {
        let left = left(collection, field).map_or(0, |info| info.vectors_left);
        let now = begun.vectors_left.saturating_sub(left);
        progress.advance(now - done, now);
        done = now;
    }
    progress.finish();
    Ok(())
}

/// Returns a dense field of a collection, the first one without a name.
fn dense_field(collection: &Collection, name: Option<&str>) -> anyhow::Result<FieldConfig> {
    let config = collection.config();
    let mut fields = config.fields().iter();
    let found = match name {
        Some(name) => fields.find(|field| field.name == name),
        None => fields.next(),
    };
    match found {
        Some(field) => Ok(field.clone()),
        None => bail!("the collection has no dense field {:?}", name.unwrap_or_default()),
    }
}

/// Returns what is left of a field's upgrade.
fn left(collection: &Collection, field: &str) -> Option<UpgradeInfo> {
    collection.info().fields.iter().find(|info| info.name == field)?.upgrade
}

/// Some stored vectors, and the points nearest to each of them.
struct Estimate {
    queries: Vec<Query>,
    truth: Vec<Vec<PointId>>,
}

impl Estimate {
    fn new(collection: &Collection, field: &str) -> anyhow::Result<Self> {
        let points = collection.scroll(None, QUERIES)?;
        let vectors = points.into_iter().flat_map(|point| point.vectors);
        let vectors = vectors.filter(|vector| *vector.field == *field);
        let queries = vectors.map(|vector| Query::new(vector.values).in_field(field));
        let queries: Vec<Query> = queries.collect();
        let params = SearchParams::new(LIMIT)?.with_exact(true);
        let truth = answers(collection, &queries, &params)?;
        Ok(Self { queries, truth })
    }

    /// Returns the share of the nearest points that codes alone find.
    fn recall(&self, collection: &Collection) -> anyhow::Result<f64> {
        let params = SearchParams::new(LIMIT)?.with_verify(false);
        let found = answers(collection, &self.queries, &params)?;
        let both = self.truth.iter().zip(&found).map(|(truth, found)| {
            truth.iter().filter(|id| found.contains(id)).count() as f64 / truth.len().max(1) as f64
        });
        Ok(both.sum::<f64>() / self.truth.len().max(1) as f64)
    }
}

fn answers(
    collection: &Collection,
    queries: &[Query],
    params: &SearchParams,
) -> anyhow::Result<Vec<Vec<PointId>>> {
    let mut answers = Vec::with_capacity(queries.len());
    for query in queries {
        let points = collection.search(query, params)?.points;
        answers.push(points.into_iter().map(|point| point.id).collect());
    }
    Ok(answers)
}
