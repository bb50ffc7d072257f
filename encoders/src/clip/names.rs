//! How checkpoints name the tensors of a CLIP model.

use super::config::{ClipConfig, TowerConfig};
use crate::weights::{TensorSpec, Tensors};

/// Whose names a checkpoint has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `CLIPModel` of transformers.
    HuggingFace,
    /// OpenAI's own, which open_clip has too.
    OpenAi,
    /// DeCLIP's, for FILIP: as OpenAI's, with the text tower under `encode_text`.
    DeClip,
}

/// The names of a dialect.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) patches: &'static str,
    pub(super) class: &'static str,
    pub(super) image_positions: &'static str,
    pub(super) first_norm: &'static str,
    pub(super) image_blocks: &'static str,
    pub(super) image_norm: &'static str,
    pub(super) image_projection: ProjectionNames,
    pub(super) words: &'static str,
    pub(super) text_positions: &'static str,
    pub(super) text_blocks: &'static str,
    pub(super) text_norm: &'static str,
    pub(super) text_projection: ProjectionNames,
    pub(super) block: &'static BlockNames,
}

/// The tensors of a projection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProjectionNames {
    pub(super) weight: &'static str,
    pub(super) bias: Option<&'static str>,
    /// Whether the weight is `[inputs, outputs]`.
    pub(super) transposed: bool,
}

/// The layers of a block, below its number.
#[derive(Debug)]
pub(super) struct BlockNames {
    /// One stacked layer, or three.
    pub(super) qkv: &'static [&'static str],
    pub(super) output: &'static str,
    pub(super) attention_norm: &'static str,
    pub(super) mlp_norm: &'static str,
    pub(super) widen: &'static str,
    pub(super) narrow: &'static str,
}

pub(super) const LOGIT_SCALE: &str = "logit_scale";
/// What the similarities of FILIP's tokens are scaled by.
pub(super) const TOKEN_SCALE: &str = "logit_scale_dense";
pub(super) const IMAGE_TOKENS: ProjectionNames = ProjectionNames {
    weight: "image_mapping.weight",
    bias: Some("image_mapping.bias"),
    transposed: false,
};
pub(super) const TEXT_TOKENS: ProjectionNames = ProjectionNames {
    weight: "text_mapping.weight",
    bias: Some("text_mapping.bias"),
    transposed: false,
};

const HUGGING_FACE_BLOCK: BlockNames = BlockNames {
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    output: "self_attn.out_proj",
    attention_norm: "layer_norm1",
    mlp_norm: "layer_norm2",
    widen: "mlp.fc1",
    narrow: "mlp.fc2",
};

const OPEN_AI_BLOCK: BlockNames = BlockNames {
    qkv: &["attn.in_proj"],
    output: "attn.out_proj",
    attention_norm: "ln_1",
    mlp_norm: "ln_2",
    widen: "mlp.c_fc",
    narrow: "mlp.c_proj",
};

const HUGGING_FACE: Names = Names {
    patches: "vision_model.embeddings.patch_embedding.weight",
    class: "vision_model.embeddings.class_embedding",
    image_positions: "vision_model.embeddings.position_embedding.weight",
    first_norm: "vision_model.pre_layrnorm",
    image_blocks: "vision_model.encoder.layers",
    image_norm: "vision_model.post_layernorm",
    image_projection: ProjectionNames {
        weight: "visual_projection.weight",
        bias: None,
        transposed: false,
    },
    words: "text_model.embeddings.token_embedding.weight",
    text_positions: "text_model.embeddings.position_embedding.weight",
    text_blocks: "text_model.encoder.layers",
    text_norm: "text_model.final_layer_norm",
    text_projection: ProjectionNames {
        weight: "text_projection.weight",
        bias: None,
        transposed: false,
    },
    block: &HUGGING_FACE_BLOCK,
};

const OPEN_AI: Names = Names {
    patches: "visual.conv1.weight",
    class: "visual.class_embedding",
    image_positions: "visual.positional_embedding",
    first_norm: "visual.ln_pre",
    image_blocks: "visual.transformer.resblocks",
    image_norm: "visual.ln_post",
    image_projection: ProjectionNames { weight: "visual.proj", bias: None, transposed: true },
    words: "token_embedding.weight",
    text_positions: "positional_embedding",
    text_blocks: "transformer.resblocks",
    text_norm: "ln_final",
    text_projection: ProjectionNames { weight: "text_projection", bias: None, transposed: true },
    block: &OPEN_AI_BLOCK,
};

