//! How rows lie in memory between the passes of a layer.
//!
//! Multiplications want all channels of a token side by side, transforms want all tokens of a
//! channel. Between them rows lie in tiles of [`TILE`] tokens, channel by channel inside a tile, so
//! that threads that own tiles of tokens write whole tiles, and threads that own channels read long
//! runs:
//!
//! ```text
//! text 0: | tile 0: c0 t0..t127 | c1 t0..t127 | ... | tile 1: c0 t128..t255 | ... |  text 1: ...
//! ```
//!
//! The last tile of a text is shorter where its length is no multiple of [`TILE`].

use crate::nn::{AlignedBuffer, transpose};

/// Tokens of a tile: what goes through all multiplications of a pass together. Enough that a panel
/// of weights, once in the first-level cache, is used for many rows; few enough that the rows
/// between two multiplications stay in the second-level cache.
pub(crate) const TILE: usize = 128;

/// What a layer reads and writes: each `[texts, length, channels]` values.
#[derive(Debug, Default)]
pub(crate) struct Activations {
    /// The rows of the layer, in tiles.
    pub(crate) x: AlignedBuffer,
    /// `v · x1`, in tiles.
    pub(crate) gated: AlignedBuffer,
    /// `x2`, in tiles.
    pub(crate) gate: AlignedBuffer,
    /// What the convolutions give, `[channels, texts, length]`.
    pub(crate) mixed: AlignedBuffer,
}

/// The runs of one channel in the tiles of a text, `[length, channels]`, first to last.
pub(crate) fn channel_runs(
    text: &[f32],
    channels: usize,
    channel: usize,
) -> impl Iterator<Item = &[f32]> {
    text.chunks(TILE * channels).map(move |tile| {
        let rows = tile.len() / channels;
        &tile[channel * rows..][..rows]
    })
}

/// Writes the rows of a tile to `out`, `[rows, channels]`.
pub(crate) fn tile_to_rows(tile: &[f32], channels: usize, out: &mut [f32]) {
    let rows = tile.len() / channels;
    transpose((tile, rows), (out, channels), channels, rows);
}

/// Writes rows, `[rows, channels]`, to a tile.
pub(crate) fn rows_to_tile(rows: &[f32], channels: usize, tile: &mut [f32]) {
    let count = rows.len() / channels;
    transpose((rows, channels), (tile, count), count, channels);
}

/// Writes the last `count` rows of a tile to `out`, `[count, channels]`.
pub(crate) fn last_rows(tile: &[f32], channels: usize, count: usize, out: &mut [f32]) {
    let rows = tile.len() / channels;
    transpose((&tile[rows - count..], rows), (out, channels), channels, count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_from_tiles_and_runs_are_columns() {
        let (length, channels) = (2 * TILE + 5, 7);
        let rows: Vec<f32> = (0..length * channels).map(|i| i as f32).collect();
        let mut text = vec![f32::NAN; rows.len()];
        for (rows, tile) in rows.chunks(TILE * channels).zip(text.chunks_mut(TILE * channels)) {
            rows_to_tile(rows, channels, tile);
            let mut back = vec![f32::NAN; rows.len()];
            tile_to_rows(tile, channels, &mut back);
            assert_eq!(back, rows);
            let mut last = vec![f32::NAN; 2 * channels];
            last_rows(tile, channels, 2, &mut last);
            assert_eq!(last, rows[rows.len() - 2 * channels..]);
        }
        for channel in [0, 3, 6] {
            let run: Vec<f32> = channel_runs(&text, channels, channel).flatten().copied().collect();
            let column: Vec<f32> = rows.chunks(channels).map(|row| row[channel]).collect();
            assert_eq!(run, column);
        }
    }
}
