//! The losses of trainings, step after step.

use std::path::Path;

use plotters::prelude::*;

use super::svg::{self, COLORS, SIZE};

/// Points of a curve at most: each is the mean of some steps.
const POINTS: usize = 100;

/// The losses of some trainings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossPlot {
    /// The line at the top.
    pub title: String,
    /// Each training's name, the step before its first loss, and its losses.
    pub curves: Vec<(String, u32, Vec<f64>)>,
}

impl LossPlot {
    /// Writes the picture.
    ///
    /// # Errors
    ///
    /// When there is no loss to draw, or the disk refuses.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        svg::write(path, self.to_svg())
    }

    /// Returns the picture as the text of an SVG file.
    ///
    /// # Errors
    ///
    /// When there is no loss to draw.
    pub fn to_svg(&self) -> anyhow::Result<String> {
        svg::of(|svg| self.draw(svg))
    }

    fn draw(&self, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
        let curves: Vec<Vec<(f64, f64)>> = self.curves.iter().map(smoothed).collect();
        let points = || curves.iter().flatten();
        let (mut steps, mut highest) = (0.0_f64, 0.0_f64);
        points().for_each(|&(step, loss)| (steps, highest) = (steps.max(step), highest.max(loss)));
        if points().next().is_none() || !highest.is_finite() {
            return Err("there is no loss".into());
        }
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..steps * 1.02, 0.0..(highest * 1.05).max(1e-6))?;
        chart
            .configure_mesh()
            .x_desc("step")
            .y_desc("loss")
            .axis_desc_style(("sans-serif", 16))
            .label_style(("sans-serif", 14))
            .light_line_style(WHITE)
            .draw()?;
        let named = self.curves.iter().map(|curve| &curve.0).zip(curves);
        for ((name, points), color) in named.zip(COLORS.iter().cycle()) {
            chart
                .draw_series(LineSeries::new(points, color.stroke_width(2)))?
                .label(name)
                .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        }
        svg::draw_legend(&mut chart, SeriesLabelPosition::UpperRight)?;
        area.present()?;
        Ok(())
    }
}

/// Returns means of some steps each, with the last of them.
fn smoothed((_, before, losses): &(String, u32, Vec<f64>)) -> Vec<(f64, f64)> {
    let width = losses.len().div_ceil(POINTS).max(1);
    let mean = |(chunk, losses): (usize, &[f64])| {
        let step = f64::from(*before) + (chunk * width + losses.len()) as f64;
        (step, losses.iter().sum::<f64>() / losses.len() as f64)
    };
    losses.chunks(width).enumerate().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_means_of_steps_and_have_their_names() {
        let losses: Vec<f64> = (0..250).map(|step| 1.0 / f64::from(1 + step)).collect();
        let curve = ("2 levels".to_owned(), 500, losses);
        let points = smoothed(&curve);
        assert_eq!((points.len(), points[0].0, points[83].0), (84, 503.0, 750.0));
        assert!((points[0].1 - (1.0 + 0.5 + 1.0 / 3.0) / 3.0).abs() < 1e-9);
        let plot = LossPlot { title: "WordNet".to_owned(), curves: vec![curve] };
        let svg = plot.to_svg().unwrap();
        for text in ["WordNet", "2 levels", "loss", "step"] {
            assert!(svg.contains(text), "{text}: {svg}");
        }
        assert!(LossPlot::default().to_svg().is_err());
    }
}
