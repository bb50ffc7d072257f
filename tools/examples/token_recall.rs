//! How much of the exact best by MaxSim do sketches find, on the tokens of real texts?
//!
//! ```text
//! cargo run --release -p bigrain-tools --example token_recall -- CORPUS MODEL 8 12
//! ```
//!
//! `CORPUS` is a folder in BEIR layout, `MODEL` one of a sentence encoder. Every document and query becomes
//! the matrix of its tokens (`TextEncoder::encode_tokens`). For each number of codes a document, printed
//! are the bytes that a document takes in memory and the share of the exact top 10 that is found where 50,
//! 100 and 200 documents are scored exactly.

#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use bigrain_encoders::{EncodeOptions, TextEncoder, TextKind, TokenMatrix};
use bigrain_engine::{
    Collection, CollectionConfig, Engine, EngineConfig, Metric, MultiFieldConfig, MultiQuery,
    MultiVector, Point, PointId, SearchParams,
};
use bigrain_tools::beir::Beir;
use bigrain_tools::device::EncodeOn;
use bigrain_tools::input::Content;
use bigrain_tools::model::Model;

const LIMIT: usize = 10;
const VERIFIED: [usize; 3] = [50, 100, 200];
/// Documents that are encoded and written together.
const CHUNK: usize = 128;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [corpus, model, codes @ ..] = &arguments[..] else {
        bail!("expected CORPUS MODEL CODES..");
    };
    let (corpus, model) =
        (Beir::open(Path::new(corpus))?, Model::open(Path::new(model), &EncodeOn::default())?);
    let encoder = model.encoder();
    let dims = encoder.token_shape().context("the model gives no vectors of tokens")?.dims;
    let folder = tempfile::tempdir()?;
    let engine = Engine::open(folder.path(), EngineConfig::default())?;
    let collections = codes
        .iter()
        .map(|codes| {
            let field = MultiFieldConfig::new("tokens", dims, Metric::Cosine);
            let field = field.with_sketch_tokens(codes.parse()?);
            Ok(engine.create_collection(codes, CollectionConfig::of_multi(field))?)
        })
        .collect::<anyhow::Result<Vec<Collection>>>()?;
    let tokens = write(&corpus, encoder, &collections)?;
    let queries = queries(&corpus, encoder)?;
    let asked: usize = queries.iter().map(|query| query.tokens()).sum();
    println!("{tokens:.1} tokens a document, {:.1} a query", asked as f64 / queries.len() as f64);
    for collection in &collections {
        measure(collection, &queries)?;
    }
    Ok(())
}

/// Writes the documents into every collection; returns how many tokens one has in the mean.
fn write(
    corpus: &Beir,
    encoder: &dyn TextEncoder,
    collections: &[Collection],
) -> anyhow::Result<f64> {
    let mut records = corpus.corpus()?;
    let (mut documents, mut tokens) = (0, 0);
    loop {
        let (mut ids, mut texts) = (Vec::new(), Vec::new());
        for record in records.by_ref().take(CHUNK) {
            let record = record?;
            if let Content::Text(text) = record.content {
                ids.push(record.id);
                texts.push(text);
            }
        }
        if ids.is_empty() {
            break;
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let matrices = encoder.encode_tokens(&texts, &EncodeOptions::default())?;
        documents += ids.len();
        tokens += matrices.iter().map(TokenMatrix::rows).sum::<usize>();
        let points = ids
            .into_iter()
            .zip(matrices)
            .map(|(id, matrix)| Ok(Point::empty(id).with_multi("tokens", multi_vector(matrix)?)));
        let points = points.collect::<anyhow::Result<Vec<Point>>>()?;
        for collection in collections {
            collection.upsert(points.clone())?;
        }
    }
    for collection in collections {
        collection.flush()?;
        collection.compact()?;
    }
    Ok(tokens as f64 / f64::from(u32::try_from(documents)?))
}

fn queries(corpus: &Beir, encoder: &dyn TextEncoder) -> anyhow::Result<Vec<MultiVector>> {
    let texts: Vec<&str> = corpus.queries().iter().map(|query| query.text.as_str()).collect();
    let options = EncodeOptions { kind: TextKind::Query, ..EncodeOptions::default() };
    encoder.encode_tokens(&texts, &options)?.into_iter().map(multi_vector).collect()
}

fn multi_vector(matrix: TokenMatrix) -> anyhow::Result<MultiVector> {
    let dims = matrix.dims();
    Ok(MultiVector::new(dims, matrix.into_data())?)
}

fn measure(collection: &Collection, queries: &[MultiVector]) -> anyhow::Result<()> {
    let queries: Vec<MultiQuery> = queries.iter().cloned().map(MultiQuery::new).collect();
    let search = |params: SearchParams| -> anyhow::Result<(Vec<HashSet<PointId>>, f64)> {
        let started = Instant::now();
        let found = queries.iter().map(|query| {
            let points = collection.search_multi(query, &params)?.points;
            Ok(points.into_iter().map(|point| point.id).collect())
        });
        let found = found.collect::<anyhow::Result<_>>()?;
        Ok((found, 1e3 * started.elapsed().as_secs_f64() / queries.len() as f64))
    };
    let params = SearchParams::new(LIMIT)?.with_payload(false);
    let (truth, exact) = search(params.with_exact(true))?;
    let info = collection.info();
    let field = info.multi.first().context("the collection has no field")?;
    println!(
        "{} codes: {:.1} bytes a document in memory, {} documents; exact {exact:.1} ms a query",
        collection.name(),
        field.code_bytes as f64 / field.vectors as f64,
        field.vectors,
    );
    for verified in VERIFIED {
        let params = params.with_oversampling(verified as f32 / LIMIT as f32)?;
        let (found, time) = search(params)?;
        let hits: usize =
            found.iter().zip(&truth).map(|(found, truth)| found.intersection(truth).count()).sum();
        let recall = hits as f64 / (LIMIT * queries.len()) as f64;
        println!(
            "  {verified} verified: {recall:.4} of the exact top {LIMIT}, {time:.1} ms a query"
        );
    }
    Ok(())
}