const DE_CLIP: Names = Names {
    words: "encode_text.token_embedding.weight",
    text_positions: "encode_text.positional_embedding",
    text_blocks: "encode_text.transformer.resblocks",
    text_norm: "encode_text.ln_final",
    text_projection: ProjectionNames {
        weight: "encode_text.text_projection.weight",
        bias: Some("encode_text.text_projection.bias"),
        transposed: false,
    },
    ..OPEN_AI
};

/// What checkpoints hold beside weights: tables of positions, masks, and sizes as tensors.
const NO_WEIGHTS: [&str; 5] =
    ["position_ids", "attn_mask", "input_resolution", "context_length", "vocab_size"];

/// Whether a tensor says nothing that the configuration does not.
pub(super) fn is_no_weight(name: &str) -> bool {
    NO_WEIGHTS.contains(&name.rsplit('.').next().unwrap_or(name))
}

impl Dialect {
    /// Whose names the tensors have. Those that nobody has are found missing as Hugging Face's.
    pub(super) fn of(tensors: &Tensors<'_>) -> Self {
        if tensors.has(DE_CLIP.words) {
            Self::DeClip
        } else if tensors.has(OPEN_AI.words) || tensors.has(OPEN_AI.patches) {
            Self::OpenAi
        } else {
            Self::HuggingFace
        }
    }

    /// Its names.
    pub(super) fn names(self) -> &'static Names {
        match self {
            Self::HuggingFace => &HUGGING_FACE,
            Self::OpenAi => &OPEN_AI,
            Self::DeClip => &DE_CLIP,
        }
    }

    /// The tensors of a model.
    pub(super) fn tensors(self, config: &ClipConfig) -> Vec<TensorSpec> {
        let names = self.names();
        let (vision, text) = (&config.vision, &config.text);
        let mut specs = Specs::default();
        let patch = vision.patch_size;
        specs.add(names.patches, &[vision.tower.width, 3, patch, patch]);
        specs.add(names.class, &[vision.tower.width]);
        specs.add(names.image_positions, &[vision.rows(), vision.tower.width]);
        specs.norm(names.first_norm, vision.tower.width);
        specs.blocks(names.image_blocks, names.block, &vision.tower);
        specs.norm(names.image_norm, vision.tower.width);
        specs.projection(names.image_projection, vision.tower.width, config.dims);
        specs.add(names.words, &[text.vocab_size, text.tower.width]);
        specs.add(names.text_positions, &[text.max_tokens, text.tower.width]);
        specs.blocks(names.text_blocks, names.block, &text.tower);
        specs.norm(names.text_norm, text.tower.width);
        specs.projection(names.text_projection, text.tower.width, config.dims);
        if let Some(filip) = &config.filip {
            specs.projection(IMAGE_TOKENS, vision.tower.width, filip.token_dims);
            specs.projection(TEXT_TOKENS, text.tower.width, filip.token_dims);
        }
        specs.0
    }
}

#[derive(Default)]
struct Specs(Vec<TensorSpec>);

impl Specs {
    fn add(&mut self, name: impl Into<String>, shape: &[usize]) {
        self.0.push(TensorSpec { name: name.into(), shape: shape.to_vec() });
    }

    fn norm(&mut self, name: &str, width: usize) {
        self.add(format!("{name}.weight"), &[width]);
        self.add(format!("{name}.bias"), &[width]);
    }

    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.add(format!("{name}.weight"), &[outputs, inputs]);
        self.add(format!("{name}.bias"), &[outputs]);
    }

    fn projection(&mut self, names: ProjectionNames, inputs: usize, outputs: usize) {
        let shape = if names.transposed { [inputs, outputs] } else { [outputs, inputs] };
        self.add(names.weight, &shape);
        if let Some(bias) = names.bias {
            self.add(bias, &[outputs]);
        }
    }

    fn blocks(&mut self, blocks: &str, names: &BlockNames, tower: &TowerConfig) {
        let width = tower.width;
        for index in 0..tower.layers {
            let name = |part: &str| format!("{blocks}.{index}.{part}");
            self.norm(&name(names.attention_norm), width);
            for part in names.qkv {
                self.linear(&name(part), width, 3 * width / names.qkv.len());
            }
            self.linear(&name(names.output), width, width);
            self.norm(&name(names.mlp_norm), width);
            self.linear(&name(names.widen), width, tower.mlp);
            self.linear(&name(names.narrow), tower.mlp, width);
        }
    }
}
