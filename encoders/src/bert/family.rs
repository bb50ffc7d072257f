//! What tells the relatives of BERT apart: names, and what each of them lacks.

use crate::architecture::Head;

/// The layer from the width of ELECTRA's word table to that of its rows.
pub(super) const PROJECTION: &str = "embeddings_project";
/// MPNet's bias by distance, which all layers share.
pub(super) const DISTANCES: &str = "encoder.relative_attention_bias.weight";

/// A relative of BERT with the same arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// BERT itself.
    Bert,
    /// RoBERTa, XLM-RoBERTa, CamemBERT: positions start behind the padding token.
    Roberta,
    /// ELECTRA: a narrower table of words, projected to the rows' width.
    Electra,
    /// MPNet: as RoBERTa without types, with a bias by distance in attention.
    MpNet,
    /// DistilBERT: no types, other names.
    DistilBert,
}

/// `model_type` of every relative.
const MODEL_TYPES: [(&str, Family); 7] = [
    ("bert", Family::Bert),
    ("roberta", Family::Roberta),
    ("xlm-roberta", Family::Roberta),
    ("camembert", Family::Roberta),
    ("electra", Family::Electra),
    ("mpnet", Family::MpNet),
    ("distilbert", Family::DistilBert),
];

/// How a family names the tensors of a layer.
#[derive(Debug)]
pub(super) struct LayerNames {
    /// Before the layer's number.
    pub(super) layers: &'static str,
    pub(super) query: &'static str,
    pub(super) key: &'static str,
    pub(super) value: &'static str,
    pub(super) context: &'static str,
    pub(super) context_norm: &'static str,
    pub(super) widen: &'static str,
    pub(super) narrow: &'static str,
    pub(super) narrow_norm: &'static str,
}

impl LayerNames {
    /// The full name of a tensor's layer.
    pub(super) fn of(&self, layer: usize, name: &str) -> String {
        format!("{}.{layer}.{name}", self.layers)
    }
}

const BERT: LayerNames = LayerNames {
    layers: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    context: "attention.output.dense",
    context_norm: "attention.output.LayerNorm",
    widen: "intermediate.dense",
    narrow: "output.dense",
    narrow_norm: "output.LayerNorm",
};

impl LayerNames {
    /// Every layer by its name.
    fn parts(&self) -> [&'static str; 8] {
        let Self { query, key, value, context, context_norm, widen, narrow, narrow_norm, .. } =
            *self;
        [query, key, value, context, context_norm, widen, narrow, narrow_norm]
    }
}

const MPNET: LayerNames = LayerNames {
    query: "attention.attn.q",
    key: "attention.attn.k",
    value: "attention.attn.v",
    context: "attention.attn.o",
    context_norm: "attention.LayerNorm",
    ..BERT
};

const DISTILBERT: LayerNames = LayerNames {
    layers: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    context: "attention.out_lin",
    context_norm: "sa_layer_norm",
    widen: "ffn.lin1",
    narrow: "ffn.lin2",
    narrow_norm: "output_layer_norm",
};

/// What a layer on the first row applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadActivation {
    Tanh,
    Gelu,
    Relu,
}

/// A layer on the first row: its tensors' name, and what it applies.
pub(super) type FirstRowLayer = (&'static str, HeadActivation);

impl Family {
    /// The family of a `model_type`.
    pub(super) fn of(model_type: &str) -> Option<Self> {
        MODEL_TYPES.iter().find(|(name, _)| *name == model_type).map(|&(_, family)| family)
    }

    /// How it names the tensors of a layer.
    pub(super) fn layer_names(self) -> &'static LayerNames {
        match self {
            Self::Bert | Self::Roberta | Self::Electra => &BERT,
            Self::MpNet => &MPNET,
            Self::DistilBert => &DISTILBERT,
        }
    }

    /// How it names the tensor that BERT's own checkpoints call `name`.
    pub(super) fn own_name(self, name: &str) -> String {
        let names = self.layer_names();
        let own = || {
            let (layer, rest) =
                name.strip_prefix(BERT.layers)?.strip_prefix('.')?.split_once('.')?;
            let (part, kind) = rest.rsplit_once('.')?;
            let at = BERT.parts().iter().position(|bert| *bert == part)?;
            Some(format!("{}.{layer}.{}.{kind}", names.layers, names.parts()[at]))
        };
        own().unwrap_or_else(|| name.to_owned())
    }

    /// Whether positions start at the row behind the padding token's.
    pub(super) fn skips_padding_positions(self) -> bool {
        matches!(self, Self::Roberta | Self::MpNet)
    }

    /// Whether it has a table of token types.
    pub(super) fn has_types(self) -> bool {
        matches!(self, Self::Bert | Self::Roberta | Self::Electra)
    }

    /// Whether the second text of a pair is of another type than the first.
    pub(super) fn tells_pairs_apart(self) -> bool {
        matches!(self, Self::Bert | Self::Electra)
    }

    /// What a head puts on the first row, if there is such a layer.
    pub(super) fn first_row_layer(self, head: Head) -> Option<FirstRowLayer> {
        let layer = match (head, self) {
            (Head::None, _) | (Head::Pooler, Self::Electra | Self::DistilBert) => return None,
            (Head::Pooler, Self::Bert | Self::Roberta | Self::MpNet)
            | (Head::Classifier, Self::Bert) => ("pooler.dense", HeadActivation::Tanh),
            (Head::Classifier, Self::Roberta | Self::MpNet) => {
                ("classifier.dense", HeadActivation::Tanh)
            }
            (Head::Classifier, Self::Electra) => ("classifier.dense", HeadActivation::Gelu),
            (Head::Classifier, Self::DistilBert) => ("pre_classifier", HeadActivation::Relu),
        };
        Some(layer)
    }

    /// The layer that gives labels.
    pub(super) fn label_layer(self) -> &'static str {
        match self {
            Self::Bert | Self::DistilBert => "classifier",
            Self::Roberta | Self::MpNet | Self::Electra => "classifier.out_proj",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_every_family_are_found_by_the_names_of_bert() {
        let name = "encoder.layer.3.attention.output.LayerNorm.bias";
        assert_eq!(Family::Roberta.own_name(name), name);
        assert_eq!(Family::MpNet.own_name(name), "encoder.layer.3.attention.LayerNorm.bias");
        assert_eq!(Family::DistilBert.own_name(name), "transformer.layer.3.sa_layer_norm.bias");
        let table = "embeddings.word_embeddings.weight";
        assert_eq!(Family::DistilBert.own_name(table), table);
    }
}
