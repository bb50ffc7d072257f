//! Which rows belong to which list.

use std::ops::Range;

/// A list below so many rows costs more to find than to scan with its neighbour.
const MIN_ROWS: usize = 64;

/// Returns how many lists suit `rows` rows: about four times their root, and lists of at least 64.
///
/// ```
/// use bigrain_index::lists::default_lists;
///
/// assert_eq!(default_lists(1_000), 15);
/// assert_eq!(default_lists(1_000_000), 4_000);
/// ```
#[must_use]
pub fn default_lists(rows: usize) -> usize {
    let by_root = 4.0 * (rows as f64).sqrt();
    (by_root.round() as usize).min(rows / MIN_ROWS).max(1)
}

/// The ranges of offsets that lists cover, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListLayout {
    starts: Vec<u32>,
}

impl ListLayout {
    /// Takes the first offset of every list and the end of the last.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words: they begin at 0 and never fall.
    pub fn new(starts: Vec<u32>) -> Result<Self, String> {
        if starts.len() < 2 || starts.first() != Some(&0) {
            return Err(format!("{} starts, the first is {:?}", starts.len(), starts.first()));
        }
        if !starts.is_sorted() {
            return Err("starts of lists fall".to_owned());
        }
        Ok(Self { starts })
    }

    /// Sorts rows by list: returns the layout, and for each offset the row that lies there. Rows of
    /// one list keep their order.
    #[must_use]
    pub fn of(lists: &[u32], count: usize) -> (Self, Vec<u32>) {
        let mut starts = vec![0_u32; count + 1];
        for &list in lists {
            starts[list as usize + 1] += 1;
        }
        for list in 0..count {
            starts[list + 1] += starts[list];
        }
        let mut next = starts.clone();
        let mut order = vec![0; lists.len()];
        for (row, &list) in lists.iter().enumerate() {
            order[next[list as usize] as usize] = row as u32;
            next[list as usize] += 1;
        }
        (Self { starts }, order)
    }

    /// Returns the first offset of every list and the end of the last.
    #[must_use]
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Returns how many lists there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none; there is always one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the offsets of a list.
    #[must_use]
    pub fn rows(&self, list: u32) -> Range<u32> {
        self.starts[list as usize]..self.starts[list as usize + 1]
    }

    /// Returns the list that an offset lies in.
    #[must_use]
    pub fn list_of(&self, offset: u32) -> u32 {
        (self.starts.partition_point(|&start| start <= offset) - 1) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_list_and_keep_their_order() {
        let (layout, order) = ListLayout::of(&[2, 0, 2, 0, 3], 4);
        assert_eq!(order, [1, 3, 0, 2, 4]);
        assert_eq!(layout.starts(), [0, 2, 2, 4, 5]);
        assert_eq!(layout.rows(1), 2..2);
        assert_eq!([0, 1, 2, 3, 4].map(|offset| layout.list_of(offset)), [0, 0, 2, 2, 3]);
    }

    #[test]
    fn an_empty_segment_has_one_empty_list() {
        let (layout, order) = ListLayout::of(&[], 1);
        assert_eq!((layout.len(), order.len(), layout.rows(0)), (1, 0, 0..0));
    }

    #[test]
    fn starts_that_fall_are_refused() {
        assert!(ListLayout::new(vec![0, 5, 4]).is_err());
        assert!(ListLayout::new(vec![1, 5]).is_err());
        assert!(ListLayout::new(vec![0]).is_err());
        assert!(ListLayout::new(vec![0, 0, 9]).is_ok());
    }
}
