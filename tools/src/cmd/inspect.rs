//! `bigrain inspect`: what a data folder holds, and what it costs.

use anyhow::bail;
use bigrain_engine::{
    Champion, CollectionConfig, CollectionInfo, CollectionState, CollectionStatus, Engine,
    FieldConfig, FieldInfo, FitEvidence, HybridFit, MultiFieldConfig, MultiFieldInfo, SegmentInfo,
    SparseFieldConfig, SparseFieldInfo, SparseModifier,
};
use clap::Args;
use serde_json::{Value, json};

use crate::footprint::Footprint;
use crate::session::Session;
use crate::{human, table};

/// Shows collections, segments, files and their sizes.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Show only this collection, with its segments and files
    #[arg(long, short, value_name = "NAME")]
    collection: Option<String>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command. A quarantined collection is shown with its reason.
///
/// # Errors
///
/// When the data folder cannot be opened, there is no such collection, or one that was shown is
/// quarantined: a script that looks should notice.
pub fn run(args: &InspectArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let engine = session.open_existing()?;
    let mut statuses = engine.collections();
    if let Some(name) = &args.collection {
        statuses.retain(|status| &status.name == name);
        if statuses.is_empty() {
            bail!("unknown collection {name:?} in {}", engine.data_dir().display());
        }
    }
    if args.json {
        let collections = statuses.iter().map(|status| to_json(&engine, status)).collect();
        let collections: Value = Value::Array(collections);
        session.write_json(&json!({
            "data": engine.data_dir().display().to_string(),
            "collections": collections,
        }))?;
        return refuse_quarantined(&statuses);
    }
    if statuses.is_empty() {
        writeln!(session.out, "{} holds no collection", engine.data_dir().display())?;
    }
    for (index, status) in statuses.iter().enumerate() {
        if index > 0 {
            writeln!(session.out)?;
        }
        write_status(session, &engine, status)?;
    }
    refuse_quarantined(&statuses)
}

fn refuse_quarantined(statuses: &[CollectionStatus]) -> anyhow::Result<()> {
    let quarantined =
        |status: &&CollectionStatus| matches!(status.state, CollectionState::Quarantined(_));
    match statuses.iter().filter(quarantined).count() as u64 {
        0 => Ok(()),
        number => {
            bail!("{} quarantined", human::counted(number, "collection is", "collections are"))
        }
    }
}

fn write_status(
    session: &mut Session<'_>,
    engine: &Engine,
    status: &CollectionStatus,
) -> anyhow::Result<()> {
    match &status.state {
        CollectionState::Ready(info) => {
            writeln!(session.out, "{}", describe(info).trim_fmt())?;
            if info.fields.len() > 1 {
                writeln!(session.out, "\n{}", field_table(info).trim_fmt())?;
            }
            if !info.sparse.is_empty() {
                writeln!(session.out, "\n{}", sparse_table(info).trim_fmt())?;
            }
            let segments = engine.collection(&status.name)?.inspect();
            if !segments.is_empty() {
                writeln!(session.out, "\n{}", segment_table(&segments).trim_fmt())?;
            }
        }
        CollectionState::Quarantined(reason) => {
            let facts = [("collection", status.name.clone()), ("quarantined", reason.clone())];
            writeln!(session.out, "{}", table::facts(facts).trim_fmt())?;
        }
        _ => writeln!(session.out, "{}: in an unknown state", status.name)?,
    }
    Ok(())
}

