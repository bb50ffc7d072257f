//! Places as cells of a grid.
//!
//! Latitude and longitude are cut into 2^16 parts each, about 300 m by 600 m at the equator. A cell's
//! key interleaves their bits, so that every square of cells whose sides are a power of two is one
//! range of keys.

use bigrain_types::filter::{GeoBox, GeoPoint};

/// Bits of a cell along each axis.
const BITS: u32 = 16;

/// Squares that a box is covered with, at most: more of them fit better and cost a look-up each.
const MAX_SQUARES: u64 = 64;

/// The bytes of a place's term behind its prefix.
const PLACE_BYTES: usize = 20;

/// A range of cell keys, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cells {
    pub first: u32,
    pub last: u32,
}

/// Returns a place's bytes: its cell's key and its coordinates.
pub(crate) fn cell_of(place: GeoPoint) -> [u8; PLACE_BYTES] {
    let key = interleave(row_of(place.lat()), column_of(place.lon()));
    let mut bytes = [0; PLACE_BYTES];
    bytes[..4].copy_from_slice(&key.to_be_bytes());
    bytes[4..12].copy_from_slice(&place.lat().to_le_bytes());
    bytes[12..].copy_from_slice(&place.lon().to_le_bytes());
    bytes
}

/// Returns the place of such bytes.
pub(crate) fn place_in(bytes: &[u8]) -> Option<GeoPoint> {
    let bytes: &[u8; PLACE_BYTES] = bytes.try_into().ok()?;
    let degrees = |at: usize| f64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| bytes[at + i]));
    GeoPoint::new(degrees(4), degrees(12)).ok()
}

impl Cells {
    /// Returns ranges, in order and apart, that hold every cell which a box touches.
    pub fn covering(region: GeoBox) -> Vec<Self> {
        let (top_left, bottom_right) = (region.top_left(), region.bottom_right());
        let rows = [row_of(bottom_right.lat()), row_of(top_left.lat())];
        let (left, right) = (column_of(top_left.lon()), column_of(bottom_right.lon()));
        let mut cells = Vec::new();
        if top_left.lon() <= bottom_right.lon() {
            cover(rows, [left, right], &mut cells);
        } else {
            cover(rows, [left, (1 << BITS) - 1], &mut cells);
            cover(rows, [0, right], &mut cells);
        }
        cells.sort_unstable_by_key(|cells| cells.first);
        let mut merged: Vec<Self> = Vec::with_capacity(cells.len());
        for next in cells {
            match merged.last_mut() {
                // Halves of a box across the antimeridian may share squares.
                Some(last) if u64::from(next.first) <= u64::from(last.last) + 1 => {
                    last.last = last.last.max(next.last);
                }
                _ => merged.push(next),
            }
        }
        merged
    }
}

/// Adds the squares that cover some rows and columns, of the smallest size of which few suffice.
fn cover(rows: [u32; 2], columns: [u32; 2], cells: &mut Vec<Cells>) {
    let squares = |shift: u32| {
        let along = |ends: [u32; 2]| u64::from((ends[1] >> shift) - (ends[0] >> shift)) + 1;
        along(rows) * along(columns)
    };
    let shift = (0..BITS).find(|&shift| squares(shift) <= MAX_SQUARES).unwrap_or(BITS);
    for row in rows[0] >> shift..=rows[1] >> shift {
        for column in columns[0] >> shift..=columns[1] >> shift {
            let first = interleave(row << shift, column << shift);
            let size = 1_u64 << (2 * shift);
            cells.push(Cells { first, last: (u64::from(first) + size - 1) as u32 });
        }
    }
}

fn row_of(lat: f64) -> u32 {
    part_of((lat + 90.0) / 180.0)
}

fn column_of(lon: f64) -> u32 {
    part_of((lon + 180.0) / 360.0)
}

/// Grows with `share`, so what lies between two places has a part between theirs.
fn part_of(share: f64) -> u32 {
    let parts = f64::from(1_u32 << BITS);
    ((share * parts) as u32).min((1 << BITS) - 1)
}

fn interleave(row: u32, column: u32) -> u32 {
    spread(row) << 1 | spread(column)
}

/// Puts a zero between any two of the lower 16 bits.
fn spread(bits: u32) -> u32 {
    let mut bits = bits & 0xffff;
    for (by, mask) in [(8, 0x00ff_00ff), (4, 0x0f0f_0f0f), (2, 0x3333_3333), (1, 0x5555_5555)] {
        bits = (bits | bits << by) & mask;
    }
    bits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = GeoPoint> {
        (-90.0..=90.0_f64, -180.0..=180.0_f64)
            .prop_map(|(lat, lon)| GeoPoint::new(lat, lon).unwrap())
    }

    proptest! {
        #[test]
        fn a_place_in_a_box_lies_in_one_of_its_cells(a in place(), b in place(), c in place()) {
            let corner = |lat: f64, lon: f64| GeoPoint::new(lat, lon).unwrap();
            let (top, bottom) = (a.lat().max(b.lat()), a.lat().min(b.lat()));
            let region = GeoBox::new(corner(top, a.lon()), corner(bottom, b.lon())).unwrap();
            let cells = Cells::covering(region);
            prop_assert!(cells.len() <= 2 * MAX_SQUARES as usize);
            prop_assert!(cells.is_sorted_by(|a, b| a.last < b.first));
            for place in [c, a, corner(bottom, b.lon())] {
                let bytes = cell_of(place);
                prop_assert_eq!(place_in(&bytes), Some(place));
                let key = u32::from_be_bytes([0, 1, 2, 3].map(|i| bytes[i]));
                let covered = cells.iter().any(|cells| (cells.first..=cells.last).contains(&key));
                prop_assert!(covered || !region.contains(place), "{region:?} {place:?}");
            }
        }
    }

    #[test]
    fn the_whole_earth_is_one_range() {
        let corner = |lat: f64, lon: f64| GeoPoint::new(lat, lon).unwrap();
        let earth = GeoBox::new(corner(90.0, -180.0), corner(-90.0, 180.0)).unwrap();
        assert_eq!(Cells::covering(earth), [Cells { first: 0, last: u32::MAX }]);
    }
}
