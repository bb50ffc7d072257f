//! How often the dimensions of a query are used.

use bigrain_types::SparseView;
use roaring::RoaringBitmap;

use super::index::SparseIndex;
use crate::IndexError;

/// What is counted over all sources before a row is scored by a query whose dimensions are weighed by
/// how rare they are: over live rows, wherever they lie, so that a score depends on the points there are
/// and on nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparseStatistics {
    /// Live rows with a vector.
    pub vectors: u64,
    /// Live rows that use each dimension of the query, in the order of these.
    pub with_dimension: Vec<u64>,
}

impl SparseStatistics {
    /// Adds the rows of a source that are not dead. Where some are, the query's lists are read through.
    ///
    /// # Errors
    ///
    /// [`IndexError`] when a block fails its check or a list contradicts itself.
    pub fn add(
        &mut self,
        index: &impl SparseIndex,
        query: SparseView<'_>,
        dead: &RoaringBitmap,
    ) -> Result<(), IndexError> {
        let mut vectors = index.vectors();
        for row in dead {
            vectors = vectors.saturating_sub(u64::from(index.has_row(row)?));
        }
        self.vectors += vectors;
        self.with_dimension.resize(query.len(), 0);
        for (count, &dimension) in self.with_dimension.iter_mut().zip(query.dimensions()) {
            let Some(list) = index.list(dimension)? else { continue };
            let live = match dead.is_empty() {
                true => list.offsets.len(),
                false => list.offsets.iter().filter(|offset| !dead.contains(**offset)).count(),
            };
            *count += live as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bigrain_types::SparseVector;

    use super::super::{SparseRows, SparseTable};
    use super::*;

    fn vector(dimensions: &[u32]) -> SparseVector {
        SparseVector::new(dimensions.to_vec(), vec![2.0; dimensions.len()]).unwrap()
    }

    fn table(rows: &[(u32, &[u32])]) -> SparseTable {
        let mut table = SparseTable::default();
        let mut all = SparseRows::default();
        rows.iter().for_each(|(row, dimensions)| all.push(*row, vector(dimensions).view()));
        table.append(&all, 0);
        table
    }

    #[test]
    fn dead_rows_do_not_count_and_sources_add_up() {
        let a = table(&[(0, &[1, 2]), (2, &[2]), (3, &[2, 9])]);
        let b = table(&[(0, &[1])]);
        let query = vector(&[1, 2, 7]);
        let mut counted = SparseStatistics::default();
        // Row 1 has no vector, and row 3 is dead.
        counted.add(&a, query.view(), &RoaringBitmap::from_iter([1, 3])).unwrap();
        assert_eq!(counted, SparseStatistics { vectors: 2, with_dimension: vec![1, 2, 0] });
        counted.add(&b, query.view(), &RoaringBitmap::new()).unwrap();
        assert_eq!(counted, SparseStatistics { vectors: 3, with_dimension: vec![2, 2, 0] });
    }
}
