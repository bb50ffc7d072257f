//! `open_clip_config.json`, which says the shape of a model in open_clip's words.
//!
//! A FILIP model has an object `filip` beside `model_cfg` ([`FilipConfig`]): its checkpoints come
//! without a configuration, so this one is written by hand.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::{ClipConfig, ClipTextConfig, HiddenAct, TowerConfig, VisionConfig};
use crate::architecture::ModelConfigError;
use crate::filip::FilipConfig;

/// Fields that change what a model computes and are not implemented, with the value that leaves
/// it as it is.
const VISION_OPTIONS: [(&str, Value); 9] = [
    ("timm_model_name", Value::Null),
    ("ls_init_value", Value::Null),
    ("attentional_pool", Value::Bool(false)),
    ("attn_pooler_queries", Value::Null),
    ("no_ln_pre", Value::Bool(false)),
    ("input_patchnorm", Value::Bool(false)),
    ("global_average_pool", Value::Bool(false)),
    ("final_ln_after_pool", Value::Bool(false)),
    ("act_kwargs", Value::Null),
];
const TEXT_OPTIONS: [(&str, Value); 6] = [
    ("hf_model_name", Value::Null),
    ("ls_init_value", Value::Null),
    ("embed_cls", Value::Bool(false)),
    ("no_causal_mask", Value::Bool(false)),
    ("final_ln_after_pool", Value::Bool(false)),
    ("act_kwargs", Value::Null),
];

#[derive(Deserialize)]
struct File {
    model_cfg: Model,
    filip: Option<FilipConfig>,
}

#[derive(Deserialize)]
struct Model {
    embed_dim: usize,
    #[serde(default)]
    quick_gelu: bool,
    vision_cfg: Vision,
    text_cfg: Text,
}

#[derive(Deserialize)]
struct Vision {
    #[serde(default = "default_image_size")]
    image_size: usize,
    #[serde(default = "default_layers")]
    layers: Value,
    #[serde(default = "default_vision_width")]
    width: usize,
    #[serde(default = "default_head_width")]
    head_width: usize,
    #[serde(default = "default_patch_size")]
    patch_size: usize,
    #[serde(default = "default_ratio")]
    mlp_ratio: f64,
    #[serde(flatten)]
    options: Map<String, Value>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default = "default_context")]
    context_length: usize,
    #[serde(default = "default_vocabulary")]
    vocab_size: usize,
    #[serde(default = "default_text_width")]
    width: usize,
    #[serde(default = "default_heads")]
    heads: usize,
    #[serde(default = "default_text_layers")]
    layers: usize,
    #[serde(default = "default_ratio")]
    mlp_ratio: f64,
    #[serde(flatten)]
    options: Map<String, Value>,
}

fn default_image_size() -> usize {
    224
}
fn default_layers() -> Value {
    Value::from(12)
}
fn default_vision_width() -> usize {
    768
}
fn default_head_width() -> usize {
    64
}
fn default_patch_size() -> usize {
    16
}
fn default_ratio() -> f64 {
    4.0
}
fn default_context() -> usize {
    77
}
fn default_vocabulary() -> usize {
    49_408
}
fn default_text_width() -> usize {
    512
}
fn default_heads() -> usize {
    8
}
fn default_text_layers() -> usize {
    12
}

