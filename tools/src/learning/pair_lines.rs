//! A file of pairs: what was asked, and which document was right, a JSON line each.
//!
//! ```text
//! {"query": "lift of a wing", "id": "d1"}           a text, for a model
//! {"query": [0.1, 0.7, ...], "id": 7}               a vector
//! {"query": 3, "id": 7}                             a row of a file of vectors, from 0
//! {"pos": ["wing", "lift"], "doc_id": "d1", ...}    a pseudo-query of `bigrain bprop sample`
//! {"pos": ["wing", "lift"], "query": 3, "id": 7}    one that is encoded already
//! ```

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use bigrain_engine::PointId;
use serde::Deserialize;

use super::{Documents, Texts};
use crate::matrix::Matrix;

/// What was asked.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Asked {
    Row(usize),
    Text(String),
    Vector(Vec<f32>),
}

/// A line as it stands.
#[derive(Deserialize)]
struct Line {
    query: Option<Asked>,
    pos: Option<Vec<String>>,
    #[serde(alias = "doc_id")]
    id: PointId,
}

/// The lines of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct PairLines {
    /// What was asked.
    pub queries: Matrix,
    /// The row of each one's document.
    pub right: Vec<u32>,
    /// Whether nobody asked it: it was drawn from the document.
    pub pseudo: Vec<bool>,
}

impl PairLines {
    /// Returns no pairs.
    #[must_use]
    pub fn empty(dims: usize) -> Self {
        Self { queries: Matrix::empty(dims), right: Vec::new(), pseudo: Vec::new() }
    }
}

/// Returns the pairs of a file. `rows` are the vectors that numbers stand for.
///
/// # Errors
///
/// For a line that is no pair, names what is not there, or is a vector of another length than
/// documents; for texts that no model encodes.
pub fn read_pairs(
    path: &Path,
    documents: &Documents,
    rows: Option<&Matrix>,
    texts: &Texts<'_>,
) -> anyhow::Result<PairLines> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let dims = documents.vectors.dims();
    let (mut asked, mut right, mut pseudo) = (Vec::new(), Vec::new(), Vec::new());
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = || format!("{} line {}", path.display(), at + 1);
        let line: Line = serde_json::from_str(line).with_context(at)?;
        let id = &line.id;
        right.push(documents.place(id).with_context(|| format!("{}: no document {id}", at()))?);
        pseudo.push(line.pos.is_some());
        let words = line.pos.map(|words| Asked::Text(words.join(" ")));
        let query = line.query.or(words);
        let query = query.ok_or_else(|| anyhow!("{}: neither \"query\" nor \"pos\"", at()))?;
        match (&query, rows) {
            (Asked::Row(_), None) => bail!("{}: a row of queries, but there are none", at()),
            (&Asked::Row(row), Some(rows)) if row >= rows.len() => {
                bail!("{}: there is no query {row}: there are {}", at(), rows.len());
            }
            (Asked::Vector(vector), _) if vector.len() != dims => {
                bail!("{}: {} components, documents have {dims}", at(), vector.len());
            }
            (Asked::Row(_) | Asked::Text(_) | Asked::Vector(_), _) => asked.push(query),
        }
    }
    let is_text = |asked: &Asked| matches!(asked, Asked::Text(_));
    let mut encoded = Matrix::empty(dims);
    if asked.iter().any(is_text) {
        let text = |asked: &'_ Asked| match asked {
            Asked::Text(text) => Some(text.clone()),
            Asked::Row(_) | Asked::Vector(_) => None,
        };
        let all: Vec<String> = asked.iter().filter_map(text).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        encoded = texts.encode(&all, "encode queries")?;
        if encoded.dims() != dims {
            let (name, has) = (texts.model()?.name(), encoded.dims());
            bail!("documents have {dims} dimensions, queries by model {name} {has}");
        }
    }
    let mut encoded = encoded.rows();
    let mut queries = Matrix::empty(dims);
    for asked in &asked {
        match asked {
            Asked::Row(row) => {
                let rows = rows.context("rows of queries")?;
                if rows.dims() != dims {
                    bail!("queries have {} components, documents {dims}", rows.dims());
                }
                queries.push(rows.row(*row));
            }
            Asked::Vector(vector) => queries.push(vector),
            Asked::Text(_) => queries.push(encoded.next().context("a text was not encoded")?),
        }
    }
    Ok(PairLines { queries, right, pseudo })
}

#[cfg(test)]
mod tests {
    use bigrain_engine::Cancel;

    use super::*;
    use crate::learning::matrix;

    #[test]
    fn pairs_of_a_file_are_read_and_what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        let documents = folder.path().join("documents.jsonl");
        let text = "{\"id\": 4, \"vector\": [3, 4]}\n{\"id\": \"b\", \"vector\": [1, 0]}\n";
        std::fs::write(&documents, text).unwrap();
        let cancel = Cancel::default();
        let texts = Texts::new(|| bail!("no model here"), &cancel);
        let documents = Documents::of_file(&documents, &texts, &cancel).unwrap();
        let rows = matrix(&[[0.0, 2.0], [5.0, 0.0]]);
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_pairs(&path, &documents, Some(&rows), &texts)
        };
        let pairs = "{\"query\": 1, \"id\": 4}\n\n{\"query\": [0.5, 1], \"doc_id\": \"b\", \"pos\": [\"x\"]}\n";
        let queries = matrix(&[[5.0, 0.0], [0.5, 1.0]]);
        let expected = PairLines { queries, right: vec![0, 1], pseudo: vec![false, true] };
        assert_eq!(read(pairs).unwrap(), expected);
        for (text, reason) in [
            ("{\"id\": 4}", "line 1: neither \"query\" nor \"pos\""),
            ("{\"query\": 1, \"id\": 4}\n{\"query\": 2, \"id\": 4}", "line 2: there is no query 2"),
            ("{\"query\": 1, \"id\": \"4\"}", "line 1: no document 4"),
            ("{\"query\": [1], \"id\": 4}", "line 1: 1 components, documents have 2"),
            ("{\"query\": 1", "line 1"),
            ("{\"query\": \"a text\", \"id\": 4}", "no model here"),
            ("{\"pos\": [\"a\", \"text\"], \"doc_id\": 4}", "no model here"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn documents_of_which_some_are_texts_and_others_vectors_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("documents.jsonl");
        let cancel = Cancel::default();
        let texts = Texts::new(|| bail!("no model here"), &cancel);
        for (text, reason) in [
            ("{\"id\": 1, \"vector\": [1]}\n{\"id\": 2, \"text\": \"x\"}", "line 2: some rows are"),
            (
                "{\"id\": 1, \"vector\": [1]}\n{\"id\": 2, \"vector\": [1, 2]}",
                "line 2: 2 components",
            ),
            ("{\"id\": 1, \"text\": \"x\"}", "no model here"),
            ("", "holds no rows"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Documents::of_file(&path, &texts, &cancel).unwrap_err();
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
    }
}
