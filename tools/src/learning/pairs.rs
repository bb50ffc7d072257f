//! Documents, queries and which belongs to which.

use std::collections::HashSet;

use anyhow::{Context, bail};
use bigrain_train::Examples;
use bigrain_types::{MAX_DIMS, Metric, normalize, validate_vector};

use super::PairLines;
use crate::matrix::Matrix;

/// Parts of a hundred: to choose by, and to judge the choice by.
const VALIDATION_PARTS: u64 = 3;
const TEST_PARTS: u64 = 5;

/// Documents, queries and which belongs to which, as vectors of length one.
///
/// Pseudo-queries are drawn from documents, and are found by the words that they share with them: what finds more of
/// these may find less of what people ask. So they are learned from, and do not judge where anything else can.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// The documents.
    pub documents: Matrix,
    /// The queries.
    pub queries: Matrix,
    /// The right document of each query.
    pub right: Vec<u32>,
    /// What each query is for; none of those that are left out.
    parts: Vec<Option<Part>>,
    /// Whether all queries are pseudo-queries.
    pseudo: bool,
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
        Self::dealt(document, 100)
    }

    /// Returns the part of a document whose pairs only judge.
    fn of_judge(document: u32) -> Self {
        Self::dealt(document, VALIDATION_PARTS + TEST_PARTS)
    }

    /// Returns the part of a document, where there are so many shares.
    fn dealt(document: u32, shares: u64) -> Self {
        // Fibonacci hashing: neighbours, which are about similar things, are scattered.
        let hash = u64::from(document).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        match hash % shares {
            part if part < VALIDATION_PARTS => Self::Validation,
            part if part < VALIDATION_PARTS + TEST_PARTS => Self::Test,
            _ => Self::Training,
        }
    }
}

