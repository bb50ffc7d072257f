//! Codes of earlier batches' documents, which queries are told apart from beside those of their own batch
//! (BEBR's momentum queue).
//!
//! ```text
//!  documents of a batch --averaged weights--> codes --push--> [ the latest `limit` ] --> wrong ones of later batches
//! ```
//!
//! The averaged weights change slowly, so that codes of some batches ago are still about what they would
//! be now. They are constants: no gradient goes through them.

use crate::matrix::Matrix;

/// The latest codes, and whose they are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Queue {
    limit: usize,
    /// Where the next row goes once the queue is full: the oldest.
    next: usize,
    documents: Vec<u32>,
    codes: Matrix,
}

impl Queue {
    /// Returns a queue without rows, for at most `limit` of `dims` numbers.
    pub fn new(limit: usize, dims: usize) -> Self {
        Self { limit, next: 0, documents: Vec::new(), codes: Matrix::zeros(0, dims) }
    }

    /// Returns which document each row is.
    pub fn documents(&self) -> &[u32] {
        &self.documents
    }

    /// Returns the codes of a batch with all rows behind them.
    pub fn behind(&self, batch: &Matrix) -> Matrix {
        let values = [&batch.values[..], &self.codes.values].concat();
        Matrix { rows: batch.rows + self.codes.rows, cols: batch.cols, values }
    }

    /// Takes the codes of some documents in the place of the oldest.
    pub fn push(&mut self, documents: &[u32], codes: &Matrix) {
        for (&document, code) in documents.iter().zip(codes.iter_rows()) {
            if self.documents.len() < self.limit {
                self.documents.push(document);
                self.codes.values.extend_from_slice(code);
                self.codes.rows += 1;
            } else {
                self.documents[self.next] = document;
                self.codes.row_mut(self.next).copy_from_slice(code);
                self.next = (self.next + 1) % self.limit;
            }
        }
    }

    /// Returns the rows as bytes: `| next: u32 | rows: u32 | documents: u32 each | codes: f32 each |`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = [self.next as u32, self.codes.rows as u32];
        let numbers = numbers.iter().chain(&self.documents).flat_map(|number| number.to_le_bytes());
        numbers.chain(self.codes.values.iter().flat_map(|value| value.to_le_bytes())).collect()
    }

    /// Returns the queue with the rows of [`Queue::to_bytes`]; `None` for bytes that are not those of one
    /// of its size.
    pub fn with_rows(&self, bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let (&[next, rows], rows_of) = words.split_first_chunk::<2>()?;
        let [next, rows] = [next, rows].map(|word| u32::from_le_bytes(word) as usize);
        let cols = self.codes.cols;
        let fits = rows <= self.limit && next < self.limit.max(1) && rest.is_empty();
        if !fits || rows_of.len() != rows * (1 + cols) {
            return None;
        }
        let (documents, codes) = rows_of.split_at(rows);
        let documents = documents.iter().map(|&word| u32::from_le_bytes(word)).collect();
        let values = codes.iter().map(|&word| f32::from_le_bytes(word)).collect();
        Some(Self { limit: self.limit, next, documents, codes: Matrix { rows, cols, values } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::random;

    #[test]
    fn the_latest_rows_stay_and_the_oldest_go_first() {
        let mut queue = Queue::new(5, 3);
        let codes = random(9, 3, 1);
        let push = |queue: &mut Queue, rows: std::ops::Range<usize>| {
            let documents: Vec<u32> = rows.clone().map(|row| row as u32).collect();
            queue.push(&documents, &Matrix::of_rows(3, rows.map(|row| codes.row(row))));
        };
        push(&mut queue, 0..4);
        assert_eq!(queue.documents(), [0, 1, 2, 3]);
        push(&mut queue, 4..7);
        assert_eq!(queue.documents(), [5, 6, 2, 3, 4]);
        push(&mut queue, 7..9);
        assert_eq!(queue.documents(), [5, 6, 7, 8, 4]);

        let batch = random(2, 3, 2);
        let all = queue.behind(&batch);
        assert_eq!((all.rows, all.row(1), all.row(5)), (7, batch.row(1), codes.row(8)));
    }

    #[test]
    fn rows_come_back_from_bytes_and_other_bytes_are_none() {
        let mut queue = Queue::new(4, 3);
        assert_eq!(Queue::new(4, 3).with_rows(&queue.to_bytes()), Some(queue.clone()));
        queue.push(&[1, 2, 3, 4, 5, 6], &random(6, 3, 1));
        let bytes = queue.to_bytes();
        assert_eq!(Queue::new(4, 3).with_rows(&bytes), Some(queue));
        assert_eq!(Queue::new(3, 3).with_rows(&bytes), None, "too many rows");
        assert_eq!(Queue::new(4, 2).with_rows(&bytes), None, "rows of another length");
        for end in 0..bytes.len() {
            assert_eq!(Queue::new(4, 3).with_rows(&bytes[..end]), None, "{end} bytes");
        }
        let mut wrong = bytes;
        wrong[0] = 4;
        assert_eq!(Queue::new(4, 3).with_rows(&wrong), None, "behind the end");
    }
}
