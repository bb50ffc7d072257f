//! Points in time, as payloads spell them.

use std::fmt;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time to the nanosecond, from a string as RFC 3339 defines it: `2024-02-29T12:00:00Z`,
/// `2024-02-29 12:00:00.5+02:00`, or a day alone, `2024-02-29`, which is its midnight in UTC.
///
/// Digits below a nanosecond are dropped. Moments compare as instants, so two spellings of one instant
/// are equal.
///
/// ```
/// use bigrain_types::filter::Moment;
///
/// let noon = Moment::parse("2024-02-29T12:00:00Z").unwrap();
/// assert_eq!(Moment::parse("2024-02-29T14:00:00+02:00"), Some(noon));
/// assert!(Moment::parse("2024-02-29").unwrap() < noon);
/// assert_eq!(Moment::parse("yesterday"), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment {
    seconds: i64,
    nanoseconds: u32,
}

/// The length of a day alone: `YYYY-MM-DD`.
const DAY_BYTES: usize = 10;

/// The longest spelling that is looked at, with room for digits nobody needs.
const MAX_BYTES: usize = 64;

impl Moment {
    /// The length of [`Moment::to_key`].
    pub const KEY_BYTES: usize = 12;

    /// Reads a time; nothing for any other string.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Nearly every string is told apart by its first five bytes.
        let bytes = text.as_bytes();
        let plausible = (DAY_BYTES..=MAX_BYTES).contains(&bytes.len())
            && bytes[..4].iter().all(u8::is_ascii_digit)
            && bytes[4] == b'-';
        if !plausible || !text.is_ascii() {
            return None;
        }
        let spelled = if bytes.len() == DAY_BYTES {
            format!("{text}T00:00:00Z")
        } else {
            format!("{}T{}", &text[..DAY_BYTES], text.get(DAY_BYTES + 1..)?)
        };
        if bytes.len() > DAY_BYTES && !matches!(bytes[DAY_BYTES], b'T' | b't' | b' ') {
            return None;
        }
        let time = OffsetDateTime::parse(&spelled.to_ascii_uppercase(), &Rfc3339).ok()?;
        Some(Self { seconds: time.unix_timestamp(), nanoseconds: time.nanosecond() })
    }

    /// Returns bytes that sort as moments do: seconds since 1970, then nanoseconds.
    #[must_use]
    pub fn to_key(self) -> [u8; Self::KEY_BYTES] {
        let mut key = [0; Self::KEY_BYTES];
        key[..8].copy_from_slice(&(self.seconds as u64 ^ (1 << 63)).to_be_bytes());
        key[8..].copy_from_slice(&self.nanoseconds.to_be_bytes());
        key
    }
}

/// The moment in UTC, as [`Moment::parse`] reads it.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp(self.seconds).map_err(|_| fmt::Error)?;
        let (date, clock) = (time.date(), time.time());
        write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())?;
        write!(f, "T{:02}:{:02}:{:02}", clock.hour(), clock.minute(), clock.second())?;
        write!(f, ".{:09}Z", self.nanoseconds)
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Moment({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_instant_are_one_moment() {
        let spellings = [
            "2024-02-29T12:00:00Z",
            "2024-02-29t12:00:00z",
            "2024-02-29 12:00:00.000Z",
            "2024-02-29T13:30:00+01:30",
            "2024-02-29T12:00:00.0000000001Z",
        ];
        let moments: Vec<_> = spellings.iter().map(|text| Moment::parse(text).unwrap()).collect();
        assert!(moments.iter().all(|moment| *moment == moments[0]), "{moments:?}");
    }

    #[test]
    fn what_is_no_time_is_nothing() {
        for text in [
            "",
            "2024",
            "2024-02-30",
            "2023-02-29",
            "2024-02-29T12:00",
            "2024-02-29T12:00:00",
            "2024-13-01",
            "24-02-29T12:00:00Z",
            "2024-02-29x12:00:00Z",
            "2024-02-29T25:00:00Z",
            "2024-02-29Z",
            "２０24-02-29",
            "2024-02-29T12:00:00+25:00",
        ] {
            assert_eq!(Moment::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn keys_sort_as_moments_do(
            a in (-62_000_000_000_i64..250_000_000_000, 0..1_000_000_000_u32),
            b in (-62_000_000_000_i64..250_000_000_000, 0..1_000_000_000_u32),
        ) {
            let moment = |(seconds, nanoseconds)| Moment { seconds, nanoseconds };
            let (a, b) = (moment(a), moment(b));
            prop_assert_eq!(a.to_key().cmp(&b.to_key()), a.cmp(&b));
            prop_assert_eq!(Moment::parse(&a.to_string()), Some(a));
        }

        #[test]
        fn any_string_is_read_or_refused(text in "\\PC{0,40}", digits in "[0-9T:Z.+-]{0,30}") {
            let _ = (Moment::parse(&text), Moment::parse(&digits));
        }
    }
}
