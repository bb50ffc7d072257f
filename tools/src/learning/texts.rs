//! Texts that become vectors by a model that is opened when the first text comes.

use std::cell::OnceCell;
use std::fmt;

use anyhow::anyhow;
use bigrain_encoders::EncodeOptions;
use bigrain_engine::Cancel;

use crate::matrix::Matrix;
use crate::model::Model;
use crate::progress::Progress;

/// Texts encoded at a time.
const CHUNK: usize = 4096;

/// A model that is opened when the first text comes.
pub struct Texts<'a> {
    open: Box<dyn Fn() -> anyhow::Result<Model> + 'a>,
    model: OnceCell<Model>,
    cancel: &'a Cancel,
}

impl<'a> Texts<'a> {
    /// Says how the model is opened, and when to stop.
    pub fn new(open: impl Fn() -> anyhow::Result<Model> + 'a, cancel: &'a Cancel) -> Self {
        Self { open: Box::new(open), model: OnceCell::new(), cancel }
    }

    /// Returns the model.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn model(&self) -> anyhow::Result<&Model> {
        if self.model.get().is_none() {
            let model = (self.open)()?;
            // Nobody else is here to set it first.
            let _ = self.model.set(model);
        }
        self.model.get().ok_or_else(|| anyhow!("the model is gone"))
    }

    /// Returns a row for each text; `label` names them to whoever watches.
    ///
    /// # Errors
    ///
    /// When the model cannot be opened or refuses a text, or the caller stops it.
    pub fn encode(&self, texts: &[&str], label: &str) -> anyhow::Result<Matrix> {
        let encoder = self.model()?.encoder();
        let options = EncodeOptions { cancel: self.cancel.clone(), ..EncodeOptions::default() };
        let mut progress = Progress::counting(label, "texts", texts.len() as u64);
        let mut matrix = Matrix::empty(encoder.dims());
        for chunk in texts.chunks(CHUNK) {
            let embeddings = encoder.encode(chunk, &options)?;
            embeddings.iter().for_each(|embedding| matrix.push(embedding));
            progress.advance(chunk.len() as u64, matrix.len() as u64);
        }
        progress.finish();
        Ok(matrix)
    }
}

impl fmt::Debug for Texts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("model", &self.model).finish_non_exhaustive()
    }
}