impl Pairs {
    /// Takes pairs of a file, and those of another one that judge in place of those of the first that would be held
    /// out. Pairs that judge are not learned from.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and where a pseudo-query should judge.
    pub fn of_lines(
        documents: Matrix,
        lines: Option<PairLines>,
        judges: Option<PairLines>,
    ) -> anyhow::Result<Self> {
        let none = PairLines::empty(documents.dims());
        let PairLines { mut queries, mut right, pseudo } = lines.unwrap_or(none);
        let all_pseudo = !right.is_empty() && pseudo.iter().all(|&pseudo| pseudo);
        let own_judge = |pseudo: bool| judges.is_none() && (all_pseudo || !pseudo);
        let part = |(&document, &pseudo): (&u32, &bool)| match Part::of(document) {
            Part::Training => Some(Part::Training),
            held @ (Part::Validation | Part::Test) => own_judge(pseudo).then_some(held),
        };
        let mut parts: Vec<_> = right.iter().zip(&pseudo).map(part).collect();
        let judged = judges.is_some();
        if let Some(judges) = judges {
            if judges.right.is_empty() {
                bail!("there is no pair among those that should judge");
            }
            if let Some(at) = judges.pseudo.iter().position(|&pseudo| pseudo) {
                bail!("pair {} of those that judge is a pseudo-query: they do not judge", at + 1);
            }
            let bits = |query: &[f32]| query.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            let pairs = judges.queries.rows().map(bits).zip(judges.right.iter().copied());
            let pairs: HashSet<_> = pairs.collect();
            for (part, pair) in parts.iter_mut().zip(queries.rows().zip(&right)) {
                if pairs.contains(&(bits(pair.0), *pair.1)) {
                    *part = None;
                }
            }
            judges.queries.rows().for_each(|query| queries.push(query));
            parts.extend(judges.right.iter().map(|&document| Some(Part::of_judge(document))));
            right.extend(judges.right);
        }
        let pairs = Self::new(documents, queries, right)?;
        Ok(Self { parts, pseudo: all_pseudo && !judged, ..pairs })
    }

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
        let parts = right.iter().map(|&document| Some(Part::of(document))).collect();
        Ok(Self { documents, queries, right, parts, pseudo: false })
    }

    /// Whether there are pseudo-queries and no others.
    #[must_use]
    pub fn are_pseudo(&self) -> bool {
        self.pseudo
    }

    /// Returns the queries of a part with their right documents.
    #[must_use]
    pub fn part(&self, part: Part) -> (Matrix, Vec<u32>) {
        let of_part = |at: usize| self.parts[at] == Some(part);
        (rows_where(&self.queries, of_part), self.right_where(of_part))
    }

    /// Returns the queries that are not learned from, and may judge, with their right documents: none where all are
    /// pseudo-queries.
    #[must_use]
    pub fn held_out(&self) -> (Matrix, Vec<u32>) {
        let held_out = |at: usize| self.is_held_out(at);
        (rows_where(&self.queries, held_out), self.right_where(held_out))
    }

    /// Whether a query is one of [`Self::held_out`].
    pub(super) fn is_held_out(&self, query: usize) -> bool {
        !self.pseudo && matches!(self.parts[query], Some(Part::Validation | Part::Test))
    }

    fn right_where(&self, wanted: impl Fn(usize) -> bool) -> Vec<u32> {
        (0..self.right.len()).filter(|&at| wanted(at)).map(|at| self.right[at]).collect()
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

/// Returns the rows whose numbers are wanted.
pub(super) fn rows_where(rows: &Matrix, wanted: impl Fn(usize) -> bool) -> Matrix {
    let mut chosen = Matrix::empty(rows.dims());
    let wanted = rows.rows().enumerate().filter(|&(at, _)| wanted(at));
    wanted.for_each(|(_, row)| chosen.push(row));
    chosen
}

/// Returns those of the documents that are learned from, or those that are held out.
pub(super) fn documents_of(documents: &Matrix, training: bool) -> Matrix {
    rows_where(documents, |at| (Part::of(at as u32) == Part::Training) == training)
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

    /// A document of each part, in their order.
    fn one_of_each() -> [u32; 3] {
        [Part::Training, Part::Validation, Part::Test]
            .map(|part| (0..).find(|&document| Part::of(document) == part).unwrap())
    }

    /// A pair for each document: its query is of the document's number and `component`.
    fn lines(documents: &[u32], component: f32, pseudo: bool) -> PairLines {
        let queries: Vec<_> = documents.iter().map(|&at| [at as f32 + 1.0, component]).collect();
        let pseudo = vec![pseudo; documents.len()];
        PairLines { queries: matrix(&queries), right: documents.to_vec(), pseudo }
    }

    fn both(mut first: PairLines, second: PairLines) -> PairLines {
        second.queries.rows().for_each(|query| first.queries.push(query));
        first.right.extend(second.right);
        first.pseudo.extend(second.pseudo);
        first
    }

    #[test]
    fn pseudo_queries_judge_only_where_there_is_nothing_else() {
        let each = one_of_each();
        let documents = || matrix(&vec![[1.0, 1.0]; 1 + *each.iter().max().unwrap() as usize]);
        let [training, validation, test] = each;
        let of = |lines, judges| Pairs::of_lines(documents(), Some(lines), judges).unwrap();

        let pairs = of(lines(&each, 1.0, true), None);
        assert!(pairs.are_pseudo() && pairs.held_out().1.is_empty());
        assert_eq!(
            [Part::Validation, Part::Test].map(|part| pairs.part(part).1),
            [[validation], [test]]
        );

        let pairs = of(both(lines(&each, 1.0, true), lines(&[test], 2.0, false)), None);
        assert!(!pairs.are_pseudo());
        assert_eq!(
            (pairs.part(Part::Training).1, pairs.held_out().1),
            (vec![training], vec![test])
        );

        // Of a file that judges all pairs do, and what is held out of the other one is not used.
        let judges = lines(&[training, training, test], 3.0, false);
        let pairs = of(lines(&each, 1.0, true), Some(judges));
        assert!(!pairs.are_pseudo());
        assert_eq!(pairs.part(Part::Training).1, [training]);
        assert_eq!(pairs.held_out().1, [training, training, test]);
        assert_eq!(pairs.held_out().0.row(0), pairs.queries.row(3));

        let judges = [lines(&each, 1.0, true), lines(&[], 1.0, false)];
        let reasons = ["pair 1 of those that judge", "there is no pair"];
        for (judges, reason) in judges.into_iter().zip(reasons) {
            let error = Pairs::of_lines(documents(), None, Some(judges)).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn what_judges_is_not_learned_from() {
        let [training, ..] = one_of_each();
        let documents = matrix(&vec![[1.0, 1.0]; training as usize + 1]);
        let pairs = both(lines(&[training], 1.0, false), lines(&[training], 2.0, false));
        let judges = lines(&[training], 2.0, false);
        let pairs = Pairs::of_lines(documents, Some(pairs), Some(judges)).unwrap();
        let (learned, held) = (pairs.part(Part::Training).0, pairs.held_out().0);
        assert_eq!((learned.len(), held.len()), (1, 1));
        assert_eq!((learned.row(0), held.row(0)), (pairs.queries.row(0), pairs.queries.row(1)));
    }

    #[test]
    fn pairs_that_judge_are_dealt_to_both_purposes() {
        let dealt = |part| (0..8000).filter(|&at| Part::of_judge(at) == part).count();
        let counts = [Part::Training, Part::Validation, Part::Test].map(dealt);
        assert!(counts[0] == 0 && (2700..3300).contains(&counts[1]), "{counts:?}");
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
