//! The shape of a CLIP model, and how Hugging Face writes it.

use std::fmt;

use serde::Deserialize;

use crate::architecture::{ModelConfigError, check_sizes, range};
use crate::filip::FilipConfig;
use crate::nn::Activation;

/// More than any published model has; a file that claims more is damaged.
const MAX_IMAGE_SIZE: usize = 8_192;
const MAX_LAYERS: usize = 1_024;
const MAX_TOKENS: usize = 1 << 20;

/// The shape of a CLIP model.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipConfig {
    /// Values of an embedding.
    pub dims: usize,
    /// The image tower.
    pub vision: VisionConfig,
    /// The text tower.
    pub text: ClipTextConfig,
    /// How the tokens of a FILIP model are made; `None` in CLIP.
    pub filip: Option<FilipConfig>,
}

/// The shape of an image tower.
#[derive(Clone, Debug, PartialEq)]
pub struct VisionConfig {
    /// Rows and columns of the images it reads.
    pub image_size: usize,
    /// Rows and columns of a patch.
    pub patch_size: usize,
    /// Its transformer.
    pub tower: TowerConfig,
}

/// The shape of a text tower.
#[derive(Clone, Debug, PartialEq)]
pub struct ClipTextConfig {
    /// Rows of the word table.
    pub vocab_size: usize,
    /// The most tokens of a text.
    pub max_tokens: usize,
    /// Its transformer.
    pub tower: TowerConfig,
}

/// The shape of a transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct TowerConfig {
    /// Values of a row.
    pub width: usize,
    /// How many layers.
    pub layers: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Width between the two feed-forward layers.
    pub mlp: usize,
    /// What is between them.
    pub hidden_act: HiddenAct,
    /// Added to the variance by layer norms.
    pub layer_norm_eps: f64,
}

/// What is between two feed-forward layers. A model with the wrong one loads, and is worse: it is
/// read from the configuration, never assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HiddenAct {
    /// `x σ(1.702 x)`: OpenAI's weights.
    QuickGelu,
    /// `x Φ(x)`: most others.
    Gelu,
}

impl ClipConfig {
    /// Reads and checks the text of a Hugging Face `config.json`.
    ///
    /// # Errors
    ///
    /// [`ModelConfigError`] for text that is not such a file, another family, or sizes that do not
    /// fit together.
    pub fn parse(json: &[u8]) -> Result<Self, ModelConfigError> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(default)]
            model_type: String,
        }
        let kind: Kind = serde_json::from_slice(json)?;
        if kind.model_type != "clip" {
            let (field, actual) = ("model_type", kind.model_type);
            return Err(ModelConfigError::Unsupported { field, actual, expected: "clip" });
        }
        let file: HuggingFaceConfig = serde_json::from_slice(json)?;
        // The older fields were written beside the newer ones, and win where both are there.
        let vision = file.vision_config_dict.or(file.vision_config).unwrap_or_default();
        let text = file.text_config_dict.or(file.text_config).unwrap_or_default();
        let config = Self {
            dims: file.projection_dim,
            vision: VisionConfig {
                image_size: vision.image_size,
                patch_size: vision.patch_size,
                tower: TowerConfig {
                    width: vision.hidden_size,
                    layers: vision.num_hidden_layers,
                    heads: vision.num_attention_heads,
                    mlp: vision.intermediate_size,
                    hidden_act: HiddenAct::parse(&vision.hidden_act)?,
                    layer_norm_eps: vision.layer_norm_eps,
                },
            },
            text: ClipTextConfig {
                vocab_size: text.vocab_size,
                max_tokens: text.max_position_embeddings,
                tower: TowerConfig {
                    width: text.hidden_size,
                    layers: text.num_hidden_layers,
                    heads: text.num_attention_heads,
                    mlp: text.intermediate_size,
                    hidden_act: HiddenAct::parse(&text.hidden_act)?,
                    layer_norm_eps: text.layer_norm_eps,
                },
            },
            filip: None,
        };
        config.check()?;
        Ok(config)
    }

    /// Refuses sizes that are absurd or do not fit together.
    pub(super) fn check(&self) -> Result<(), ModelConfigError> {
        check_sizes(&[
            ("embedding dims", self.dims),
            ("vocab size", self.text.vocab_size),
            ("token dims", self.token_dims()),
        ])?;
        self.vision.tower.check("vision")?;
        self.text.tower.check("text")?;
        check_most("image size", self.vision.image_size, MAX_IMAGE_SIZE)?;
        check_most("patch size", self.vision.patch_size, self.vision.image_size)?;
        check_most("text positions", self.text.max_tokens, MAX_TOKENS)
    }

    /// Values of a row of a token matrix.
    #[must_use]
    pub fn token_dims(&self) -> usize {
        self.filip.as_ref().map_or(self.dims, |filip| filip.token_dims)
    }

    /// What of the configuration decides an embedding beside the tensors; part of the id of the
    /// embedding space, so it never changes for a model that is in use.
    pub(super) fn fingerprint(&self) -> String {
        let tower = |tower: &TowerConfig| {
            format!("heads {} {} eps {:e}", tower.heads, tower.hidden_act, tower.layer_norm_eps)
        };
        format!(
            "clip image {} patch {} {} text {} {}",
            self.vision.image_size,
            self.vision.patch_size,
            tower(&self.vision.tower),
            self.text.max_tokens,
            tower(&self.text.tower)
        )
    }
}

