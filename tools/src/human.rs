//! Numbers as people read them.

use std::time::Duration;

/// Writes a count with a comma after every three digits.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a number of bytes in the largest binary unit that leaves at least 1.
#[must_use]
pub fn bytes(number: u64) -> String {
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Writes a large number with three digits and the prefix of its unit, behind a blank: `1.23 G`; without one below 1,000.
#[must_use]
pub fn large(number: f64) -> String {
    let (mut value, mut prefix) = (number, "");
    for next in ["k", "M", "G", "T", "P"] {
        if value < 999.5 {
            break;
        }
        value /= 1000.0;
        prefix = next;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {prefix}").trim_end().to_owned()
}

/// Writes a duration with three digits, in the unit that suits it.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.2} ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02.0} s", time.as_secs() / 60, seconds % 60.0)
    }
}

/// Writes a number of microseconds with three digits, in the unit that suits it.
#[must_use]
pub fn micros(number: f64) -> String {
    duration(Duration::try_from_secs_f64(number / 1e6).unwrap_or_default())
}

/// Writes a count and what is counted: `1 row`, `2,000 rows`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Returns `amount` per second; 0 when no time has passed.
#[must_use]
pub fn rate(amount: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { amount as f64 / time.as_secs_f64() }
}

/// Returns `part / whole`; 0 when there is no whole.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Returns the first `limit` characters on one line, blanks joined, with an ellipsis where cut.
#[must_use]
pub fn excerpt(text: &str, limit: usize) -> String {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > limit * 4 {
            break;
        }
    }
    if line.chars().count() <= limit {
        return line;
    }
    let mut cut: String = line.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([count(0), count(999), count(1000)], ["0", "999", "1,000"]);
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!([bytes(1023), bytes(1024), bytes(3 << 20)], ["1023 B", "1.0 KiB", "3.0 MiB"]);
        assert_eq!([large(0.0), large(999.4), large(999.6)], ["0.00", "999", "1.00 k"]);
        assert_eq!(
            [large(12_345.0), large(1.5e9), large(9.996e15)],
            ["12.3 k", "1.50 G", "10.0 P"]
        );
        assert_eq!(duration(Duration::from_micros(250)), "250 µs");
        assert_eq!(duration(Duration::from_micros(2_500)), "2.50 ms");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 05 s");
        assert_eq!(micros(250.4), "250 µs");
        assert_eq!(counted(1, "row", "rows") + &counted(2000, "row", "rows"), "1 row2,000 rows");
        assert_eq!(rate(5, Duration::ZERO), 0.0);
    }

    #[test]
    fn excerpts_are_one_line_and_cut_on_characters() {
        assert_eq!(excerpt("a\n  b\tc", 10), "a b c");
        assert_eq!(excerpt("äöüäöü", 4), "äöü…");
        assert_eq!(excerpt("", 4), "");
    }
}
