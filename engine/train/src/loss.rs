//! Contrast and distillation: one cross entropy over rows of scores.
//!
//! ```text
//!  loss = - sum over columns of t log softmax(s / tau)         in the mean over rows
//! ```
//!
//! With pairs, `t` is 1 at the right document and the softmax is over it and what it is told apart from
//! (InfoNCE), in both directions: queries among documents, and documents among queries. Without pairs
//! `t` is the softmax of the scores of floats on the same shortlist (listwise distillation).

use crate::matrix::{As, Matrix};

/// Loss and gradients of one batch.
#[derive(Debug)]
pub(crate) struct Loss {
    pub value: f64,
    /// Of the codes of queries.
    pub queries: Matrix,
    /// Of the codes of documents that learn.
    pub documents: Matrix,
}

/// What a batch of pairs is told apart by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contrast<'a> {
    /// `tau`.
    pub temperature: f32,
    /// How many of the wrong ones count, the most similar ones; all without.
    pub hardest: Option<usize>,
    /// The document of each query; query `i`'s is row `i` of the documents.
    pub of_query: &'a [u32],
    /// Which document each row is: those of the queries, then hard negatives, then those whose codes are
    /// given. There may be fewer rows.
    pub documents: &'a [u32],
    /// How many rows, the first ones, learn: the others have no gradient.
    pub learned: usize,
}

impl Contrast<'_> {
    /// Returns the loss of codes of length one, half from each direction.
    pub fn loss(&self, queries: &Matrix, documents: &Matrix) -> Loss {
        let pairs = self.of_query.len();
        let scores =
            Matrix::product(queries, As::Is, documents, As::Transposed, 1.0 / self.temperature);
        let mut gradient = Matrix::zeros(scores.rows, scores.cols);
        let mut value = 0.0;
        let weight = 0.5 / pairs as f32;
        let mut softmax = Softmax::default();
        // Queries among documents: other rows of the right document are no wrong ones.
        for row in 0..pairs {
            let wrong = (0..scores.cols).filter(|&col| self.documents[col] != self.of_query[row]);
            softmax.take(scores.row(row), row, wrong, self.hardest);
            value += softmax.finish(weight);
            softmax.add_to(|col| row * scores.cols + col, &mut gradient.values);
        }
        // Documents among queries, those that have a query.
        for col in 0..pairs {
            let column: Vec<f32> = (0..pairs).map(|row| scores.row(row)[col]).collect();
            let wrong = (0..pairs).filter(|&row| self.of_query[row] != self.documents[col]);
            softmax.take(&column, col, wrong, self.hardest);
            value += softmax.finish(weight);
            softmax.add_to(|row| row * scores.cols + col, &mut gradient.values);
        }
        spread(value, &gradient, (queries, documents), self.learned, self.temperature)
    }
}

/// The softmax over one right answer and some wrong ones.
#[derive(Default)]
struct Softmax {
    /// Places with their scores, the right one first; then with their gradients.
    entries: Vec<(usize, f32)>,
}

impl Softmax {
    fn take(
        &mut self,
        scores: &[f32],
        right: usize,
        wrong: impl Iterator<Item = usize>,
        hardest: Option<usize>,
    ) {
        self.entries.clear();
        self.entries.push((right, scores[right]));
        self.entries.extend(wrong.map(|place| (place, scores[place])));
        if let Some(hardest) = hardest.filter(|&hardest| hardest + 1 < self.entries.len()) {
            let wrong = &mut self.entries[1..];
            wrong.select_nth_unstable_by(hardest, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            self.entries.truncate(1 + hardest);
        }
    }

    /// Turns scores into gradients; returns the loss times `weight`.
    fn finish(&mut self, weight: f32) -> f64 {
        let largest = self.entries.iter().map(|entry| entry.1).fold(f32::MIN, f32::max);
        let right = self.entries.first().map_or(0.0, |entry| entry.1);
        let sum: f32 = self.entries.iter().map(|entry| (entry.1 - largest).exp()).sum();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let share = (entry.1 - largest).exp() / sum;
            entry.1 = weight * (share - if index == 0 { 1.0 } else { 0.0 });
        }
        f64::from(weight) * f64::from(sum.ln() + largest - right)
    }

    fn add_to(&self, at: impl Fn(usize) -> usize, gradient: &mut [f32]) {
        self.entries.iter().for_each(|&(place, g)| gradient[at(place)] += g);
    }
}

/// Returns the loss of codes whose scores should order shortlists as those of floats do.
///
/// `lists` has for each query the rows of `documents` that are its shortlist; `floats` their float
/// scores, in the same order.
pub(crate) fn distillation(
    queries: &Matrix,
    documents: &Matrix,
    lists: &[Vec<usize>],
    floats: &[Vec<f32>],
    temperature: f32,
) -> Loss {
    let scores = Matrix::product(queries, As::Is, documents, As::Transposed, 1.0 / temperature);
    let mut gradient = Matrix::zeros(scores.rows, scores.cols);
    let (mut value, weight) = (0.0, 1.0 / queries.rows as f32);
    for (row, (list, floats)) in lists.iter().zip(floats).enumerate() {
        let own: Vec<f32> = list.iter().map(|&col| scores.row(row)[col]).collect();
        let scaled: Vec<f32> = floats.iter().map(|score| score / temperature).collect();
        let (own, own_log) = softmax(&own);
        let (target, target_log) = softmax(&scaled);
        for (place, &col) in list.iter().enumerate() {
            // The divergence: what of the cross entropy can be learned.
            let log_ratio = f64::from(target_log[place] - own_log[place]);
            value += f64::from(weight * target[place]) * log_ratio;
            gradient.row_mut(row)[col] += weight * (own[place] - target[place]);
        }
    }
    spread(value, &gradient, (queries, documents), documents.rows, temperature)
}