impl VisionConfig {
    /// Patches from side to side.
    #[must_use]
    pub fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Rows of an image in the tower: the class row and the patches.
    #[must_use]
    pub fn rows(&self) -> usize {
        1 + self.grid() * self.grid()
    }
}

impl TowerConfig {
    fn check(&self, tower: &'static str) -> Result<(), ModelConfigError> {
        let named = |vision, text| if tower == "vision" { vision } else { text };
        check_sizes(&[
            (named("vision width", "text width"), self.width),
            (named("vision mlp width", "text mlp width"), self.mlp),
        ])?;
        check_most(named("vision layers", "text layers"), self.layers, MAX_LAYERS)?;
        let heads = named("vision heads", "text heads");
        check_most(heads, self.heads, self.width)?;
        if !self.width.is_multiple_of(self.heads) {
            return Err(range(heads, format!("a divisor of {}", self.width), &self.heads));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(range("layer_norm_eps", "0 to 1".to_owned(), &self.layer_norm_eps));
        }
        Ok(())
    }
}

fn check_most(field: &'static str, actual: usize, most: usize) -> Result<(), ModelConfigError> {
    if (1..=most).contains(&actual) {
        return Ok(());
    }
    Err(range(field, format!("1 to {most}"), &actual))
}

impl HiddenAct {
    fn parse(name: &str) -> Result<Self, ModelConfigError> {
        match name {
            "quick_gelu" => Ok(Self::QuickGelu),
            "gelu" => Ok(Self::Gelu),
            _ => Err(ModelConfigError::Unsupported {
                field: "hidden_act",
                actual: name.to_owned(),
                expected: "quick_gelu or gelu",
            }),
        }
    }

    pub(super) fn activation(self) -> Activation {
        match self {
            Self::QuickGelu => Activation::QuickGelu,
            Self::Gelu => Activation::Gelu,
        }
    }
}

impl fmt::Display for HiddenAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QuickGelu => "quick_gelu",
            Self::Gelu => "gelu",
        })
    }
}

/// `config.json`; what it leaves out is as in ViT-B/32.
#[derive(Deserialize)]
struct HuggingFaceConfig {
    #[serde(default = "default_projection")]
    projection_dim: usize,
    text_config: Option<HuggingFaceText>,
    text_config_dict: Option<HuggingFaceText>,
    vision_config: Option<HuggingFaceVision>,
    vision_config_dict: Option<HuggingFaceVision>,
}

fn default_projection() -> usize {
    512
}

#[derive(Deserialize)]
#[serde(default)]
struct HuggingFaceText {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    hidden_act: String,
    layer_norm_eps: f64,
}

impl Default for HuggingFaceText {
    fn default() -> Self {
        Self {
            vocab_size: 49_408,
            hidden_size: 512,
            intermediate_size: 2_048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct HuggingFaceVision {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    image_size: usize,
    patch_size: usize,
    hidden_act: String,
    layer_norm_eps: f64,
}

impl Default for HuggingFaceVision {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3_072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 224,
            patch_size: 32,
            hidden_act: "quick_gelu".to_owned(),
            layer_norm_eps: 1e-5,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_leaves_out_is_as_in_vit_b_32_and_older_fields_win() {
        let config = ClipConfig::parse(
            br#"{"model_type": "clip", "projection_dim": 768,
                 "vision_config": {"patch_size": 16}, "vision_config_dict": {"patch_size": 14},
                 "text_config": {"hidden_act": "gelu"}, "text_config_dict": null}"#,
        )
        .unwrap();
        assert_eq!((config.dims, config.vision.patch_size, config.vision.rows()), (768, 14, 257));
        assert_eq!(config.vision.tower.hidden_act, HiddenAct::QuickGelu);
        assert_eq!(config.text.tower.hidden_act, HiddenAct::Gelu);
        assert_eq!((config.text.vocab_size, config.text.max_tokens), (49_408, 77));
    }

    #[test]
    fn refusals_name_the_field() {
        let refuse = |json: &str| ClipConfig::parse(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            refuse(r#"{"model_type": "siglip"}"#),
            "model_type \"siglip\" is not supported: expected clip"
        );
        for (part, message) in [
            (r#""text_config": {"hidden_act": "relu"}"#, "hidden_act \"relu\" is not supported"),
            (r#""text_config": {"num_attention_heads": 7}"#, "text heads out of range: expected a"),
            (r#""vision_config": {"patch_size": 0}"#, "patch size out of range: expected 1 to 224"),
            (r#""vision_config": {"image_size": 100000}"#, "image size out of range"),
            (r#""projection_dim": 0"#, "embedding dims out of range"),
        ] {
            let error = refuse(&format!(r#"{{"model_type": "clip", {part}}}"#));
            assert!(error.starts_with(message), "{error}");
        }
    }
}
