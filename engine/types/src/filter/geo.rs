//! Places on the earth and regions of it.

use serde_json::Value;

use super::FilterError;

/// The mean radius of the earth, in metres. Distances are those on a sphere.
const EARTH_METERS: f64 = 6_371_008.8;

/// How much a box about a circle is widened, in degrees: far above rounding, about a centimetre.
const BOX_MARGIN: f64 = 1e-7;

/// A place on the earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoPoint {
    lat: f64,
    lon: f64,
}

impl GeoPoint {
    /// Takes a latitude of -90 to 90 and a longitude of -180 to 180 degrees.
    ///
    /// # Errors
    ///
    /// [`FilterError`] outside these.
    pub fn new(lat: f64, lon: f64) -> Result<Self, FilterError> {
        let out_of = |what: &str, limit: i32, actual: f64| {
            let reason = format!("{what} out of range: expected -{limit} to {limit}, got {actual}");
            Err(FilterError::new(reason))
        };
        if !(-90.0..=90.0).contains(&lat) {
            return out_of("lat", 90, lat);
        }
        if !(-180.0..=180.0).contains(&lon) {
            return out_of("lon", 180, lon);
        }
        Ok(Self { lat, lon })
    }

    /// Reads a payload's value: an object with numbers `lat` and `lon` in range, whatever else it
    /// has; nothing for any other value.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let object = value.as_object()?;
        let degrees = |name: &str| object.get(name).and_then(Value::as_f64);
        Self::new(degrees("lat")?, degrees("lon")?).ok()
    }

    /// Returns the latitude in degrees.
    #[must_use]
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Returns the longitude in degrees.
    #[must_use]
    pub fn lon(self) -> f64 {
        self.lon
    }

    /// Returns the distance along a great circle, in metres, by the haversine formula.
    #[must_use]
    pub fn meters_to(self, other: Self) -> f64 {
        let (lat, other_lat) = (self.lat.to_radians(), other.lat.to_radians());
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        let square =
            half(other.lat - self.lat) + lat.cos() * other_lat.cos() * half(other.lon - self.lon);
        2.0 * EARTH_METERS * square.clamp(0.0, 1.0).sqrt().asin()
    }
}

/// A box between two latitudes and two longitudes, its edges included. One whose `left` is greater
/// than its `right` crosses the antimeridian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoBox {
    top_left: GeoPoint,
    bottom_right: GeoPoint,
}

impl GeoBox {
    /// Takes two corners.
    ///
    /// # Errors
    ///
    /// [`FilterError`] when the top lies below the bottom.
    pub fn new(top_left: GeoPoint, bottom_right: GeoPoint) -> Result<Self, FilterError> {
        if top_left.lat < bottom_right.lat {
            return Err(FilterError::new(format!(
                "top_left.lat is {}, below bottom_right.lat, which is {}",
                top_left.lat, bottom_right.lat
            )));
        }
        Ok(Self { top_left, bottom_right })
    }

    /// Returns the upper left corner.
    #[must_use]
    pub fn top_left(self) -> GeoPoint {
        self.top_left
    }

    /// Returns the lower right corner.
    #[must_use]
    pub fn bottom_right(self) -> GeoPoint {
        self.bottom_right
    }

    /// Whether a place lies in the box.
    #[must_use]
    pub fn contains(self, place: GeoPoint) -> bool {
        let (left, right) = (self.top_left.lon, self.bottom_right.lon);
        let across = if left <= right {
            (left..=right).contains(&place.lon)
        } else {
            place.lon >= left || place.lon <= right
        };
        across && (self.bottom_right.lat..=self.top_left.lat).contains(&place.lat)
    }
}

/// All places within a distance of a centre, the edge included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeoRadius {
    center: GeoPoint,
    meters: f64,
}

impl GeoRadius {
    /// Takes a centre and a distance in metres.
    ///
    /// # Errors
    ///
    /// [`FilterError`] unless the distance is finite and not below 0.
    pub fn new(center: GeoPoint, meters: f64) -> Result<Self, FilterError> {
        if !(meters.is_finite() && meters >= 0.0) {
            let reason = format!("meters out of range: expected 0 or more, got {meters}");
            return Err(FilterError::new(reason));
        }
        Ok(Self { center, meters })
    }