impl ClipConfig {
    /// Reads and checks the text of an `open_clip_config.json`.
    ///
    /// # Errors
    ///
    /// [`ModelConfigError`] for text that is not such a file, for models that are no plain CLIP with
    /// vision transformer, and for sizes that do not fit together.
    pub fn parse_open_clip(json: &[u8]) -> Result<Self, ModelConfigError> {
        let File { model_cfg: model, filip } = serde_json::from_slice(json)?;
        let (vision, text) = (model.vision_cfg, model.text_cfg);
        refuse_options(&vision.options, &VISION_OPTIONS)?;
        refuse_options(&text.options, &TEXT_OPTIONS)?;
        let layers = vision.layers.as_u64().ok_or_else(|| ModelConfigError::Unsupported {
            field: "vision_cfg.layers",
            actual: vision.layers.to_string(),
            expected: "the number of layers of a vision transformer",
        })?;
        let hidden_act = if model.quick_gelu { HiddenAct::QuickGelu } else { HiddenAct::Gelu };
        let layer_norm_eps = 1e-5;
        // Casts of ratios and sizes saturate, and what is absurd is refused below.
        let wide = |width: usize, ratio: f64| (width as f64 * ratio) as usize;
        let config = Self {
            dims: model.embed_dim,
            vision: VisionConfig {
                image_size: vision.image_size,
                patch_size: vision.patch_size,
                tower: TowerConfig {
                    width: vision.width,
                    layers: usize::try_from(layers).unwrap_or(usize::MAX),
                    heads: vision.width / vision.head_width.max(1),
                    mlp: wide(vision.width, vision.mlp_ratio),
                    hidden_act,
                    layer_norm_eps,
                },
            },
            text: ClipTextConfig {
                vocab_size: text.vocab_size,
                max_tokens: text.context_length,
                tower: TowerConfig {
                    width: text.width,
                    layers: text.layers,
                    heads: text.heads,
                    mlp: wide(text.width, text.mlp_ratio),
                    hidden_act,
                    layer_norm_eps,
                },
            },
            filip,
        };
        config.check()?;
        Ok(config)
    }
}

/// Refuses the first option that would change what the model computes.
fn refuse_options(
    options: &Map<String, Value>,
    known: &[(&'static str, Value)],
) -> Result<(), ModelConfigError> {
    for &(field, ref harmless) in known {
        let refused = options.get(field).filter(|value| !value.is_null() && *value != harmless);
        if let Some(value) = refused {
            let actual = value.to_string();
            let expected = "a plain CLIP with vision transformer";
            return Err(ModelConfigError::Unsupported { field, actual, expected });
        }
    }
    let pooling = options.get("pool_type").and_then(Value::as_str);
    if let Some(actual) = pooling.filter(|pooling| !["tok", "argmax", "eos"].contains(pooling)) {
        let (field, actual) = ("pool_type", actual.to_owned());
        return Err(ModelConfigError::Unsupported {
            field,
            actual,
            expected: "tok, argmax or eos",
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(vision: &str, text: &str, rest: &str) -> Result<ClipConfig, String> {
        let json = format!(
            r#"{{"model_cfg": {{"embed_dim": 512, "vision_cfg": {{"width": 768{vision}}},
                "text_cfg": {{"width": 512{text}}}}}{rest}}}"#
        );
        ClipConfig::parse_open_clip(json.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn heads_follow_from_their_width_and_gelu_is_exact_unless_said_otherwise() {
        let config = parse(r#", "patch_size": 32, "head_width": 48"#, "", "").unwrap();
        assert_eq!((config.vision.tower.heads, config.vision.tower.mlp), (16, 3_072));
        assert_eq!(config.text.tower.hidden_act, HiddenAct::Gelu);
        assert!(config.filip.is_none());
        let filip = parse("", "", r#", "filip": {"token_dims": 256, "mask_padding": false}"#);
        assert_eq!(filip.unwrap().token_dims(), 256);
    }

    #[test]
    fn what_is_no_plain_clip_is_refused_by_name() {
        let refuse = |vision: &str, text: &str| parse(vision, text, "").unwrap_err();
        for (error, message) in [
            (refuse(r#", "layers": [3, 4, 6, 3]"#, ""), "vision_cfg.layers \"[3,4,6,3]\" is not"),
            (refuse(r#", "timm_model_name": "convnext""#, ""), "timm_model_name"),
            (refuse("", r#", "no_causal_mask": true"#), "no_causal_mask \"true\" is not supported"),
            (refuse(r#", "head_width": 1000"#, ""), "vision heads out of range"),
            (refuse(r#", "pool_type": "avg""#, ""), "pool_type \"avg\" is not supported"),
            (refuse(r#", "mlp_ratio": 1e300"#, ""), "vision mlp width out of range"),
        ] {
            assert!(error.contains(message), "{error}");
        }
        assert!(parse(r#", "attentional_pool": false, "ls_init_value": null"#, "", "").is_ok());
    }
}
