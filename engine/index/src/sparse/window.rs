//! The sums of some neighbouring rows.

/// Rows whose sums are kept at a time: 32 KiB of them, which a core's nearest cache holds.
pub(super) const WINDOW: u32 = 8192;

/// The sums of some neighbouring rows.
#[derive(Debug)]
pub(super) struct Window {
    start: u32,
    sums: Vec<f32>,
    /// Which rows share a dimension with the query: a sum of zero does not say.
    seen: Vec<u64>,
}

impl Window {
    pub fn new() -> Self {
        Self { start: 0, sums: vec![0.0; WINDOW as usize], seen: vec![0; WINDOW as usize / 64] }
    }

    /// Begins at the window that a row lies in, with sums of zero.
    pub fn begin_at(&mut self, row: u32) {
        self.start = row - row % WINDOW;
        self.sums.fill(0.0);
        self.seen.fill(0);
    }

    /// Returns the first row.
    pub fn start(&self) -> u32 {
        self.start
    }

    /// Returns how many of rising rows, none before the window, lie in it.
    pub fn count_of(&self, offsets: &[u32]) -> usize {
        offsets.partition_point(|&offset| offset - self.start < WINDOW)
    }

    /// Adds the products of a weight with the values of some rows of the window.
    pub fn add(&mut self, offsets: &[u32], values: &[f32], weight: f32) {
        for (&offset, value) in offsets.iter().zip(values) {
            let at = (offset - self.start) as usize;
            self.sums[at] += weight * value;
            self.seen[at / 64] |= 1 << (at % 64);
        }
    }

    /// Returns the rows that were added to, with their sums.
    pub fn rows(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        let bits = |(word, &seen): (usize, &u64)| {
            let mut seen = seen;
            std::iter::from_fn(move || {
                let bit = (seen != 0).then(|| seen.trailing_zeros())?;
                seen &= seen - 1;
                Some(word * 64 + bit as usize)
            })
        };
        let places = self.seen.iter().enumerate().flat_map(bits);
        places.map(|at| (self.start + at as u32, self.sums[at]))
    }
}