/// Returns the softmax and its logarithm.
fn softmax(scores: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let largest = scores.iter().copied().fold(f32::MIN, f32::max);
    let sum: f32 = scores.iter().map(|score| (score - largest).exp()).sum();
    let log: Vec<f32> = scores.iter().map(|score| score - largest - sum.ln()).collect();
    (log.iter().map(|log| log.exp()).collect(), log)
}

/// Takes a gradient of scores to the codes they are products of; of documents to the first `learned`.
fn spread(
    value: f64,
    scores: &Matrix,
    (queries, documents): (&Matrix, &Matrix),
    learned: usize,
    temperature: f32,
) -> Loss {
    let factor = 1.0 / temperature;
    let first_columns;
    let of_learned = if learned < scores.cols {
        first_columns = scores.first_columns(learned);
        &first_columns
    } else {
        scores
    };
    Loss {
        value,
        queries: Matrix::product(scores, As::Is, documents, As::Is, factor),
        documents: Matrix::product(of_learned, As::Transposed, queries, As::Is, factor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{check_gradient, random};

    fn moved(matrix: &Matrix, values: &[f32]) -> Matrix {
        Matrix { values: values.to_vec(), ..*matrix }
    }

    #[test]
    fn gradients_of_the_contrast_are_those_of_finite_differences() {
        let (queries, documents) = (random(4, 5, 1), random(7, 5, 2));
        // The second and third pair share a document, and a hard negative is the first one's.
        let (of_query, rows) = ([3, 8, 8, 1], [3, 8, 8, 1, 3, 20, 21]);
        // All rows learn, or the last two are given: one of these is the first query's right document.
        for (hardest, learned) in [(None, 7), (Some(2), 7), (None, 5), (Some(3), 4), (None, 0)] {
            let rows = if learned < 6 { [3, 8, 8, 1, 20, 3, 21] } else { rows };
            let contrast = Contrast {
                temperature: 0.5,
                hardest,
                of_query: &of_query,
                documents: &rows,
                learned,
            };
            let Loss { queries: q, documents: d, .. } = contrast.loss(&queries, &documents);
            assert_eq!(d.rows, learned);
            check_gradient(&queries.values, &q.values, |values| {
                contrast.loss(&moved(&queries, values), &documents).value
            });
            let (first, given) = documents.values.split_at(5 * learned);
            check_gradient(first, &d.values, |values| {
                let documents = moved(&documents, &[values, given].concat());
                contrast.loss(&queries, &documents).value
            });
        }
    }

    #[test]
    fn a_given_row_is_a_wrong_one_of_queries_but_of_those_it_is_right_for() {
        let queries = random(2, 3, 1);
        let documents = random(4, 3, 2);
        let loss = |rows: usize, ids: &[u32]| {
            let contrast = Contrast {
                temperature: 0.5,
                hardest: None,
                of_query: &[5, 6],
                documents: ids,
                learned: 2,
            };
            let values = documents.values[..3 * rows].to_vec();
            contrast.loss(&queries, &Matrix { rows, cols: 3, values })
        };
        let batch = loss(2, &[5, 6]);
        let of_both = loss(4, &[5, 6, 5, 6]);
        let of_neither = loss(4, &[5, 6, 7, 8]);
        assert!(batch.value < of_both.value && of_both.value < of_neither.value);
        // Whose ids are there and whose rows are not are no wrong ones, as with old codes.
        assert_eq!(loss(2, &[5, 6, 7, 8]).value, batch.value);
        // The right one of both queries, given once more: as if it were not there.
        let contrast = |documents: &'static [u32], learned| Contrast {
            temperature: 0.5,
            hardest: None,
            of_query: &[5, 5],
            documents,
            learned,
        };
        let first = Matrix { rows: 2, cols: 3, values: documents.values[..6].to_vec() };
        let alone = contrast(&[5, 5], 2).loss(&queries, &first);
        let again = contrast(&[5, 5, 5, 5], 2).loss(&queries, &documents);
        assert_eq!((alone.value, alone.queries), (again.value, again.queries));
    }

    #[test]
    fn the_same_document_is_never_a_wrong_one() {
        let queries = random(2, 3, 1);
        let documents = Matrix { rows: 2, cols: 3, values: vec![0.5; 6] };
        let contrast = Contrast {
            temperature: 0.05,
            hardest: None,
            of_query: &[9, 9],
            documents: &[9, 9],
            learned: 2,
        };
        let loss = contrast.loss(&queries, &documents);
        assert_eq!(loss.value, 0.0);
        assert!(loss.queries.values.iter().all(|&g| g == 0.0));
    }

    #[test]
    fn gradients_of_distillation_are_those_of_finite_differences() {
        let (queries, documents) = (random(3, 5, 1), random(6, 5, 2));
        let lists = vec![vec![0, 1, 2], vec![1, 4, 5], vec![3, 2, 0]];
        let floats = vec![vec![0.9, 0.1, 0.3], vec![0.2, 0.3, 0.8], vec![0.5, 0.5, -0.2]];
        let loss = |q: &Matrix, d: &Matrix| distillation(q, d, &lists, &floats, 0.5);
        let Loss { queries: q, documents: d, value } = loss(&queries, &documents);
        assert!(value > 0.0, "a divergence");
        check_gradient(&queries.values, &q.values, |v| loss(&moved(&queries, v), &documents).value);
        check_gradient(&documents.values, &d.values, |v| {
            loss(&queries, &moved(&documents, v)).value
        });
    }
}
