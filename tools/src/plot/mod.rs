//! Curves as SVG pictures.

mod axis;
mod loss_plot;
mod recall_plot;
mod svg;

pub use loss_plot::LossPlot;
pub use recall_plot::{PlotPoint, RecallPlot, Series};
