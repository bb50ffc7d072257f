//! Both towers with their heads.

use parking_lot::Mutex;
use pulp::Arch;

use super::config::ClipConfig;
use super::head::Head;
use super::names::{Dialect, IMAGE_TOKENS, LOGIT_SCALE, TEXT_TOKENS, TOKEN_SCALE, is_no_weight};
use super::text::{TextRows, TextScratch, TextTower};
use super::vision::{ImageRows, VisionScratch, VisionTower};
use crate::batch::{PackedBatch, Sharing};
use crate::image::Pixels;
use crate::weights::{TensorSpec, Tensors, WeightsError};

/// A CLIP or FILIP model, ready to run.
#[derive(Debug)]
pub(super) struct ClipModel {
    vision: VisionTower,
    text: TextTower,
    image_head: Head,
    text_head: Head,
    /// The heads of tokens, of a FILIP model; without them those of the whole are applied to each.
    token_heads: Option<(Head, Head)>,
    /// `e^logit_scale`.
    pub(super) scale: f32,
    /// What similarities of tokens are scaled by.
    pub(super) token_scale: f32,
    /// Tensors of the checkpoint without a use.
    pub(super) unused: Vec<String>,
    vision_scratch: Mutex<Vec<VisionScratch>>,
    text_scratch: Mutex<Vec<TextScratch>>,
}

impl ClipModel {
    /// Checks and packs the tensors, whose names may be of any dialect.
    pub(super) fn build(config: &ClipConfig, tensors: &Tensors<'_>) -> Result<Self, WeightsError> {
        let arch = Arch::new();
        let dialect = Dialect::of(tensors);
        let specs = dialect.tensors(config);
        tensors.check_model(&specs)?;
        let names = dialect.names();
        let (vision, text) = (&config.vision.tower, &config.text.tower);
        let scale = tensors.scalar(LOGIT_SCALE)?.ok_or_else(|| tensors.missing(LOGIT_SCALE))?.exp();
        let token_heads = match &config.filip {
            None => None,
            Some(filip) => {
                let image_norm = (!filip.pre_ln_post).then_some(names.image_norm);
                let text_norm = Some(names.text_norm);
                let (image, text) = ((vision, filip.token_dims), (text, filip.token_dims));
                Some((
                    Head::build(arch, tensors, image_norm, IMAGE_TOKENS, image)?,
                    Head::build(arch, tensors, text_norm, TEXT_TOKENS, text)?,
                ))
            }
        };
        Ok(Self {
            vision: VisionTower::build(arch, tensors, names, &config.vision)?,
            text: TextTower::build(arch, tensors, names, &config.text)?,
            image_head: Head::build(
                arch,
                tensors,
                Some(names.image_norm),
                names.image_projection,
                (vision, config.dims),
            )?,
            text_head: Head::build(
                arch,
                tensors,
                Some(names.text_norm),
                names.text_projection,
                (text, config.dims),
            )?,
            token_heads,
            scale,
            token_scale: tensors.scalar(TOKEN_SCALE)?.map_or(scale, f32::exp),
            unused: unused(tensors, specs),
            vision_scratch: Mutex::default(),
            text_scratch: Mutex::default(),
        })
    }

    /// Rows of an image in the tower.
    pub(super) fn image_rows(&self) -> usize {
        self.vision.rows()
    }

    /// Returns the vectors of images, of any length: `[images, dims]`.
    pub(super) fn images(&self, images: &[&Pixels], sharing: Sharing) -> Vec<f32> {
        self.with_image_rows(images, ImageRows::Class, sharing, |rows| {
            self.image_head.project(rows)
        })
    }

    /// Returns the vectors of the patches of images, of any length: `[images · patches, dims]`.
    pub(super) fn image_tokens(&self, images: &[&Pixels], sharing: Sharing) -> Vec<f32> {
        let head = self.token_heads.as_ref().map_or(&self.image_head, |(head, _)| head);
        self.with_image_rows(images, ImageRows::Patches, sharing, |rows| head.project(rows))
    }

    /// Returns the vectors of texts, of any length: `[texts, dims]`.
    pub(super) fn texts(&self, batch: &PackedBatch, sharing: Sharing) -> Vec<f32> {
        self.with_text_rows(batch, TextRows::End, sharing, |rows| self.text_head.project(rows))
    }

    /// Returns the vectors of the tokens of texts, of any length: `[tokens, dims]`.
    pub(super) fn text_tokens(&self, batch: &PackedBatch, sharing: Sharing) -> Vec<f32> {
        let head = self.token_heads.as_ref().map_or(&self.text_head, |(_, head)| head);
        self.with_text_rows(batch, TextRows::All, sharing, |rows| head.project(rows))
    }

    /// Gives rows of images, before the last norm, to `work`.
    pub(super) fn with_image_rows<T>(
        &self,
        images: &[&Pixels],
        wanted: ImageRows,
        sharing: Sharing,
        work: impl FnOnce(&[f32]) -> T,
    ) -> T {
        let mut scratch = self.vision_scratch.lock().pop().unwrap_or_default();
        let result = work(self.vision.forward(images, wanted, sharing, &mut scratch));
        self.vision_scratch.lock().push(scratch);
        result
    }

    /// Gives rows of texts, before the last norm, to `work`.
    pub(super) fn with_text_rows<T>(
        &self,
        batch: &PackedBatch,
        wanted: TextRows,
        sharing: Sharing,
        work: impl FnOnce(&[f32]) -> T,
    ) -> T {
        let mut scratch = self.text_scratch.lock().pop().unwrap_or_default();
        let result = work(self.text.forward(batch, wanted, sharing, &mut scratch));
        self.text_scratch.lock().push(scratch);
        result
    }
}

/// The tensors of one value; a checkpoint may lack the second.
pub(super) fn scales() -> [TensorSpec; 2] {
    [LOGIT_SCALE, TOKEN_SCALE].map(|name| TensorSpec { name: name.to_owned(), shape: Vec::new() })
}

/// The tensors without a use, but for those that are no weights.
fn unused(tensors: &Tensors<'_>, mut specs: Vec<TensorSpec>) -> Vec<String> {
    specs.extend(scales());
    tensors.unused(&specs).into_iter().filter(|name| !is_no_weight(name)).collect()
}