    /// Returns the centre.
    #[must_use]
    pub fn center(self) -> GeoPoint {
        self.center
    }

    /// Returns the distance in metres.
    #[must_use]
    pub fn meters(self) -> f64 {
        self.meters
    }

    /// Whether a place lies within the distance.
    #[must_use]
    pub fn contains(self, place: GeoPoint) -> bool {
        self.center.meters_to(place) <= self.meters
    }

    /// Returns a box that holds every place within the distance, and more.
    #[must_use]
    pub fn bounding_box(self) -> GeoBox {
        let angle = (self.meters / EARTH_METERS).to_degrees() + BOX_MARGIN;
        let (top, bottom) = (self.center.lat + angle, self.center.lat - angle);
        let across = (angle.to_radians().sin() / self.center.lat.to_radians().cos()).asin();
        let corner = |lat: f64, lon: f64| GeoPoint { lat: lat.clamp(-90.0, 90.0), lon };
        // A circle that reaches a pole has places of every longitude.
        if top >= 90.0 || bottom <= -90.0 || !across.is_finite() {
            return GeoBox { top_left: corner(top, -180.0), bottom_right: corner(bottom, 180.0) };
        }
        let across = across.to_degrees() + BOX_MARGIN;
        if across >= 180.0 {
            return GeoBox { top_left: corner(top, -180.0), bottom_right: corner(bottom, 180.0) };
        }
        let wrap = |lon: f64| {
            if lon < -180.0 {
                lon + 360.0
            } else if lon > 180.0 {
                lon - 360.0
            } else {
                lon
            }
        };
        GeoBox {
            top_left: corner(top, wrap(self.center.lon - across)),
            bottom_right: corner(bottom, wrap(self.center.lon + across)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(lat: f64, lon: f64) -> GeoPoint {
        GeoPoint::new(lat, lon).unwrap()
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let (berlin, sydney) = (place(52.52, 13.405), place(-33.8688, 151.2093));
        let kilometers = berlin.meters_to(sydney) / 1000.0;
        assert!((16_080.0..16_110.0).contains(&kilometers), "{kilometers}");
        let quarter = place(0.0, 0.0).meters_to(place(90.0, 77.0));
        assert!((quarter - EARTH_METERS * std::f64::consts::FRAC_PI_2).abs() < 1e-3, "{quarter}");
    }

    #[test]
    fn a_box_may_cross_the_antimeridian() {
        let fiji = GeoBox::new(place(-12.0, 177.0), place(-21.0, -178.0)).unwrap();
        assert!(fiji.contains(place(-17.0, 179.5)) && fiji.contains(place(-17.0, -179.0)));
        assert!(!fiji.contains(place(-17.0, 0.0)) && !fiji.contains(place(-30.0, 179.5)));
        assert!(GeoBox::new(place(-21.0, 177.0), place(-12.0, -178.0)).is_err());
    }

    #[test]
    fn places_out_of_range_are_none() {
        for text in
            [r#"{"lat": 91, "lon": 0}"#, r#"{"lat": "1", "lon": 0}"#, r#"{"lat": 1}"#, "[1, 2]"]
        {
            assert_eq!(GeoPoint::from_json(&serde_json::from_str(text).unwrap()), None, "{text}");
        }
        assert!(GeoPoint::new(f64::NAN, 0.0).is_err());
        assert!(GeoRadius::new(place(0.0, 0.0), f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn the_box_of_a_circle_holds_it(
            lat in -90.0..=90.0_f64, lon in -180.0..=180.0_f64, meters in 0.0..2.1e7_f64,
            near in -1.0..1.0_f64, turn in -1.0..1.0_f64, other_lat in -90.0..=90.0_f64,
            other_lon in -180.0..=180.0_f64,
        ) {
            let circle = GeoRadius::new(place(lat, lon), meters).unwrap();
            let angle = meters / EARTH_METERS * 57.3;
            let nearby = place(
                (lat + near * angle).clamp(-90.0, 90.0),
                (lon + turn * angle).clamp(-180.0, 180.0),
            );
            for other in [place(other_lat, other_lon), nearby] {
                if circle.contains(other) {
                    prop_assert!(circle.bounding_box().contains(other), "{circle:?} {other:?}");
                }
            }
        }
    }
}
