//! How far long work has come, on standard error.
//!
//! On a terminal a bar with rate and time left; elsewhere, such as in a log file, a plain line
//! every few seconds.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::human;

/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far long work has come.
///
/// Work is counted twice: in rows, for the rate that people want to know, and as a position in
/// the source (bytes of a file, say), for the share that is done and the time left.
#[derive(Debug)]
pub struct Progress {
    label: String,
    unit: &'static str,
    end: u64,
    rows: u64,
    started: Instant,
    display: Display,
}

#[derive(Debug)]
enum Display {
    Bar(ProgressBar),
    Lines { last: Instant },
    Hidden,
}

impl Progress {
    /// Starts at position 0 of `end`; what it counts are points.
    #[must_use]
    pub fn new(label: &str, end: u64) -> Self {
        Self::counting(label, "points", end)
    }

    /// Starts at position 0 of `end`; what it counts is called `unit`.
    #[must_use]
    pub fn counting(label: &str, unit: &'static str, end: u64) -> Self {
        let display = if io::stderr().is_terminal() {
            Display::Bar(bar(label, end))
        } else {
            Display::Lines { last: Instant::now() }
        };
        Self { display, unit, ..Self::hidden(label, end) }
    }

    /// Counts and shows nothing.
    #[must_use]
    pub fn hidden(label: &str, end: u64) -> Self {
        let label = label.to_owned();
        let (started, display) = (Instant::now(), Display::Hidden);
        Self { label, unit: "points", end, rows: 0, started, display }
    }

    /// Counts `rows` more rows, after which the source stands at `position`.
    pub fn advance(&mut self, rows: u64, position: u64) {
        self.rows += rows;
        let rate = format!(
            "{} {}, {}/s",
            human::count(self.rows),
            self.unit,
            human::count(human::rate(self.rows, self.started.elapsed()).round() as u64)
        );
        match &mut self.display {
            Display::Bar(bar) => {
                bar.set_message(rate);
                bar.set_position(position);
            }
            Display::Lines { last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                let left = time_left(self.started.elapsed(), position, self.end);
                let share = 100.0 * human::ratio(position, self.end);
                let line = format!("{}: {rate}, {share:.0} %, {left} left", self.label);
                // Progress that nobody can see is no reason to fail.
                let _ = writeln!(io::stderr(), "{line}");
            }
            Display::Lines { .. } | Display::Hidden => {}
        }
    }

    /// Returns a handle that other threads may say things with while work is counted.
    #[must_use]
    pub fn aside(&self) -> Aside {
        Aside(match &self.display {
            Display::Bar(bar) => AsideOf::Bar(bar.clone()),
            Display::Lines { .. } => AsideOf::Lines(self.label.clone()),
            Display::Hidden => AsideOf::Hidden,
        })
    }

    /// Says where the end is, for work that learns it on its way.
    pub fn set_end(&mut self, end: u64) {
        if self.end != end {
            self.end = end;
            if let Display::Bar(bar) = &self.display {
                bar.set_length(end);
            }
        }
    }

    /// Ends the display; returns the rows counted and the time they took.
    pub fn finish(self) -> (u64, Duration) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
        (self.rows, self.started.elapsed())
    }
}

/// Says what goes on below the work that is counted.
#[derive(Clone, Debug)]
pub struct Aside(AsideOf);

#[derive(Clone, Debug)]
enum AsideOf {
    Bar(ProgressBar),
    Lines(String),
    Hidden,
}

impl Aside {
    /// Shows a few words; how often is for the caller to decide, and lines of a log are best some
    /// seconds apart.
    pub fn say(&self, words: &str) {
        match &self.0 {
            AsideOf::Bar(bar) => bar.set_message(words.to_owned()),
            AsideOf::Lines(label) => {
                // Progress that nobody can see is no reason to fail.
                let _ = writeln!(io::stderr(), "{label}: {words}");
            }
            AsideOf::Hidden => {}
        }
    }

    /// Returns how long to wait between two of them.
    #[must_use]
    pub fn every(&self) -> Duration {
        match &self.0 {
            AsideOf::Bar(_) => Duration::from_millis(250),
            AsideOf::Lines(_) | AsideOf::Hidden => LINE_EVERY,
        }
    }
}

fn bar(label: &str, end: u64) -> ProgressBar {
    let template = "{prefix} {wide_bar} {percent:>3} %  {msg}  {eta} left";
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─");
    let bar = ProgressBar::new(end).with_style(style).with_prefix(label.to_owned());
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// Says how long the rest takes, if it goes on as it went; of the first steps, which take what sets up work too, nothing follows.
fn time_left(elapsed: Duration, position: u64, end: u64) -> String {
    if position <= end / 1000 {
        return "some time".to_owned();
    }
    let left = end.saturating_sub(position) as f64 / position as f64;
    human::duration(Duration::try_from_secs_f64(elapsed.as_secs_f64() * left).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_the_share_done() {
        let elapsed = Duration::from_secs(30);
        assert_eq!(time_left(elapsed, 75, 100), "10.0 s");
        assert_eq!(time_left(elapsed, 0, 100), "some time");
        assert_eq!(time_left(elapsed, 1, 1500), "some time");
        assert_eq!(time_left(elapsed, 120, 100), "0 µs");
    }

    #[test]
    fn rows_are_counted() {
        let mut progress = Progress::hidden("test", 10);
        progress.advance(3, 4);
        progress.advance(2, 10);
        assert_eq!(progress.finish().0, 5);
    }
}
