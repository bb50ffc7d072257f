//! Curves as SVG pictures.

mod axis;
mod interval_plot;
mod loss_plot;
mod recall_plot;
mod svg;

pub use interval_plot::IntervalPlot;
pub use loss_plot::LossPlot;
pub use recall_plot::{PlotPoint, RecallPlot, Series};
