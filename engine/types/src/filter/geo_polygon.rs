//! Regions with corners.

use super::{FilterError, GeoBox, GeoPoint};

/// The least places of a ring: those of a triangle, and the first one again.
const MIN_RING: usize = 4;

/// All places inside a ring and in none of its holes, by straight lines of latitude and longitude.
///
/// The edges of the ring do not belong to the region, and neither do those of holes. A ring ends where it begins.
/// No ring crosses the antimeridian.
#[derive(Clone, Debug, PartialEq)]
pub struct GeoPolygon {
    exterior: Vec<GeoPoint>,
    interiors: Vec<Vec<GeoPoint>>,
}

impl GeoPolygon {
    /// Takes a ring and its holes.
    ///
    /// # Errors
    ///
    /// [`FilterError`] for a ring of fewer than four places, or one that does not end where it begins.
    pub fn new(
        exterior: Vec<GeoPoint>,
        interiors: Vec<Vec<GeoPoint>>,
    ) -> Result<Self, FilterError> {
        for ring in std::iter::once(&exterior).chain(&interiors) {
            let count = ring.len();
            if count < MIN_RING {
                let reason = format!("a ring has {count} places: expected at least {MIN_RING}");
                return Err(FilterError::new(reason));
            }
            if ring.first() != ring.last() {
                return Err(FilterError::new("a ring does not end at the place where it begins"));
            }
        }
        Ok(Self { exterior, interiors })
    }

    /// Returns the ring.
    #[must_use]
    pub fn exterior(&self) -> &[GeoPoint] {
        &self.exterior
    }

    /// Returns the holes.
    #[must_use]
    pub fn interiors(&self) -> &[Vec<GeoPoint>] {
        &self.interiors
    }

    /// Returns how many places make it.
    pub(super) fn corners(&self) -> usize {
        self.exterior.len() + self.interiors.iter().map(Vec::len).sum::<usize>()
    }

    /// Whether a place lies in the region.
    #[must_use]
    pub fn contains(&self, place: GeoPoint) -> bool {
        is_in_ring(place, &self.exterior, false)
            && !self.interiors.iter().any(|hole| is_in_ring(place, hole, true))
    }

    /// Returns the least box that holds the region.
    ///
    /// # Errors
    ///
    /// None for a region that was made: its corners are places.
    pub fn bounding_box(&self) -> Result<GeoBox, FilterError> {
        let all = || self.exterior.iter();
        let [top, bottom] =
            [f64::max, f64::min].map(|of| all().map(|place| place.lat()).reduce(of).unwrap_or(0.0));
        let [right, left] =
            [f64::max, f64::min].map(|of| all().map(|place| place.lon()).reduce(of).unwrap_or(0.0));
        GeoBox::new(GeoPoint::new(top, left)?, GeoPoint::new(bottom, right)?)
    }
}

/// Whether a place lies in a ring, or on it where `edge` says that it belongs to it: a ray along the latitudes
/// leaves the ring an odd number of times.
fn is_in_ring(place: GeoPoint, ring: &[GeoPoint], edge: bool) -> bool {
    let (lat, lon) = (place.lat(), place.lon());
    let mut inside = false;
    for ends in ring.windows(2) {
        let [(a_lat, a_lon), (b_lat, b_lon)] = [ends[0], ends[1]].map(|end| (end.lat(), end.lon()));
        let off_line = lon * (a_lat - b_lat) + a_lon * (b_lat - lat) + b_lon * (lat - a_lat);
        let between = (a_lat - lat) * (b_lat - lat) <= 0.0 && (a_lon - lon) * (b_lon - lon) <= 0.0;
        if off_line == 0.0 && between {
            return edge;
        }
        let crosses = (a_lon > lon) != (b_lon > lon);
        if crosses && lat < (b_lat - a_lat) * (lon - a_lon) / (b_lon - a_lon) + a_lat {
            inside = !inside;
        }
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lat: f64, lon: f64) -> GeoPoint {
        GeoPoint::new(lat, lon).unwrap()
    }

    fn ring(places: &[(f64, f64)]) -> Vec<GeoPoint> {
        places.iter().map(|&(lat, lon)| place(lat, lon)).collect()
    }

    #[test]
    fn a_bay_is_outside_and_edges_belong_to_neither_side() {
        let bay = ring(&[(0.0, 0.0), (0.0, 4.0), (4.0, 4.0), (1.0, 2.0), (4.0, 0.0), (0.0, 0.0)]);
        let hole = ring(&[(0.2, 1.0), (0.2, 3.0), (0.8, 3.0), (0.8, 1.0), (0.2, 1.0)]);
        let region = GeoPolygon::new(bay, vec![hole]).unwrap();
        assert!(region.contains(place(3.0, 3.9)) && region.contains(place(0.1, 2.0)));
        for outside in [(3.0, 2.0), (0.5, 2.0), (0.0, 2.0), (0.2, 2.0), (5.0, 5.0)] {
            assert!(!region.contains(place(outside.0, outside.1)), "{outside:?}");
        }
        let around = region.bounding_box().unwrap();
        assert_eq!((around.top_left(), around.bottom_right()), (place(4.0, 0.0), place(0.0, 4.0)));
    }

    #[test]
    fn rings_must_close() {
        let open = ring(&[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)]);
        assert!(GeoPolygon::new(open, Vec::new()).is_err());
        assert!(GeoPolygon::new(ring(&[(0.0, 0.0), (0.0, 0.0)]), Vec::new()).is_err());
    }
}
