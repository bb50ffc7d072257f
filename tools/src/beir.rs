//! A retrieval test collection in the layout of BEIR.
//!
//! ```text
//! DIR/corpus.jsonl            {"_id", "title", "text"}
//! DIR/queries.jsonl           {"_id", "text"}, and "sparse": {"indices", "values"} for sparse fields
//! DIR/qrels.tsv               query-id <tab> corpus-id <tab> score, under a header line
//! DIR/qrels/test.tsv          (read where qrels.tsv is missing)
//! ```
//!
//! The corpus is not held here: it may be large, and goes to the engine row by row.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use bigrain_engine::{PointId, SparseVector};

use crate::input::{Content, Fields, Format, Input};
use crate::ranking::Judgements;

/// What the sparse vector of a query is called.
const SPARSE: &str = "sparse";

/// A folder in BEIR layout: where its corpus is, its queries and its judgements.
#[derive(Debug)]
pub struct Beir {
    corpus: PathBuf,
    queries: Vec<JudgedQuery>,
    unjudged: usize,
}

/// A query with what people said about documents for it.
#[derive(Debug)]
pub struct JudgedQuery {
    /// Its text.
    pub text: String,
    /// Its sparse vector, where the file has one.
    pub sparse: Option<SparseVector>,
    /// A grade by document.
    pub judgements: Judgements<PointId>,
}

impl Beir {
    /// Reads queries and judgements; queries come in the order of their file.
    ///
    /// # Errors
    ///
    /// When a file is missing or has a bad line, or no query has a relevant document.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let mut judgements = read_judgements(&qrels_path(folder)?)?;
        let (mut queries, mut unjudged) = (Vec::new(), 0);
        for record in Input::open(&folder.join("queries.jsonl"), Format::Jsonl, fields(), 0)? {
            let record = record?;
            let Content::Text(text) = record.content else {
                bail!("{}: expected a text, got a vector", record.place);
            };
            let sparse = record.payload.get(SPARSE).cloned().map(serde_json::from_value);
            let sparse =
                sparse.transpose().with_context(|| format!("{}: {SPARSE}", record.place))?;
            match judgements.remove(&record.id).filter(Judgements::has_relevant) {
                Some(judgements) => queries.push(JudgedQuery { text, sparse, judgements }),
                None => unjudged += 1,
            }
        }
        ensure!(!queries.is_empty(), "{}: no query has a relevant document", folder.display());
        Ok(Self { corpus: folder.join("corpus.jsonl"), queries, unjudged })
    }

    /// Returns the queries that have a relevant document.
    #[must_use]
    pub fn queries(&self) -> &[JudgedQuery] {
        &self.queries
    }

    /// Returns how many queries were left out, because nothing is relevant to them.
    #[must_use]
    pub fn unjudged(&self) -> usize {
        self.unjudged
    }

    /// Opens the corpus.
    ///
    /// # Errors
    ///
    /// When the file is missing.
    pub fn corpus(&self) -> anyhow::Result<Input> {
        Ok(Input::open(&self.corpus, Format::Jsonl, fields(), 0)?)
    }

    /// Opens the corpus, whose titles and texts are payloads too.
    ///
    /// # Errors
    ///
    /// When the file is missing.
    pub fn corpus_with_texts(&self) -> anyhow::Result<Input> {
        let fields = Fields { keep_text: true, ..fields() };
        Ok(Input::open(&self.corpus, Format::Jsonl, fields, 0)?)
    }
}

fn fields() -> Fields {
    Fields { id: Some("_id".to_owned()), keep_text: false, ..Fields::default() }
}

fn qrels_path(folder: &Path) -> anyhow::Result<PathBuf> {
    for name in ["qrels.tsv", "qrels/test.tsv"] {
        let path = folder.join(name);
        if path.try_exists().with_context(|| format!("look for {}", path.display()))? {
            return Ok(path);
        }
    }
    bail!("{}: no qrels.tsv and no qrels/test.tsv", folder.display())
}

