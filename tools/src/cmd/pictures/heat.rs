//! `bigrain pictures heat`: where in a picture a text is.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::pictures::{PictureModel, PictureSource, heat_map};
use crate::session::Session;

/// Draws where in a picture a text is: light where it fits best, dark where it fits least
#[derive(Args, Debug)]
pub(super) struct HeatArgs {
    /// The picture
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to look for in it
    #[arg(value_name = "TEXT")]
    text: String,
    /// The PNG to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The folder of the model [default: efficientnet-lite0-minilm]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_IMAGE_MODEL")]
    model: Option<PathBuf>,
}

pub(super) fn run(args: &HeatArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let model = PictureModel::open_or_default(args.model.as_deref(), &session.encode_on())?;
    let png = heat_map(&model, &args.text, &PictureSource::File(args.file.clone()))?;
    fs::write(&args.out, png).with_context(|| format!("write {}", args.out.display()))?;
    Ok(writeln!(session.out, "{}", args.out.display())?)
}