fn describe(info: &CollectionInfo) -> comfy_table::Table {
    let footprint = Footprint::of(info);
    let mut facts = vec![("collection", info.name.clone())];
    match info.config.fields() {
        [] => {}
        [only] => facts.extend(shape(only)),
        several => facts.push(("fields", human::count(several.len() as u64))),
    }
    let sparse_name = |field: &SparseFieldConfig| {
        let modifier = field.modifier;
        let is_plain = modifier == SparseModifier::None;
        if is_plain { field.name.clone() } else { format!("{}:{}", field.name, modifier.name()) }
    };
    let sparse: Vec<String> = info.config.sparse().iter().map(sparse_name).collect();
    if !sparse.is_empty() {
        facts.push(("sparse vectors", sparse.join(", ")));
    }
    let multi = info.config.multi().iter().zip(&info.multi);
    facts.extend(multi.map(|(config, field)| ("multi-vectors", describe_multi(config, field))));
    let texts: Vec<String> = info.config.texts().iter().map(ToString::to_string).collect();
    if !texts.is_empty() {
        facts.push(("searched by words", texts.join(", ")));
    }
    let upgraded = info.fields.iter().filter_map(describe_upgrade);
    facts.extend(upgraded.map(|upgrade| ("upgrade", upgrade)));
    facts.extend(info.hybrid_fit.iter().map(|fit| ("fitted fusion", describe_fit(fit))));
    let named = info.named_hybrid_fits.iter();
    facts.extend(named.map(|(name, fit)| ("fitted", format!("{name}: {}", describe_fit(fit)))));
    facts.extend([
        (
            "points",
            format!(
                "{} ({} in the memtable)",
                human::count(info.points),
                human::count(info.memtable_points)
            ),
        ),
        ("segments", human::count(info.segments)),
        ("deleted, still on disk", human::count(info.deleted)),
        ("codes in memory", footprint.describe(footprint.code_bytes)),
        ("in memory right now", footprint.describe(footprint.memory_bytes)),
        ("segments on disk", footprint.describe(footprint.disk_bytes)),
    ]);
    if footprint.raw_bytes > 0 {
        facts.push(("raw f32 would take", human::bytes(footprint.raw_bytes)));
    }
    table::facts(facts)
}

/// Says what a multi-vector field is, and what it takes.
fn describe_multi(config: &MultiFieldConfig, field: &MultiFieldInfo) -> String {
    let each = human::ratio(field.code_bytes, field.vectors);
    format!(
        "{}: {} dimensions, {}; of {} points, {each:.0} B each in memory, {} on disk",
        config.name,
        config.dims,
        config.metric,
        human::count(field.vectors),
        human::bytes(field.disk_bytes)
    )
}

/// Says how far a field's upgrade has come.
fn describe_upgrade(field: &FieldInfo) -> Option<String> {
    let upgrade = field.upgrade?;
    if let Some(former) = &field.former_field {
        let left = human::counted(upgrade.vectors_left, "point has", "points have");
        return Some(format!("{}: {left} a vector of the former encoder, in {former}", field.name));
    }
    Some(format!(
        "{}: {} of {} have codes of version {}, the present one is {}{}",
        field.name,
        human::count(upgrade.vectors_left),
        human::counted(field.vectors, "vector", "vectors"),
        upgrade.from,
        upgrade.to,
        if upgrade.paused { "; paused" } else { "" }
    ))
}

/// Says how vectors and words are fused, and what that was seen to be worth.
fn describe_fit(fit: &HybridFit) -> String {
    let FitEvidence { source, queries, vector, text, fused, .. } = &fit.evidence;
    format!(
        "{fit}; nDCG@10 of {queries} queries of {source}: {vector:.3} by vectors, {text:.3} by words, \
         {fused:.3} fused"
    )
}

