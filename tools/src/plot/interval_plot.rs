//! Differences with their intervals, one below the other.

use std::path::Path;

use plotters::prelude::*;

use super::svg::{self, COLORS, SIZE};
use crate::fusing::Interval;

/// Differences with their intervals, drawn in points.
#[derive(Clone, Debug, PartialEq)]
pub struct IntervalPlot {
    /// The line at the top.
    pub title: String,
    /// What is compared, and by how much it is more.
    pub rows: Vec<(String, Interval)>,
}

impl IntervalPlot {
    /// Writes the picture.
    ///
    /// # Errors
    ///
    /// When there is nothing to draw, or the disk refuses.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        svg::write(path, self.to_svg())
    }

    /// Returns the picture as the text of an SVG file.
    ///
    /// # Errors
    ///
    /// When there is nothing to draw.
    pub fn to_svg(&self) -> anyhow::Result<String> {
        svg::of(|svg| self.draw(svg))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        if self.rows.is_empty() {
            return Err("there is no difference".into());
        }
        let points = |value: f64| 100.0 * value;
        // Zero is always in sight.
        let (low, high) = self.rows.iter().fold((0.0_f64, 0.0_f64), |(low, high), (_, row)| {
            (low.min(points(row.low)), high.max(points(row.high)))
        });
        let margin = 0.05 * (high - low).max(1.0);
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let count = self.rows.len() as f64;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(48)
            .build_cartesian_2d(low - margin..high + margin, 0.0..count)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_desc("points")
            .axis_desc_style(("sans-serif", 16))
            .label_style(("sans-serif", 14))
            .light_line_style(WHITE)
            .draw()?;
        let zero = [(0.0, 0.0), (0.0, count)];
        chart.draw_series([PathElement::new(zero, BLACK.mix(0.5).stroke_width(1))])?;
        for (at, (name, row)) in self.rows.iter().enumerate() {
            let (color, height) = (COLORS[at % COLORS.len()], count - at as f64 - 0.5);
            let ends = [(points(row.low), height), (points(row.high), height)];
            chart.draw_series([PathElement::new(ends, color.stroke_width(3))])?;
            chart.draw_series([EmptyElement::at((points(row.mean), height))
                + Circle::new((0, 0), 6, color.filled())
                + Text::new(name.clone(), (8, -22), ("sans-serif", 15).into_font())])?;
        }
        area.present()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_name_and_nothing_is_no_picture() {
        let row = |name: &str, mean: f64| {
            (name.to_owned(), Interval { mean, low: mean - 0.01, high: mean + 0.01 })
        };
        let rows = vec![row("rotation", -0.02), row("learned", 0.03)];
        let plot = IntervalPlot { title: "recall".to_owned(), rows };
        let svg = plot.to_svg().unwrap();
        assert!(svg.contains("rotation") && svg.contains("learned") && svg.contains("<circle"));
        assert!(IntervalPlot { rows: Vec::new(), ..plot }.to_svg().is_err());
    }
}
