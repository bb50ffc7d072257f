//! Numbers that compare exactly, integers and floats alike.

use std::fmt;

use serde_json::Value;

/// A finite number of JSON, compared by its exact value.
///
/// Neither `f64` nor `i64` can hold every number of JSON, and comparing an integer with a float by
/// converting either loses: 2^53 + 1 would equal 2^53. So a number is kept as the largest `f64` not
/// above it and the integer that is missing. Together they sort as numbers do, also byte by byte.
///
/// ```text
///  byte 0            8          10
///  ├─────────────────┼──────────┤
///  │ f64, big-endian │ rest u16 │     sign bit flipped, all bits flipped where negative
///  └─────────────────┴──────────┘
/// ```
///
/// ```
/// use bigrain_types::filter::Number;
///
/// let float = Number::from_f64(9_007_199_254_740_992.0).unwrap();
/// assert_eq!(Number::from(9_007_199_254_740_992_i64), float);
/// assert!(Number::from(9_007_199_254_740_993_i64) > float);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number([u8; Number::KEY_BYTES]);

const SIGN: u64 = 1 << 63;

impl Number {
    /// The length of [`Number::to_key`].
    pub const KEY_BYTES: usize = 10;

    /// Takes a float; nothing for NaN and the infinities. Zero has no sign.
    #[must_use]
    pub fn from_f64(float: f64) -> Option<Self> {
        float.is_finite().then(|| Self::new(float, 0))
    }

    /// Reads a value of JSON; nothing unless it is a number.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        if let Some(integer) = number.as_i64() {
            return Some(integer.into());
        }
        match number.as_u64() {
            Some(integer) => Some(integer.into()),
            None => number.as_f64().and_then(Self::from_f64),
        }
    }

    /// Returns the value of JSON that reads as this number: an integer where it is one.
    #[must_use]
    pub fn to_json(self) -> Value {
        let (float, rest) = self.parts();
        // Integers of JSON lie between -2^63 and 2^64; there a float converts exactly.
        if float.fract() == 0.0 && (-(2_f64.powi(63))..2_f64.powi(64)).contains(&float) {
            let integer = float as i128 + i128::from(rest);
            if let Ok(integer) = i64::try_from(integer) {
                return integer.into();
            }
            if let Ok(integer) = u64::try_from(integer) {
                return integer.into();
            }
        }
        float.into()
    }

    /// Returns bytes that sort as numbers do.
    #[must_use]
    pub fn to_key(self) -> [u8; Self::KEY_BYTES] {
        self.0
    }

    /// Reads the bytes of [`Number::to_key`]; nothing for any others.
    #[must_use]
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let number = Self(key.try_into().ok()?);
        // Whatever is a number is written as it is read.
        (Self::from_json(&number.to_finite_json()?) == Some(number)).then_some(number)
    }

    fn to_finite_json(self) -> Option<Value> {
        self.parts().0.is_finite().then(|| self.to_json())
    }

    fn new(float: f64, rest: u16) -> Self {
        let bits = (float + 0.0).to_bits(); // -0.0 + 0.0 is 0.0
        let sortable = if bits & SIGN == 0 { bits | SIGN } else { !bits };
        let mut key = [0; Self::KEY_BYTES];
        key[..8].copy_from_slice(&sortable.to_be_bytes());
        key[8..].copy_from_slice(&rest.to_be_bytes());
        Self(key)
    }

    fn of_integer(integer: i128) -> Self {
        let mut float = integer as f64; // rounds to nearest
        if float as i128 > integer {
            float = float.next_down();
        }
        // Below 2^64 floats lie at most 2048 apart.
        Self::new(float, (integer - float as i128) as u16)
    }

    fn parts(self) -> (f64, u16) {
        let word = |at: usize| self.0[at];
        let sortable = u64::from_be_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(word));
        let bits = if sortable & SIGN == 0 { !sortable } else { sortable & !SIGN };
        (f64::from_bits(bits), u16::from_be_bytes([8, 9].map(word)))
    }
}

impl From<i64> for Number {
    fn from(integer: i64) -> Self {
        Self::of_integer(i128::from(integer))
    }
}

impl From<u64> for Number {
    fn from(integer: u64) -> Self {
        Self::of_integer(i128::from(integer))
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({})", self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    /// Compares an integer with a float by exact arithmetic.
    fn compare(integer: i128, float: f64) -> Ordering {
        if float.abs() > 1e30 {
            return 0.0_f64.total_cmp(&float);
        }
        let whole = float.floor();
        let by_whole = integer.cmp(&(whole as i128));
        if by_whole == Ordering::Equal && whole < float { Ordering::Less } else { by_whole }
    }

    fn integers() -> impl Strategy<Value = i128> {
        let edges = [0, 1 << 53, 1 << 62, 1 << 63, (1 << 64) - 1, -(1 << 53), -(1 << 63)];
        let near = (prop::sample::select(edges.to_vec()), -3000..3000_i128);
        prop_oneof![
            near.prop_map(|(edge, by)| (edge + by).clamp(-(1 << 63), (1 << 64) - 1)),
            any::<i64>().prop_map(i128::from),
            any::<u64>().prop_map(i128::from),
        ]
    }

    fn floats() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>().prop_filter("finite", |float| float.is_finite()),
            integers().prop_map(|integer| integer as f64),
            (-100..100_i32).prop_map(|half| f64::from(half) / 2.0),
        ]
    }

    fn number(integer: i128) -> Number {
        i64::try_from(integer).map_or_else(|_| (integer as u64).into(), Number::from)
    }

    proptest! {
        #[test]
        fn numbers_compare_by_their_exact_values(
            a in integers(), b in integers(), x in floats(), y in floats(),
        ) {
            prop_assert_eq!(number(a).cmp(&number(b)), a.cmp(&b));
            let (fx, fy) = (Number::from_f64(x).unwrap(), Number::from_f64(y).unwrap());
            prop_assert_eq!(fx.cmp(&fy), x.partial_cmp(&y).unwrap());
            prop_assert_eq!(number(a).cmp(&fx), compare(a, x));
        }

        #[test]
        fn json_gives_the_same_number_back(a in integers(), x in floats()) {
            for number in [number(a), Number::from_f64(x).unwrap()] {
                prop_assert_eq!(Number::from_json(&number.to_json()), Some(number));
                let text = number.to_json().to_string();
                let read: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(Number::from_json(&read), Some(number));
                prop_assert_eq!(Number::from_key(&number.to_key()), Some(number));
            }
        }

        #[test]
        fn any_bytes_are_a_number_or_none(key in any::<[u8; Number::KEY_BYTES]>()) {
            if let Some(number) = Number::from_key(&key) {
                prop_assert_eq!(number.to_key(), key);
            }
        }
    }

    #[test]
    fn zero_has_no_sign_and_nan_is_no_number() {
        assert_eq!(Number::from_f64(-0.0), Some(Number::from(0_i64)));
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(Number::from_f64(f64::INFINITY), None);
        assert_eq!(Number::from_json(&Value::from("1")), None);
    }
}
