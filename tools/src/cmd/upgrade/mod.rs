//! `bigrain upgrade`: a field goes over to the next version of its learned binarizer, or to another encoder.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | what is upgraded, and what it came to |
//! | `encoder.rs` | points that get vectors of the later encoder |

mod encoder;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::bail;
use bigrain_engine::{
    Collection, FieldConfig, FieldInfo, LearnedBinarizer, PointId, Query, SearchParams, UpgradeInfo,
};
use clap::Args;
use serde_json::json;

use self::encoder::{GoingOver, Moved};
use super::field_spec::read_binarizer;
use crate::human;
use crate::progress::Progress;
use crate::session::{Session, open_collection};

/// Stored vectors that recall is estimated by.
const QUERIES: usize = 50;

/// Results of each.
const LIMIT: usize = 10;

/// Makes the codes of a collection anew with the next version of its learned binarizer, or has it go over to another
/// encoder.
///
/// The collection answers all the while, by codes of both versions. A run that was stopped goes on where it
/// was when it is called again, without --binarizer too.
///
/// Another encoder's vectors come from texts that points have kept, or from a file. With --new-encoder nothing has to
/// be learned: until all points have gone over, a query is encoded by both encoders. A version for another encoder
/// (--binarizer, of `bigrain train binarizer --former-documents ..`) does with the later one alone.
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
    /// To another encoder, that of --model or of the vectors in --source, whatever both have in common; codes are
    /// the rotation's, of as many levels as now
    #[arg(long, conflicts_with_all = ["binarizer", "pause"])]
    new_encoder: bool,
    /// Leave segments of the former version as they are until it is called again, in a service too
    #[arg(long)]
    pause: bool,
    /// To another encoder: its vectors by the ids of points (.npy, .fvecs, .., JSON lines), or texts for --model
    #[arg(long, value_name = "FILE", conflicts_with = "pause")]
    source: Option<PathBuf>,
    /// To another encoder: encode the title and text that the payload of each point has kept
    #[arg(long, conflicts_with_all = ["source", "pause"])]
    kept_texts: bool,
    /// To another encoder: the folder of its model, which the field names from then on [default: that which it names]
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
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
    let present = dense_field(&collection, args.field.as_deref())?;
    let other = args.binarizer.as_ref().and_then(LearnedBinarizer::parent_dims);
    let going = describe(&collection, &present.name).and_then(|info| info.upgrade);
    if args.new_encoder || other.is_some() || going.is_some_and(|going| going.of_other_encoder) {
        return to_other_encoder(args, &collection, &present, session);
    }
    if args.source.is_some() || args.kept_texts || args.model.is_some() {
        bail!(
            "vectors are only taken for another encoder, with --new-encoder or a --binarizer for one: codes of the same \
             encoder's are made from the stored vectors"
        );
    }
    let FieldConfig { name: field, binarizer: present, .. } = present;
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

/// Has a field go over to another encoder, as far as there are vectors of that.
fn to_other_encoder(
    args: &UpgradeArgs,
    collection: &Collection,
    present: &FieldConfig,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    if args.pause {
        bail!(
            "--pause: vectors of another encoder go over while this command runs, and not without it"
        );
    }
    let field = &present.name;
    let started = Instant::now();
    let (cancel, on) = (session.cancel.clone(), session.encode_on());
    let going = GoingOver::new(collection, field, args.model.as_deref(), (&cancel, on));
    match &args.binarizer {
        Some(binarizer) if present.binarizer.as_ref() != Some(binarizer) => {
            going.begin_learned(present, binarizer)?;
        }
        None if args.new_encoder && left(collection, field).is_none() => {
            going.begin(present, args.source.as_deref())?;
        }
        Some(_) | None => {}
    }
    let Some(begun) = left(collection, field) else {
        writeln!(session.out, "{}: all vectors are of the present encoder", collection.name())?;
        return Ok(());
    };
    let moved = match (&args.source, args.kept_texts) {
        (Some(path), _) => going.take_file(path, begun.vectors_left)?,
        (None, true) => going.take_kept_texts(begun.vectors_left)?,
        (None, false) => Moved::default(),
    };
    let left = left(collection, field).map_or(0, |info| info.vectors_left);
    if left == 0 {
        collection.finish_upgrade(Some(field))?;
    }
    // Stored vectors are of one encoder: as queries they do only where that is enough.
    let takes_both = collection.former_field(Some(field))?.is_some_and(|former| !former.is_learned);
    let estimate = (!takes_both).then(|| Estimate::new(collection, field)).transpose()?;
    let estimate = estimate.filter(|estimate| !estimate.truth.is_empty());
    let recall = estimate.as_ref().map(|estimate| estimate.recall(collection)).transpose()?;
    let took = started.elapsed();
    if args.json {
        return session.write_json(&json!({
            "from": begun.from.to_string(),
            "to": begun.to.to_string(),
            "vectors": moved.vectors,
            "left": left,
            "passed_over": moved.passed_over,
            "seconds": took.as_secs_f64(),
            "recall": recall,
        }));
    }
    let passed_over = match moved.passed_over {
        0 => String::new(),
        count => format!(", {} passed over", human::counted(count, "row", "rows")),
    };
    let recall = recall.map_or(String::new(), |recall| {
        let asked = estimate.as_ref().map_or(0, |estimate| estimate.truth.len());
        format!("; recall@{LIMIT} of codes alone, asked with {asked} vectors: {recall:.3}")
    });
    writeln!(
        session.out,
        "{}: {} of the later encoder written, {} of the former one left{passed_over}{recall}; {}",
        collection.name(),
        human::counted(moved.vectors, "vector", "vectors"),
        human::count(left),
        human::duration(took),
    )?;
    if left > 0 {
        writeln!(
            session.out,
            "{}; go on with --source FILE, or --kept-texts",
            match takes_both {
                true => "until these have gone over, queries are encoded by both encoders",
                false => "these answer by their codes",
            }
        )?;
    }
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

/// Returns what a field holds.
fn describe(collection: &Collection, field: &str) -> Option<FieldInfo> {
    collection.info().fields.into_iter().find(|info| info.name == field)
}

/// Returns what is left of a field's upgrade.
fn left(collection: &Collection, field: &str) -> Option<UpgradeInfo> {
    describe(collection, field)?.upgrade
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