/// Says what a field is.
fn shape(config: &FieldConfig) -> [(&'static str, String); 5] {
    let levels = config.levels.get();
    let unknown = || "not stated".to_owned();
    [
        (
            "vectors",
            format!(
                "{} dims, {}, {levels}-bit codes{}",
                config.dims,
                config.metric,
                describe_learned(config)
            ),
        ),
        ("stored as", config.dense.to_string()),
        ("lists a segment", config.lists.map_or("by its rows".to_owned(), |n| n.to_string())),
        ("model", config.model.clone().unwrap_or_else(unknown)),
        ("embedding space", config.space.map_or_else(unknown, |space| space.to_string())),
    ]
}

/// Says that codes are learned, and what that was seen to be worth; nothing of the rotation's.
fn describe_learned(config: &FieldConfig) -> String {
    let Some(binarizer) = &config.binarizer else { return String::new() };
    let Champion { queries, limit, rotation, learned, .. } = binarizer.champion();
    if queries == 0 {
        return ", learned, never compared with the rotation".to_owned();
    }
    format!(
        ", learned: recall@{limit} of {} held out {learned:.4}, of the rotation {rotation:.4}",
        human::counted(u64::from(queries), "query", "queries")
    )
}

fn field_table(info: &CollectionInfo) -> comfy_table::Table {
    let mut table = table::plain([
        "field",
        "shape",
        "stored as",
        "lists a segment",
        "model",
        "embedding space",
        "vectors",
        "codes",
        "a vector",
        "on disk",
    ]);
    for (config, field) in info.config.fields().iter().zip(&info.fields) {
        let sizes = [
            human::count(field.vectors),
            human::bytes(field.code_bytes),
            format!("{:.0} B", field.code_bytes_per_vector()),
            human::bytes(field.disk_bytes),
        ];
        let shape = shape(config).map(|(_, fact)| fact);
        table.add_row([field.name.clone()].into_iter().chain(shape).chain(sizes));
    }
    table::align_right(&mut table, &[6, 7, 8, 9]);
    table
}

fn sparse_table(info: &CollectionInfo) -> comfy_table::Table {
    let header = ["sparse field", "vectors", "components", "of a vector", "on disk"];
    let mut table = table::plain(header);
    for field in &info.sparse {
        table.add_row([
            field.name.clone(),
            human::count(field.vectors),
            human::count(field.components),
            format!("{:.1}", human::ratio(field.components, field.vectors)),
            human::bytes(field.disk_bytes),
        ]);
    }
    table::align_right(&mut table, &[1, 2, 3, 4]);
    table
}

fn segment_table(segments: &[SegmentInfo]) -> comfy_table::Table {
    let mut table = table::plain(["segment", "rows", "deleted", "file", "size"]);
    for segment in segments {
        let (mut names, mut sizes) = (Vec::new(), Vec::new());
        for (name, bytes) in &segment.files {
            names.push(name.as_str());
            sizes.push(human::bytes(*bytes));
        }
        table.add_row([
            segment.id.to_string(),
            human::count(segment.rows),
            human::count(segment.deleted),
            names.join("\n"),
            sizes.join("\n"),
        ]);
    }
    table::align_right(&mut table, &[1, 2, 4]);
    table
}

fn to_json(engine: &Engine, status: &CollectionStatus) -> Value {
    let info = match &status.state {
        CollectionState::Ready(info) => info,
        CollectionState::Quarantined(reason) => {
            return json!({ "name": status.name, "state": "quarantined", "reason": reason });
        }
        _ => return json!({ "name": status.name, "state": "unknown" }),
    };
    let segments = engine.collection(&status.name).map(|collection| collection.inspect());
    let segments: Vec<Value> = segments.unwrap_or_default().iter().map(segment_json).collect();
    json!({
        "name": status.name,
        "state": "ready",
        "config": config_json(&info.config),
        "memtable_points": info.memtable_points,
        "deleted": info.deleted,
        "footprint": Footprint::of(info),
        "hybrid_fit": info.hybrid_fit,
        "named_hybrid_fits": info.named_hybrid_fits,
        "fields": info.fields.iter().map(field_json).collect::<Vec<_>>(),
        "sparse": info.sparse.iter().map(sparse_json).collect::<Vec<_>>(),
        "multi": info.multi,
        "segments": segments,
    })
}

/// Returns a configuration with what is known of learned binarizers in the place of their weights.
fn config_json(config: &CollectionConfig) -> Value {
    let mut value = json!(config);
    let fields = value.get_mut("fields").and_then(Value::as_array_mut);
    for (field, config) in fields.into_iter().flatten().zip(config.fields()) {
        if let Some(binarizer) = &config.binarizer {
            let Champion { queries, limit, rotation, learned, low, high } = binarizer.champion();
            field["binarizer"] = json!({
                "id": binarizer.id().to_string(),
                "queries": queries,
                "limit": limit,
                "rotation": rotation,
                "learned": learned,
                "difference": [low, high],
            });
        }
    }
    value
}

fn field_json(field: &FieldInfo) -> Value {
    json!({
        "name": field.name,
        "vectors": field.vectors,
        "code_bytes": field.code_bytes,
        "code_bytes_per_vector": field.code_bytes_per_vector(),
        "disk_bytes": field.disk_bytes,
        "upgrade": field.upgrade,
    })
}

fn sparse_json(field: &SparseFieldInfo) -> Value {
    json!({
        "name": field.name,
        "vectors": field.vectors,
        "components": field.components,
        "disk_bytes": field.disk_bytes,
    })
}

fn segment_json(segment: &SegmentInfo) -> Value {
    let file = |(name, bytes): &(String, u64)| json!({ "name": name, "bytes": bytes });
    let files: Vec<Value> = segment.files.iter().map(file).collect();
    json!({
        "id": segment.id.to_string(),
        "rows": segment.rows,
        "deleted": segment.deleted,
        "files": files,
    })
}
