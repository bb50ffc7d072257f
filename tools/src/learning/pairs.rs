//! Documents, queries and which belongs to which.

use std::path::Path;

use anyhow::{Context, bail};
use bigrain_train::Examples;
use bigrain_types::{MAX_DIMS, Metric, normalize, validate_vector};

use crate::matrix::Matrix;

/// Parts of a hundred: to choose by, and to judge the choice by.
const VALIDATION_PARTS: u64 = 3;
const TEST_PARTS: u64 = 5;

/// Documents, queries and which belongs to which, as vectors of length one.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// The documents.
    pub documents: Matrix,
    /// The queries.
    pub queries: Matrix,
    /// The right document of each query.
    pub right: Vec<u32>,
}

/// What some pairs are for. A document belongs to one part with all its queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To be learned from.
    Training,
    /// For the gate; it is not learned from.
    Validation,
    /// For the figures that are reported; neither learned from nor chosen by.
    Test,
}

impl Part {
    /// Returns the part of a document: the same in every run.
    #[must_use]
    pub fn of(document: u32) -> Self {
        // Fibonacci hashing: neighbours, which are about similar things, are scattered.
        let hash = u64::from(document).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        match hash % 100 {
            part if part < VALIDATION_PARTS => Self::Validation,
            part if part < VALIDATION_PARTS + TEST_PARTS => Self::Test,
            _ => Self::Training,
        }
    }
}

impl Pairs {
    /// Checks that they fit together, and brings all vectors to length one.
    ///
    /// # Errors
    ///
    /// For a vector that has no direction, queries of other dimensions, or a document that is not there.
    pub fn new(
        mut documents: Matrix,
        mut queries: Matrix,
        right: Vec<u32>,
    ) -> anyhow::Result<Self> {
        let dims = documents.dims();
        if dims == 0 || dims > MAX_DIMS {
            bail!("vectors of {dims} components: expected 1 to {MAX_DIMS}");
        }
        if queries.dims() != dims && !queries.is_empty() {
            bail!("queries have {} components, documents {dims}", queries.dims());
        }
        if queries.len() != right.len() {
            bail!("{} queries, but {} pairs", queries.len(), right.len());
        }
        if let Some(missing) = right.iter().find(|&&right| right as usize >= documents.len()) {
            bail!("there is no document {missing}: there are {}", documents.len());
        }
        for (name, matrix) in [("document", &mut documents), ("query", &mut queries)] {
            let mut unit = Matrix::empty(dims);
            for (row, vector) in matrix.rows().enumerate() {
                validate_vector(vector, dims, Metric::Cosine)
                    .with_context(|| format!("{name} {row}"))?;
                let mut vector = vector.to_vec();
                normalize(&mut vector);
                unit.push(&vector);
            }
            *matrix = unit;
        }
        Ok(Self { documents, queries, right })
    }

    /// Reads pairs of row numbers, `query<TAB>document` a line; gives each pair a query of its own.
    ///
    /// # Errors
    ///
    /// For a line that is no pair, or names a row that is not there.
    pub fn read(documents: Matrix, queries: &Matrix, path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let (mut chosen, mut right) = (Matrix::empty(queries.dims()), Vec::new());
        for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
            let at = || format!("{} line {}", path.display(), line + 1);
            let numbers: Vec<&str> = text.split_whitespace().collect();
            let [query, document] = numbers[..] else {
                bail!("{}: expected a query's and a document's row number, got {text:?}", at());
            };
            let query: usize = query.parse().with_context(at)?;
            if query >= queries.len() {
                bail!("{}: there is no query {query}: there are {}", at(), queries.len());
            }
            chosen.push(queries.row(query));
            right.push(document.parse().with_context(at)?);
        }
        Self::new(documents, chosen, right)
    }

    /// Returns the queries of a part with their right documents.
    #[must_use]
    pub fn part(&self, part: Part) -> (Matrix, Vec<u32>) {
        let (mut queries, mut right) = (Matrix::empty(self.queries.dims()), Vec::new());
        for (query, &document) in self.queries.rows().zip(&self.right) {
            if Part::of(document) == part {
                queries.push(query);
                right.push(document);
            }
        }
        (queries, right)
    }

    /// Returns documents that are not learned from: those held out.
    #[must_use]
    pub fn held_out_documents(&self) -> Matrix {
        self.documents_of(false)
    }

    /// Returns the documents that may be learned from.
    #[must_use]
    pub fn training_documents(&self) -> Matrix {
        self.documents_of(true)
    }

    fn documents_of(&self, training: bool) -> Matrix {
        let mut rows = Matrix::empty(self.documents.dims());
        for (at, row) in self.documents.rows().enumerate() {
            if (Part::of(at as u32) == Part::Training) == training {
                rows.push(row);
            }
        }
        rows
    }

    /// Returns what is learned from, of queries of the training part.
    #[must_use]
    pub fn examples<'a>(&'a self, queries: &'a Matrix, right: &'a [u32]) -> Examples<'a> {
        let (dims, documents) = (self.documents.dims(), self.documents.values());
        Examples { dims, documents, queries: queries.values(), right }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: &[[f32; 2]]) -> Matrix {
        let mut matrix = Matrix::empty(2);
        rows.iter().for_each(|row| matrix.push(row));
        matrix
    }

    #[test]
    fn parts_are_of_about_the_shares_that_they_should_be() {
        let count = |part| (0..100_000).filter(|&document| Part::of(document) == part).count();
        assert!((2_500..3_500).contains(&count(Part::Validation)));
        assert!((4_500..5_500).contains(&count(Part::Test)));
    }

    #[test]
    fn pairs_of_a_file_are_read_and_what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.tsv");
        let documents = || matrix(&[[3.0, 4.0], [1.0, 0.0]]);
        let queries = matrix(&[[0.0, 2.0], [5.0, 0.0]]);
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Pairs::read(documents(), &queries, &path)
        };
        let pairs = read("1\t0\n\n0 1\n").unwrap();
        assert_eq!(pairs.right, [0, 1]);
        assert_eq!(pairs.queries, matrix(&[[1.0, 0.0], [0.0, 1.0]]));
        assert_eq!(pairs.documents.row(0), [0.6, 0.8]);
        for (text, reason) in [
            ("1", "line 1: expected a query's"),
            ("0 1\n2 0", "line 2: there is no query 2"),
            ("0 9", "there is no document 9: there are 2"),
            ("0 x", "line 1"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
        let zero = Pairs::new(matrix(&[[0.0, 0.0]]), matrix(&[]), Vec::new()).unwrap_err();
        assert!(format!("{zero:#}").starts_with("document 0"), "{zero:#}");
    }
}
