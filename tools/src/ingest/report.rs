//! What came of the records.

use std::ops::AddAssign;
use std::time::Duration;

use serde::Serialize;

use crate::human;
use crate::input::InputError;

/// How many bad rows are listed; the others are only counted.
pub const MAX_BAD_ROWS_LISTED: usize = 100;

/// What came of the records.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IngestReport {
    /// Rows committed or passed over, bad ones not counted.
    pub rows: u64,
    /// Points that were not there before.
    pub inserted: u64,
    /// Points that replaced another of their id.
    pub updated: u64,
    /// Rows passed over because they are stored already.
    pub unchanged: u64,
    /// Rows passed over because a later one of the same chunk has their id.
    pub repeated: u64,
    /// Texts encoded.
    pub texts: u64,
    /// Tokens encoded.
    pub tokens: u64,
    /// Texts longer than the encoder reads.
    pub truncated: u64,
    /// Rows refused and skipped.
    pub bad: u64,
    /// The first [`MAX_BAD_ROWS_LISTED`] of them: where, and why.
    pub bad_rows: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
    /// Time spent encoding, while other work went on beside it.
    pub encode: Duration,
    /// Time spent in synced upserts, while other work went on beside it.
    pub write: Duration,
}

impl IngestReport {
    /// Notes a bad row.
    pub fn note_bad(&mut self, error: &InputError) {
        self.bad += 1;
        if self.bad_rows.len() < MAX_BAD_ROWS_LISTED {
            self.bad_rows.push(error.to_string());
        }
    }

    /// Returns one line on the points: how many, new, replaced, passed over.
    #[must_use]
    pub fn points_line(&self) -> String {
        let mut line = format!("{} new", human::count(self.inserted));
        for (number, what) in [
            (self.updated, "replaced"),
            (self.unchanged, "unchanged"),
            (self.repeated, "repeated"),
            (self.bad, "bad"),
        ] {
            if number > 0 {
                line.push_str(&format!(", {} {what}", human::count(number)));
            }
        }
        line
    }

    /// Returns one line on the speed: rows and tokens a second, and the time in all.
    #[must_use]
    pub fn speed_line(&self) -> String {
        let per_second = |amount| human::count(human::rate(amount, self.elapsed).round() as u64);
        let mut line = format!("{} points/s", per_second(self.inserted + self.updated));
        if self.tokens > 0 {
            line.push_str(&format!(", {} tokens/s", per_second(self.tokens)));
        }
        line.push_str(&format!(", {} in all", human::duration(self.elapsed)));
        line
    }
}

impl AddAssign for IngestReport {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.repeated += other.repeated;
        self.texts += other.texts;
        self.tokens += other.tokens;
        self.truncated += other.truncated;
        self.bad += other.bad;
        self.bad_rows.extend(other.bad_rows);
        self.elapsed += other.elapsed;
        self.encode += other.encode;
        self.write += other.write;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_there_is_to_say() {
        let mut report = IngestReport {
            inserted: 1500,
            tokens: 9000,
            elapsed: Duration::from_secs(3),
            ..IngestReport::default()
        };
        assert_eq!(report.points_line(), "1,500 new");
        assert_eq!(report.speed_line(), "500 points/s, 3,000 tokens/s, 3.0 s in all");
        report += IngestReport { bad: 2, unchanged: 7, ..IngestReport::default() };
        assert_eq!(report.points_line(), "1,500 new, 7 unchanged, 2 bad");
    }
}
