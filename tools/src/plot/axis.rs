//! Axes with round marks.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// The least span of recalls drawn: what differs by less is the same.
const LEAST_SPAN: f64 = 0.02;

/// An axis, and where its marks are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    range: Range<f64>,
    marks: Vec<f64>,
    scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
}

impl Axis {
    /// An axis for shares between 0 and 1, with some room at both sides.
    pub fn of_recalls(recalls: &Range<f64>) -> Self {
        let start = recalls.start.min(recalls.end - LEAST_SPAN).max(0.0);
        let room = (recalls.end - start) * 0.08;
        let range = (start - room).max(0.0)..recalls.end + room;
        let fits = |step: &f64| (range.end - range.start) / step <= 12.0;
        let step = [0.002, 0.005, 0.01, 0.02, 0.05].into_iter().find(fits).unwrap_or(0.1);
        // There is no recall above 1, whatever room the axis has.
        let marks = (0..=(1.0 / step).round() as u32).map(|mark| f64::from(mark) * step);
        let marks = marks.filter(|mark| range.contains(mark)).collect();
        Self { range, marks, scale: Scale::Linear }
    }

    /// A logarithmic axis for numbers above 0, from one round number to another.
    pub fn of_speeds(speeds: &Range<f64>) -> Self {
        let decade = |decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade));
        let round: Vec<f64> = (-9..=12).flat_map(decade).collect();
        let start = round.iter().rfind(|&&mark| mark < speeds.start).unwrap_or(&speeds.start);
        let end = round.iter().find(|&&mark| mark > speeds.end).unwrap_or(&speeds.end);
        let range = *start..*end;
        let marks = round.iter().copied().filter(|mark| (*start..=*end).contains(mark)).collect();
        Self { range, marks, scale: Scale::Logarithmic }
    }

    /// Returns how far along the axis a value lies: 0 at its start, 1 at its end.
    fn share(&self, value: f64) -> f64 {
        let scaled = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.ln(),
        };
        let (start, end) = (scaled(self.range.start), scaled(self.range.end));
        (scaled(value) - start) / (end - start)
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (first, last): (i32, i32)) -> i32 {
        first + (self.share(*value) * f64::from(last - first)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Between the marks there are no lighter ones.
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recalls_have_room_and_no_mark_above_one() {
        let axis = Axis::of_recalls(&(0.8..1.0));
        assert!(axis.range.start < 0.8 && axis.range.end > 1.0);
        assert_eq!(axis.marks.len(), 11, "{:?}", axis.marks);
        assert!((axis.marks[10] - 1.0).abs() < 1e-9);
        let point = Axis::of_recalls(&(1.0..1.0));
        assert!(point.range.end - point.range.start >= LEAST_SPAN);
    }

    #[test]
    fn speeds_lie_between_round_numbers() {
        let axis = Axis::of_speeds(&(130.0..4000.0));
        assert_eq!(axis.marks, [100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]);
        assert_eq!(axis.map(&100.0, (500, 0)), 500);
        assert_eq!(axis.map(&5000.0, (500, 0)), 0);
        let middle = axis.map(&(100.0_f64 * 5000.0).sqrt(), (500, 0));
        assert_eq!(middle, 250);
    }
}
