//! `config.json` of an ALIGN model.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::architecture::{ModelConfigError, check_sizes, range};
use crate::bert::BertConfig;
use crate::efficientnet::{Stage, TowerShape, static_padding};
use crate::image::ImageSize;
use crate::nn::{Activation, Padding};

/// More than any published model has; a file that claims more is damaged.
const MAX_BLOCKS: usize = 1_024;
const MAX_CHANNELS: usize = 1 << 16;
const MAX_KERNEL: usize = 31;

/// The shape of an ALIGN model, as its `config.json` gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlignConfig {
    /// Values of an embedding.
    pub projection_dim: usize,
    /// The text tower.
    pub text: BertConfig,
    /// What the model divides a cosine by, before training; the checkpoint's own value is used.
    pub temperature: f32,
    vision: VisionConfig,
}

#[derive(Deserialize)]
struct File {
    model_type: String,
    #[serde(default = "default_projection")]
    projection_dim: usize,
    #[serde(default = "one")]
    temperature_init_value: f32,
    #[serde(default)]
    text_config: Option<Map<String, Value>>,
    #[serde(default)]
    vision_config: Option<VisionConfig>,
}

fn default_projection() -> usize {
    640
}

fn one() -> f32 {
    1.0
}

/// Default: EfficientNet-B7.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
struct VisionConfig {
    num_channels: usize,
    image_size: usize,
    width_coefficient: f64,
    depth_coefficient: f64,
    depth_divisor: usize,
    kernel_sizes: Vec<usize>,
    in_channels: Vec<usize>,
    out_channels: Vec<usize>,
    depthwise_padding: Vec<usize>,
    strides: Vec<usize>,
    num_block_repeats: Vec<usize>,
    expand_ratios: Vec<usize>,
    squeeze_expansion_ratio: f64,
    hidden_act: String,
    pooling_type: String,
    batch_norm_eps: f64,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            num_channels: 3,
            image_size: 600,
            width_coefficient: 2.0,
            depth_coefficient: 3.1,
            depth_divisor: 8,
            kernel_sizes: vec![3, 3, 5, 3, 5, 5, 3],
            in_channels: vec![32, 16, 24, 40, 80, 112, 192],
            out_channels: vec![16, 24, 40, 80, 112, 192, 320],
            depthwise_padding: Vec::new(),
            strides: vec![1, 2, 2, 2, 1, 2, 1],
            num_block_repeats: vec![1, 2, 2, 3, 3, 4, 1],
            expand_ratios: vec![1, 6, 6, 6, 6, 6, 6],
            squeeze_expansion_ratio: 0.25,
            hidden_act: "swish".to_owned(),
            pooling_type: "mean".to_owned(),
            batch_norm_eps: 0.001,
        }
    }
}

impl AlignConfig {
    /// What `config.json` says such a model is.
    pub(crate) const MODEL_TYPE: &'static str = "align";

    /// Reads and checks the text of a `config.json`. What it leaves out is as in the published model.
    ///
    /// # Errors
    ///
    /// [`ModelConfigError`] for text that is not such a file, or sizes that do not fit together.
    pub fn parse(json: &[u8]) -> Result<Self, ModelConfigError> {
        let file: File = serde_json::from_slice(json)?;
        if file.model_type != Self::MODEL_TYPE {
            let (actual, expected) = (file.model_type, Self::MODEL_TYPE);
            return Err(ModelConfigError::Unsupported { field: "model_type", actual, expected });
        }
        let mut text = file.text_config.unwrap_or_default();
        // The file names the tower, and BERT's reader wants the family.
        text.insert("model_type".to_owned(), Value::from("bert"));
        for (field, value) in [
            ("vocab_size", Value::from(30_522)),
            ("hidden_size", Value::from(768)),
            ("num_hidden_layers", Value::from(12)),
            ("num_attention_heads", Value::from(12)),
            ("intermediate_size", Value::from(3_072)),
            ("max_position_embeddings", Value::from(512)),
        ] {
            text.entry(field).or_insert(value);
        }
        let text = BertConfig::parse(Value::Object(text).to_string().as_bytes())?;
        let config = Self {
            projection_dim: file.projection_dim,
            text,
            temperature: file.temperature_init_value,
            vision: file.vision_config.unwrap_or_default(),
        };
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ModelConfigError> {
        let vision = &self.vision;
        check_sizes(&[
            ("projection_dim", self.projection_dim),
            ("image_size", vision.image_size),
            ("depth_divisor", vision.depth_divisor),
        ])?;
        for (field, actual, expected) in [
            ("hidden_act", &vision.hidden_act, "swish"),
            ("pooling_type", &vision.pooling_type, "mean"),
        ] {
            if actual != expected {
                let actual = actual.clone();
                return Err(ModelConfigError::Unsupported { field, actual, expected });
            }
        }
        if vision.num_channels != 3 {
            return Err(range("num_channels", "3".to_owned(), &vision.num_channels));
        }
        let stages = vision.kernel_sizes.len();
        for (field, list) in [
            ("in_channels", &vision.in_channels),
            ("out_channels", &vision.out_channels),
            ("strides", &vision.strides),
            ("num_block_repeats", &vision.num_block_repeats),
            ("expand_ratios", &vision.expand_ratios),
            ("kernel_sizes", &vision.kernel_sizes),
        ] {
            if list.len() != stages || stages == 0 {
                let expected = format!("one value for each of {stages} stages");
                return Err(range(field, expected, &format!("{} values", list.len())));
            }
            if let Some(value) = list.iter().find(|&&value| value == 0 || value > MAX_CHANNELS) {
                return Err(range(field, format!("1 to {MAX_CHANNELS}"), value));
            }
        }
        for &kernel in &vision.kernel_sizes {
            if kernel % 2 == 0 || kernel > MAX_KERNEL {
                return Err(range("kernel_sizes", format!("odd, 1 to {MAX_KERNEL}"), &kernel));
            }
        }
        for (field, value) in [
            ("width_coefficient", vision.width_coefficient),
            ("depth_coefficient", vision.depth_coefficient),
            ("squeeze_expansion_ratio", vision.squeeze_expansion_ratio),
        ] {
            if !(0.01..=100.0).contains(&value) {
                return Err(range(field, "0.01 to 100".to_owned(), &value));
            }
        }
        if !(0.0..1.0).contains(&vision.batch_norm_eps) {
            return Err(range("batch_norm_eps", "0 to 1".to_owned(), &vision.batch_norm_eps));
        }
        let blocks: usize = vision.num_block_repeats.iter().map(|&n| vision.repeats(n)).sum();
        if blocks > MAX_BLOCKS {
            return Err(range("num_block_repeats", format!("{MAX_BLOCKS} in all"), &blocks));
        }
        let tower = self.tower();
        if tower.outputs() != self.projection_dim {
            let expected = format!("{}, the channels of the image tower", tower.outputs());
            return Err(range("projection_dim", expected, &self.projection_dim));
        }
        Ok(())
    }

    /// The size of images, where the folder does not say how they are prepared.
    #[must_use]
    pub fn image_size(&self) -> ImageSize {
        ImageSize { height: self.vision.image_size, width: self.vision.image_size }
    }

    /// The shape of the image tower.
    pub(crate) fn tower(&self) -> TowerShape {
        self.vision.tower()
    }

    /// What decides an embedding beside the tensors.
    pub(crate) fn fingerprint(&self) -> String {
        format!("align {} {:?}", self.text.fingerprint(), self.tower())
    }
}

impl VisionConfig {
    fn tower(&self) -> TowerShape {
        let mut blocks = Vec::new();
        for stage in 0..self.kernel_sizes.len() {
            let stage = Stage {
                kernel: self.kernel_sizes[stage],
                stride: self.strides[stage],
                widening: self.expand_ratios[stage],
                inputs: self.channels(self.in_channels[stage]),
                outputs: self.channels(self.out_channels[stage]),
                repeats: self.repeats(self.num_block_repeats[stage]),
                squeezed: Some(self.squeeze_expansion_ratio),
            };
            blocks.extend(stage.blocks());
        }
        for (index, block) in blocks.iter_mut().enumerate() {
            if self.depthwise_padding.contains(&index) {
                let half = block.kernel / 2;
                block.padding = Padding { before: half, after: half };
            } else {
                block.padding = static_padding(block.kernel, block.stride);
            }
        }
        TowerShape {
            stem: self.channels(32),
            blocks,
            activation: Activation::Swish,
            eps: self.batch_norm_eps,
        }
    }

