//! Documents, queries and which belongs to which.

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
        documents = unit_rows(&documents, "document")?;
        queries = match queries.is_empty() {
            true => Matrix::empty(dims),
            false => unit_rows(&queries, "query")?,
        };
        Ok(Self { documents, queries, right })
    }

    /// Returns the queries of a part with their right documents.
    #[must_use]
    pub fn part(&self, part: Part) -> (Matrix, Vec<u32>) {
        queries_of(&self.queries, &self.right, |found| found == part)
    }

    /// Returns the queries that are not learned from with their right documents.
    #[must_use]
    pub fn held_out(&self) -> (Matrix, Vec<u32>) {
        queries_of(&self.queries, &self.right, |part| part != Part::Training)
    }

    /// Returns documents that are not learned from: those held out.
    #[must_use]
    pub fn held_out_documents(&self) -> Matrix {
        documents_of(&self.documents, false)
    }

    /// Returns the documents that may be learned from.
    #[must_use]
    pub fn training_documents(&self) -> Matrix {
        documents_of(&self.documents, true)
    }

    /// Returns what is learned from, of queries of the training part.
    #[must_use]
    pub fn examples<'a>(&'a self, queries: &'a Matrix, right: &'a [u32]) -> Examples<'a> {
        let (dims, documents) = (self.documents.dims(), self.documents.values());
        Examples { dims, documents, queries: queries.values(), right }
    }
}

/// Returns the queries of some parts, by the right document of each, with these.
pub(super) fn queries_of(
    queries: &Matrix,
    right: &[u32],
    wanted: impl Fn(Part) -> bool,
) -> (Matrix, Vec<u32>) {
    let (mut rows, mut documents) = (Matrix::empty(queries.dims()), Vec::new());
    for (query, &document) in queries.rows().zip(right) {
        if wanted(Part::of(document)) {
            rows.push(query);
            documents.push(document);
        }
    }
    (rows, documents)
}

/// Returns those of the documents that are learned from, or those that are held out.
pub(super) fn documents_of(documents: &Matrix, training: bool) -> Matrix {
    let mut rows = Matrix::empty(documents.dims());
    for (at, row) in documents.rows().enumerate() {
        if (Part::of(at as u32) == Part::Training) == training {
            rows.push(row);
        }
    }
    rows
}

/// Returns rows of length one; `name` says what each is.
pub(super) fn unit_rows(rows: &Matrix, name: &str) -> anyhow::Result<Matrix> {
    let mut unit = Matrix::empty(rows.dims());
    for (row, vector) in rows.rows().enumerate() {
        validate_vector(vector, rows.dims(), Metric::Cosine)
            .with_context(|| format!("{name} {row}"))?;
        let mut vector = vector.to_vec();
        normalize(&mut vector);
        unit.push(&vector);
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::matrix;

    #[test]
    fn parts_are_of_about_the_shares_that_they_should_be() {
        let count = |part| (0..100_000).filter(|&document| Part::of(document) == part).count();
        assert!((2_500..3_500).contains(&count(Part::Validation)));
        assert!((4_500..5_500).contains(&count(Part::Test)));
    }

    #[test]
    fn vectors_are_brought_to_length_one_and_what_does_not_fit_is_named() {
        let documents = || matrix(&[[3.0, 4.0], [1.0, 0.0]]);
        let pairs = Pairs::new(documents(), matrix(&[[0.0, 2.0]]), vec![1]).unwrap();
        assert_eq!(pairs.queries, matrix(&[[0.0, 1.0]]));
        assert_eq!(pairs.documents.row(0), [0.6, 0.8]);
        let parts = [Part::Training, Part::Validation, Part::Test];
        let counts = parts.map(|part| pairs.part(part).1.len());
        assert_eq!(counts.iter().sum::<usize>(), 1);
        assert_eq!(pairs.held_out().1.len(), 1 - counts[0]);
        for (queries, right, reason) in [
            (matrix(&[[0.0, 2.0]]), vec![9], "there is no document 9: there are 2"),
            (matrix(&[[0.0, 2.0]]), vec![], "1 queries, but 0 pairs"),
            (matrix(&[[0.0, 0.0]]), vec![1], "query 0"),
        ] {
            let error = format!("{:#}", Pairs::new(documents(), queries, right).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
    }
}
