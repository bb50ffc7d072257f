//! Sparse vectors in memory, row after row.

use std::mem::size_of;

use bigrain_types::SparseView;

/// Sparse vectors for things that are known by a number: a row has the number of the thing that it
/// is the vector of. Numbers rise from row to row; what has no vector has no row.
#[derive(Clone, Debug, Default)]
pub struct SparseRows {
    numbers: Vec<u32>,
    /// Where the components of each row end.
    ends: Vec<usize>,
    dimensions: Vec<u32>,
    values: Vec<f32>,
}

impl SparseRows {
    /// Adds the vector of a number above all others. An empty vector is none.
    pub fn push(&mut self, number: u32, vector: SparseView<'_>) {
        debug_assert!(self.numbers.last().is_none_or(|last| *last < number), "numbers do not rise");
        if vector.is_empty() {
            return;
        }
        self.numbers.push(number);
        self.dimensions.extend_from_slice(vector.dimensions());
        self.values.extend_from_slice(vector.values());
        self.ends.push(self.dimensions.len());
    }

    /// Returns the number of vectors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is no vector.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Returns the numbers that have a vector, rising.
    #[must_use]
    pub fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    /// Returns the vector of a number, if it has one.
    #[must_use]
    pub fn row(&self, number: u32) -> Option<SparseView<'_>> {
        // Where everything has a vector, a row stands at its own number.
        let at = if self.numbers.get(number as usize) == Some(&number) {
            number as usize
        } else {
            self.numbers.binary_search(&number).ok()?
        };
        self.view(at)
    }

    /// Returns numbers with their vectors.
    pub fn iter(&self) -> impl Iterator<Item = (u32, SparseView<'_>)> {
        let views = (0..self.numbers.len()).filter_map(|at| self.view(at));
        self.numbers.iter().copied().zip(views)
    }

    /// Returns how many values there are in all rows.
    #[must_use]
    pub fn components(&self) -> usize {
        self.values.len()
    }

    /// Returns about how much memory the rows take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.numbers.len() * (size_of::<u32>() + size_of::<usize>())
            + self.values.len() * (size_of::<u32>() + size_of::<f32>())
    }

    fn view(&self, at: usize) -> Option<SparseView<'_>> {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        let range = start..self.ends[at];
        // What was pushed was a vector, so this refuses nothing.
        SparseView::new(&self.dimensions[range.clone()], &self.values[range]).ok()
    }
}
