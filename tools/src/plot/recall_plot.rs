//! Recall against speed.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use super::axis::Axis;
use super::svg::{self, COLORS, SIZE};

/// A point of a curve.
#[derive(Clone, Debug, PartialEq)]
pub struct PlotPoint {
    /// The share of true neighbours found, 0 to 1.
    pub recall: f64,
    /// Queries a second, above 0.
    pub queries_per_second: f64,
    /// What stands beside it.
    pub label: String,
}

/// A curve and its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in the order they are joined.
    pub points: Vec<PlotPoint>,
}

/// Recall against speed: recall to the right, queries a second upward on a logarithmic scale.
#[derive(Clone, Debug, PartialEq)]
pub struct RecallPlot {
    /// The line at the top.
    pub title: String,
    /// What the recall is of, such as `recall@10`.
    pub recall: String,
    /// The curves.
    pub series: Vec<Series>,
}

impl RecallPlot {
    /// Writes the picture.
    ///
    /// # Errors
    ///
    /// When there is no point to draw, or the disk refuses.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        svg::write(path, self.to_svg())
    }

    /// Returns the picture as the text of an SVG file.
    ///
    /// # Errors
    ///
    /// When there is no point to draw.
    pub fn to_svg(&self) -> anyhow::Result<String> {
        svg::of(|svg| self.draw(svg))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let recalls = span(points().map(|point| point.recall)).ok_or("there is no point")?;
        let speeds = span(points().map(|point| point.queries_per_second));
        let speeds = speeds.ok_or("there is no point")?;
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(Axis::of_recalls(&recalls), Axis::of_speeds(&speeds))?;
        chart
            .configure_mesh()
            .x_desc(&self.recall)
            .y_desc("queries a second")
            .axis_desc_style(("sans-serif", 16))
            .label_style(("sans-serif", 14))
            .x_label_formatter(&|recall| format!("{recall:.3}"))
            .y_label_formatter(&|speed| speed_label(*speed))
            .light_line_style(WHITE)
            .draw()?;
        for (series, color) in self.series.iter().zip(COLORS.iter().cycle()) {
            let at = |point: &PlotPoint| (point.recall, point.queries_per_second);
            chart
                .draw_series(LineSeries::new(series.points.iter().map(at), color.stroke_width(2)))?
                .label(&series.name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
            chart.draw_series(series.points.iter().map(|point| {
                EmptyElement::at(at(point))
                    + Circle::new((0, 0), 4, color.filled())
                    + Text::new(point.label.clone(), (7, -7), ("sans-serif", 13).into_font())
            }))?;
        }
        svg::draw_legend(&mut chart, SeriesLabelPosition::LowerLeft)?;
        area.present()?;
        Ok(())
    }
}

/// Returns the least and the largest of the numbers above 0 and finite.
fn span(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let values = values.filter(|value| value.is_finite() && *value > 0.0);
    values.fold(None, |span, value| match span {
        None => Some(value..value),
        Some(Range { start, end }) => Some(start.min(value)..end.max(value)),
    })
}

fn speed_label(speed: f64) -> String {
    if speed >= 1000.0 { format!("{}k", speed / 1000.0) } else { format!("{speed}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(f64, f64)]) -> RecallPlot {
        let points = points.iter().map(|&(recall, queries_per_second)| PlotPoint {
            recall,
            queries_per_second,
            label: format!("at {recall}"),
        });
        let series = Series { name: "1 <thread>".to_owned(), points: points.collect() };
        let (title, recall) = ("glove".to_owned(), "recall@10".to_owned());
        RecallPlot { title, recall, series: vec![series] }
    }

    #[test]
    fn a_picture_has_its_title_axes_labels_and_legend() {
        let svg = plot(&[(0.8, 12_000.0), (0.9, 7000.0), (0.99, 900.0)]).to_svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for text in ["glove", "recall@10", "queries a second", "at 0.9", "5k", "1 &lt;thread&gt;"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn one_point_is_a_picture_and_none_is_an_error() {
        assert!(plot(&[(1.0, 50.0)]).to_svg().is_ok());
        let error = plot(&[]).to_svg().unwrap_err().to_string();
        assert_eq!(error, "there is no point");
        assert!(plot(&[(f64::NAN, 0.0)]).to_svg().is_err());
    }
}
