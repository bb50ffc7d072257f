//! Curves as SVG pictures.

mod axis;
mod recall_plot;

pub use recall_plot::{PlotPoint, RecallPlot, Series};
