//! What all pictures have in common.

use std::error::Error;
use std::path::Path;

use anyhow::{Context, anyhow};
use plotters::coord::CoordTranslate;
use plotters::prelude::*;

/// The size of a picture, in pixels.
pub(super) const SIZE: (u32, u32) = (900, 600);

/// Series after each other; told apart in print and by most eyes (Okabe and Ito's palette).
pub(super) const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// Returns what is drawn, as the text of an SVG file.
pub(super) fn of(
    draw: impl FnOnce(&mut String) -> Result<(), Box<dyn Error>>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    // The backend's errors borrow the text it writes to.
    draw(&mut svg).map_err(|error| anyhow!("{error}"))?;
    Ok(svg)
}

/// Writes a picture.
pub(super) fn write(path: &Path, svg: anyhow::Result<String>) -> anyhow::Result<()> {
    let context = || format!("draw {}", path.display());
    std::fs::write(path, svg.with_context(context)?).with_context(context)
}

/// Draws the names of the series.
pub(super) fn draw_legend<'a, DB: DrawingBackend + 'a, CT: CoordTranslate>(
    chart: &mut ChartContext<'a, DB, CT>,
    position: SeriesLabelPosition,
) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()
}