fn read_judgements(path: &Path) -> anyhow::Result<BTreeMap<PointId, Judgements<PointId>>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut judgements: BTreeMap<PointId, Judgements<PointId>> = BTreeMap::new();
    for (index, line) in BufReader::new(file).lines().enumerate() {
        let place = || format!("{} line {}", path.display(), index + 1);
        let line = line.with_context(place)?;
        if line.trim().is_empty() || (index == 0 && line.starts_with("query-id")) {
            continue;
        }
        let (query, document, grade) = parse_judgement(&line).with_context(place)?;
        judgements.entry(query).or_default().insert(document, grade);
    }
    Ok(judgements)
}

fn parse_judgement(line: &str) -> anyhow::Result<(PointId, PointId, u32)> {
    let fields: Vec<&str> = line.trim_end().split('\t').collect();
    let [query, document, grade] = fields.as_slice() else {
        bail!("expected 3 fields between tabs, got {}", fields.len());
    };
    let grade: i32 = grade.parse().map_err(|_| anyhow!("expected a number, got {grade:?}"))?;
    // trec_eval counts a negative judgement as no gain.
    Ok((PointId::parse(query)?, PointId::parse(document)?, grade.max(0).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(queries: &str, qrels: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("corpus.jsonl"), "{\"_id\": \"d\", \"text\": \"x\"}").unwrap();
        fs::write(folder.path().join("queries.jsonl"), queries).unwrap();
        fs::write(folder.path().join("qrels.tsv"), qrels).unwrap();
        folder
    }

    const QUERIES: &str = "{\"_id\": \"1\", \"text\": \"a\"}\n{\"_id\": \"2\", \"text\": \"b\"}\n";

    #[test]
    fn queries_meet_their_judgements() {
        let folder = folder(QUERIES, "query-id\tcorpus-id\tscore\n1\td\t2\n2\td\t-1\r\n");
        let beir = Beir::open(folder.path()).unwrap();
        let [query] = beir.queries() else { panic!("{:?}", beir.queries()) };
        assert_eq!(query.text, "a");
        let quality = query.judgements.quality(&[PointId::parse("d").unwrap()]).unwrap();
        assert_eq!(quality.ndcg_10, 1.0);
        assert_eq!(beir.unjudged(), 1);
        assert_eq!(beir.corpus().unwrap().count(), 1);
    }

    #[test]
    fn a_query_may_bring_a_sparse_vector() {
        let line = r#"{"_id": "1", "text": "a", "sparse": {"indices": [9, 2], "values": [1, 2]}}"#;
        let qrels = "1\td\t1\n2\td\t1\n";
        let lines = format!("{line}\n{{\"_id\": \"2\", \"text\": \"b\"}}\n");
        let of_both = folder(&lines, qrels);
        let beir = Beir::open(of_both.path()).unwrap();
        let expected = SparseVector::new(vec![2, 9], vec![2.0, 1.0]).unwrap();
        let sparse: Vec<_> = beir.queries().iter().map(|query| query.sparse.clone()).collect();
        assert_eq!(sparse, [Some(expected), None]);
        let bad = folder(&line.replace("[1, 2]}", "[1]}"), qrels);
        let error = format!("{:#}", Beir::open(bad.path()).unwrap_err());
        assert!(error.contains("queries.jsonl line 1: sparse"), "{error}");
    }

    #[test]
    fn bad_judgements_are_named_by_line() {
        for (qrels, expected) in [
            ("1\td\n", "expected 3 fields between tabs, got 2"),
            ("1\td\thigh\n", "expected a number, got \"high\""),
            ("\td\t1\n", "point id is empty"),
        ] {
            let folder = folder(QUERIES, qrels);
            let error = format!("{:#}", Beir::open(folder.path()).unwrap_err());
            assert!(error.contains("qrels.tsv line 1") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_folder_without_judgements_is_refused() {
        let empty = tempfile::tempdir().unwrap();
        let error = Beir::open(empty.path()).unwrap_err().to_string();
        assert!(error.contains("no qrels.tsv"), "{error}");
        let folder = folder(QUERIES, "query-id\tcorpus-id\tscore\n");
        assert!(Beir::open(folder.path()).unwrap_err().to_string().contains("no query has"));
    }
}