    /// A number of channels, widened and rounded to a multiple of the divisor.
    fn channels(&self, channels: usize) -> usize {
        let wide = channels as f64 * self.width_coefficient;
        let divisor = self.depth_divisor;
        let rounded = (wide + divisor as f64 / 2.0) as usize / divisor * divisor;
        let rounded = rounded.max(divisor);
        if (rounded as f64) < 0.9 * wide { rounded + divisor } else { rounded }
    }

    fn repeats(&self, blocks: usize) -> usize {
        (blocks as f64 * self.depth_coefficient).ceil() as usize
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_file_leaves_out_is_the_published_model() {
        let config = AlignConfig::parse(br#"{"model_type": "align"}"#).unwrap();
        assert_eq!((config.projection_dim, config.text.hidden_size), (640, 768));
        let tower = config.tower();
        assert_eq!((tower.stem, tower.blocks.len(), tower.outputs()), (64, 55, 640));
        let wide: Vec<(usize, usize, usize, usize, Option<usize>)> = [0, 1, 4, 11, 18, 28, 38, 54]
            .map(|index| &tower.blocks[index])
            .map(|b| (b.wide, b.outputs, b.kernel, b.stride, b.squeezed))
            .to_vec();
        let expected = [
            (64, 32, 3, 1, Some(16)),
            (32, 32, 3, 1, Some(8)),
            (192, 48, 3, 2, Some(8)),
            (288, 80, 5, 2, Some(12)),
            (480, 160, 3, 2, Some(20)),
            (960, 224, 5, 1, Some(40)),
            (1344, 384, 5, 2, Some(56)),
            (3840, 640, 3, 1, Some(160)),
        ];
        assert_eq!(wide, expected);
    }

    #[test]
    fn refusals_name_the_field() {
        let refuse = |value: Value| {
            AlignConfig::parse(value.to_string().as_bytes()).unwrap_err().to_string()
        };
        let error = refuse(json!({"model_type": "clip"}));
        assert_eq!(error, "model_type \"clip\" is not supported: expected align");
        for (vision, message) in [
            (json!({"strides": [1]}), "strides out of range: expected one value for each of 7"),
            (json!({"kernel_sizes": [4, 3, 5, 3, 5, 5, 3]}), "kernel_sizes out of range"),
            (json!({"strides": [0, 2, 2, 2, 1, 2, 1]}), "strides out of range"),
            (json!({"hidden_act": "relu"}), "hidden_act \"relu\" is not supported"),
            (json!({"depth_coefficient": 1e9}), "depth_coefficient out of range"),
            (json!({"width_coefficient": 1.0}), "projection_dim out of range: expected 320"),
            (json!({"num_block_repeats": [9999, 2, 2, 2, 2, 2, 2]}), "num_block_repeats out of"),
        ] {
            let error = refuse(json!({"model_type": "align", "vision_config": vision}));
            assert!(error.starts_with(message), "{error}");
        }
    }
}
