//! Dense rows in pieces, none of which moves when others come.

/// Rows that were written in so small a number are copied together.
const FEW_ROWS: usize = 64;

/// Room for rows that are copied together, at most.
const MAX_ROOM_ROWS: usize = 256;

/// Rows of one length, one after another.
///
/// A search waits while rows are added, so those of a large write are taken over as they are: to copy
/// them would take a millisecond, most of it for memory that nobody has touched yet.
#[derive(Clone, Debug)]
pub(super) struct DenseRows {
    dims: usize,
    pieces: Vec<Vec<f32>>,
    /// The first row of each piece.
    starts: Vec<u32>,
    len: usize,
}

impl DenseRows {
    /// Returns no rows, each of which will have `dims` numbers.
    pub fn new(dims: usize) -> Self {
        Self { dims, pieces: Vec::new(), starts: Vec::new(), len: 0 }
    }

    /// Makes room for so many more rows, in one piece.
    pub fn reserve(&mut self, rows: usize) {
        let more = rows * self.dims;
        match self.pieces.last_mut() {
            Some(last) => last.reserve(more),
            None => self.begin(Vec::with_capacity(more)),
        }
    }

    /// Adds a row to the last piece.
    pub fn push(&mut self, row: &[f32]) {
        if self.pieces.is_empty() {
            self.begin(Vec::new());
        }
        self.pieces.last_mut().into_iter().for_each(|last| last.extend_from_slice(row));
        self.len += 1;
    }

    /// Moves the rows of `other` behind these.
    pub fn append(&mut self, other: &mut Self) {
        for piece in std::mem::take(&mut other.pieces) {
            let rows = piece.len() / self.dims;
            let room = self.pieces.last().map_or(0, |last| last.capacity() - last.len());
            if room < piece.len() {
                if rows >= FEW_ROWS {
                    self.begin(piece);
                    self.len += rows;
                    continue;
                }
                let rows = self.len.clamp(rows, MAX_ROOM_ROWS);
                self.begin(Vec::with_capacity(rows * self.dims));
            }
            self.pieces.last_mut().into_iter().for_each(|last| last.extend_from_slice(&piece));
            self.len += rows;
        }
        (other.starts, other.len) = (Vec::new(), 0);
    }

    fn begin(&mut self, piece: Vec<f32>) {
        self.starts.push(self.len as u32);
        self.pieces.push(piece);
    }

    /// Returns a row.
    pub fn row(&self, row: u32) -> &[f32] {
        let piece = self.starts.partition_point(|&start| start <= row) - 1;
        let at = (row - self.starts[piece]) as usize * self.dims;
        &self.pieces[piece][at..at + self.dims]
    }

    /// Returns all rows.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.pieces.iter().flat_map(|piece| piece.chunks_exact(self.dims))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes of the rows.
    pub fn memory_bytes(&self) -> usize {
        self.len * self.dims * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIMS: usize = 3;

    fn rows(first: usize, count: usize) -> DenseRows {
        let mut rows = DenseRows::new(DIMS);
        if count.is_multiple_of(2) {
            rows.reserve(count);
        }
        (first..first + count).for_each(|row| rows.push(&[row as f32; DIMS]));
        rows
    }

    proptest! {
        #[test]
        fn rows_keep_their_order_however_they_were_written(
            writes in prop::collection::vec(prop_oneof![0..5usize, 50..80usize, 300..400usize], 0..40),
        ) {
            let mut all = DenseRows::new(DIMS);
            for &count in &writes {
                let mut more = rows(all.len(), count);
                all.append(&mut more);
                prop_assert_eq!(more.len(), 0);
            }
            prop_assert_eq!(all.len(), writes.iter().sum::<usize>());
            prop_assert_eq!(all.iter().count(), all.len());
            for (row, of_iter) in (0..).zip(all.iter()) {
                prop_assert_eq!(of_iter, [row as f32; DIMS]);
                prop_assert_eq!(all.row(row), of_iter);
            }
        }
    }

    #[test]
    fn single_rows_share_pieces_and_many_stay_where_they_are() {
        let mut all = DenseRows::new(DIMS);
        (0..1000).for_each(|row| all.append(&mut rows(row, 1)));
        assert!(all.pieces.len() < 16, "{} pieces", all.pieces.len());
        let mut many = rows(1000, 300);
        let place = many.row(0).as_ptr();
        all.append(&mut many);
        assert_eq!(all.row(1000).as_ptr(), place);
    }
}
