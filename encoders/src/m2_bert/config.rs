//! `config.json` of an M2-BERT model.

use serde::Deserialize;
use serde_json::Value;

use super::pad::PadPolicy;
use crate::architecture::{Head, ModelConfigError, check_sizes, range};
use crate::weights::TensorSpec;

/// More than any published model has; a file that claims more is damaged.
const MAX_LAYERS: usize = 1_024;
const MAX_SMALL: usize = 1 << 12;

/// The shape of an M2-BERT model, as its `config.json` gives it. Fields that do not change what the
/// model computes are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct M2BertConfig {
    /// Rows of the word table.
    pub vocab_size: usize,
    /// Values of one token's row: the channels of the convolutions.
    pub hidden_size: usize,
    /// How many layers.
    pub num_hidden_layers: usize,
    /// Width between the two block-diagonal layers, after the gate.
    pub intermediate_size: usize,
    /// Rows of the position table.
    pub max_position_embeddings: usize,
    /// The longest filter. Default: `max_position_embeddings`.
    #[serde(default)]
    pub long_conv_l_max: Option<usize>,
    /// Rows of the token type table; the first is added to every token. Default: 2.
    #[serde(default = "defaults::two")]
    pub type_vocab_size: usize,
    /// The token texts are padded with. Default: 0.
    #[serde(default)]
    pub pad_token_id: u32,
    /// Added to the variance in layer norms. Default: 1e-12.
    #[serde(default = "defaults::eps")]
    pub layer_norm_eps: f64,
    /// Values that describe a position to a filter. Default: 5.
    #[serde(default = "defaults::emb_dim")]
    pub hyena_emb_dim: usize,
    /// Width of a filter's hidden layers. Default: 128.
    #[serde(default = "defaults::filter_order")]
    pub hyena_filter_order: usize,
    /// Blocks of the feed-forward weights. Default: 4.
    #[serde(default = "defaults::blocks")]
    pub monarch_mlp_nblocks: usize,
}

mod defaults {
    pub(super) fn two() -> usize {
        2
    }

    pub(super) fn eps() -> f64 {
        1e-12
    }

    pub(super) fn emb_dim() -> usize {
        5
    }

    pub(super) fn filter_order() -> usize {
        128
    }

    pub(super) fn blocks() -> usize {
        4
    }
}

impl M2BertConfig {
    /// What newer files call the family.
    pub(crate) const MODEL_TYPE: &str = "m2_bert";

    /// Whether the text of a `config.json` is that of an M2-BERT model: its `model_type` says so, or
    /// (older files say `bert`) it has a `long_conv_l_max`.
    #[must_use]
    pub fn recognizes(json: &[u8]) -> bool {
        let Ok(Value::Object(fields)) = serde_json::from_slice(json) else { return false };
        let model_type = fields.get("model_type").and_then(Value::as_str);
        model_type == Some(Self::MODEL_TYPE) || fields.contains_key("long_conv_l_max")
    }

    /// Reads and checks the text of a `config.json`.
    ///
    /// # Errors
    ///
    /// [`ModelConfigError`] for text that is not such a file, sizes that do not fit together, and
    /// switches of the architecture that are set otherwise than in the published models.
    pub fn parse(json: &[u8]) -> Result<Self, ModelConfigError> {
        check_switches(&serde_json::from_slice(json)?)?;
        let config: Self = serde_json::from_slice(json)?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ModelConfigError> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("long_conv_l_max", self.filter_length()),
            ("type_vocab_size", self.type_vocab_size),
            ("hyena_emb_dim", self.hyena_emb_dim),
            ("hyena_filter_order", self.hyena_filter_order),
            ("monarch_mlp_nblocks", self.monarch_mlp_nblocks),
        ])?;
        for (field, actual, most) in [
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("hyena_emb_dim", self.hyena_emb_dim, MAX_SMALL),
            ("hyena_filter_order", self.hyena_filter_order, MAX_SMALL),
            ("monarch_mlp_nblocks", self.monarch_mlp_nblocks, MAX_SMALL),
        ] {
            if actual > most {
                return Err(range(field, format!("1 to {most}"), &actual));
            }
        }
        let divided =
            [("hidden_size", self.hidden_size), ("intermediate_size", self.intermediate_size)];
        for (field, actual) in divided {
            if !actual.is_multiple_of(self.monarch_mlp_nblocks) {
                let blocks = self.monarch_mlp_nblocks;
                let expected = format!("a multiple of monarch_mlp_nblocks {blocks}");
                return Err(range(field, expected, &actual));
            }
        }
        if self.pad_token_id as usize >= self.vocab_size {
            let expected = format!("below vocab_size {}", self.vocab_size);
            return Err(range("pad_token_id", expected, &self.pad_token_id));
        }
        if !(0.0..1.0).contains(&self.layer_norm_eps) {
            return Err(range("layer_norm_eps", "0 to 1".to_owned(), &self.layer_norm_eps));
        }
        Ok(())
    }

    fn filter_length(&self) -> usize {
        self.long_conv_l_max.unwrap_or(self.max_position_embeddings)
    }

    /// The most tokens of a text.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_position_embeddings.min(self.filter_length())
    }

    /// The tensors of the model with a head.
    pub(crate) fn tensors(&self, head: Head) -> Vec<TensorSpec> {
        let hidden = self.hidden_size;
        let mut specs = vec![
            spec("embeddings.word_embeddings.weight", &[self.vocab_size, hidden]),
            spec("embeddings.position_embeddings.weight", &[self.max_position_embeddings, hidden]),
            spec("embeddings.token_type_embeddings.weight", &[self.type_vocab_size, hidden]),
        ];
        specs.extend(pair("embeddings.LayerNorm", &[hidden]));
        for layer in 0..self.num_hidden_layers {
            let named = |name: &str| format!("encoder.layer.{layer}.{name}");
            specs.extend(pair(&named("attention.in_linear"), &[3 * hidden, hidden]));
            specs.extend(pair(&named("attention.short_filter"), &[3 * hidden, 1, 3]));
            specs.extend(pair(&named("attention.out_linear"), &[hidden, hidden]));
            for filter in ["filter_fn", "filter_fn2"] {
                specs.extend(self.filter_tensors(&named(&format!("attention.{filter}"))));
            }
            let (blocks, wide) = (self.monarch_mlp_nblocks, self.intermediate_size);
            specs.extend([
                spec(
                    &named("mlp.gated_layers.weight"),
                    &[blocks, 2 * wide / blocks, hidden / blocks],
                ),
                spec(&named("mlp.wo.weight"), &[blocks, hidden / blocks, wide / blocks]),
                spec(&named("mlp.wo.bias"), &[hidden]),
            ]);
            specs.extend(pair(&named("mlp.layernorm"), &[hidden]));
        }
        if head != Head::None {
            specs.extend(pair("pooler.dense", &[hidden, hidden]));
        }
        specs
    }

    fn filter_tensors(&self, filter: &str) -> Vec<TensorSpec> {
        let (hidden, order, length) =
            (self.hidden_size, self.hyena_filter_order, self.filter_length());
        let mut specs = vec![
            spec(&format!("{filter}.bias"), &[hidden]),
            spec(&format!("{filter}.pos_emb.z"), &[1, length, self.hyena_emb_dim]),
            spec(&format!("{filter}.pos_emb.t"), &[1, length, 1]),
            spec(&format!("{filter}.modulation.deltas"), &[1, 1, hidden]),
        ];
        for net in ["implicit_filter", "implicit_filter_rev"] {
            let named = |part: &str| format!("{filter}.{net}.{part}");
            specs.extend(pair(&named("0"), &[order, self.hyena_emb_dim]));
            specs.extend(pair(&named("2"), &[order, order]));
            specs.extend(pair(&named("4"), &[order, order]));
            specs
                .extend(["1", "3", "5"].map(|at| spec(&named(&format!("{at}.freq")), &[1, order])));
            specs.push(spec(&named("6.weight"), &[hidden, order]));
        }
        specs
    }

    /// Refuses heads the family has not.
    pub(crate) fn check_head(&self, head: Head) -> Result<(), ModelConfigError> {
        if head == Head::Classifier {
            return Err(ModelConfigError::Unsupported {
                field: "model_type",
                actual: Self::MODEL_TYPE.to_owned(),
                expected: "a family with cross-encoders",
            });
        }
        Ok(())
    }

    /// What decides an embedding beside the tensors.
    pub(crate) fn fingerprint(&self, pad_policy: PadPolicy) -> String {
        format!(
            "model {:?} eps {:e} blocks {} pad {} {pad_policy}",
            Self::MODEL_TYPE,
            self.layer_norm_eps,
            self.monarch_mlp_nblocks,
            self.pad_token_id,
        )
    }
}

/// Refuses architectures that other switches of the same code make: a file may leave a switch out,
/// then the published models' setting is meant.
fn check_switches(config: &Value) -> Result<(), ModelConfigError> {
    let expected = [
        ("bidirectional", Value::from(true), "true"),
        ("residual_long_conv", Value::from(true), "true"),
        ("use_glu_mlp", Value::from(true), "true"),
        ("use_monarch_mlp", Value::from(true), "true"),
        ("use_positional_encodings", Value::from(true), "true"),
        ("hyena_training_additions", Value::from(false), "false"),
        ("pool_all", Value::from(false), "false"),
        ("hyena_w_mod", Value::from(1), "1"),
        ("hidden_act", Value::from("gelu"), "gelu"),
    ];
    for (field, value, expected) in expected {
        let Some(actual) = config.get(field).filter(|actual| !actual.is_null()) else { continue };
        let same_number = value.as_f64().is_some_and(|number| actual.as_f64() == Some(number));
        if *actual != value && !same_number {
            let actual = actual.as_str().map_or_else(|| actual.to_string(), str::to_owned);
            return Err(ModelConfigError::Unsupported { field, actual, expected });
        }
    }
    Ok(())
}

fn spec(name: &str, shape: &[usize]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), shape: shape.to_vec() }
}

/// A weight and the bias that goes with it.
fn pair(name: &str, shape: &[usize]) -> [TensorSpec; 2] {
    [spec(&format!("{name}.weight"), shape), spec(&format!("{name}.bias"), &shape[..1])]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(field: &str, value: Value) -> Result<M2BertConfig, String> {
        let mut config = json!({
            "model_type": "m2_bert", "vocab_size": 30, "hidden_size": 12, "num_hidden_layers": 2,
            "intermediate_size": 24, "max_position_embeddings": 10, "an_unknown_field": true,
        });
        config[field] = value;
        M2BertConfig::parse(config.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_model_is_known_by_its_type_or_its_long_filters() {
        let known = |json: Value| M2BertConfig::recognizes(json.to_string().as_bytes());
        assert!(known(json!({"model_type": "m2_bert"})));
        assert!(known(json!({"model_type": "bert", "long_conv_l_max": 2048})));
        assert!(!known(json!({"model_type": "bert"})));
        assert!(!M2BertConfig::recognizes(b"[1]") && !M2BertConfig::recognizes(b"{"));
    }

    #[test]
    fn the_published_shape_has_716_tensors_of_82_million_values() {
        let mut config = with("hidden_size", json!(768)).unwrap();
        config.vocab_size = 30_528;
        config.num_hidden_layers = 12;
        config.intermediate_size = 3_072;
        config.max_position_embeddings = 2_048;
        let specs = config.tensors(Head::Pooler);
        // The files also hold position ids, which nothing reads.
        assert_eq!(specs.len() + 1, 716);
        let values: usize = specs.iter().map(|spec| spec.shape.iter().product::<usize>()).sum();
        assert_eq!(values + 2_048, 82_025_216);
    }

    #[test]
    fn refusals_name_the_field() {
        for (field, value, message) in [
            ("hidden_act", json!("relu"), "hidden_act \"relu\" is not supported: expected gelu"),
            (
                "bidirectional",
                json!(false),
                "bidirectional \"false\" is not supported: expected true",
            ),
            ("hyena_w_mod", json!(2), "hyena_w_mod \"2\" is not supported: expected 1"),
            ("pool_all", json!(true), "pool_all \"true\" is not supported: expected false"),
            ("hidden_size", json!(13), "hidden_size out of range: expected a multiple of"),
            ("intermediate_size", json!(0), "intermediate_size out of range: expected 1 to"),
            ("monarch_mlp_nblocks", json!(0), "monarch_mlp_nblocks out of range"),
            ("long_conv_l_max", json!(0), "long_conv_l_max out of range"),
            ("pad_token_id", json!(30), "pad_token_id out of range: expected below vocab_size 30"),
            ("layer_norm_eps", json!(-1.0), "layer_norm_eps out of range"),
            ("vocab_size", json!(-1), "parse model configuration"),
        ] {
            let error = with(field, value).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
        assert!(with("hyena_w_mod", json!(1.0)).is_ok());
        assert_eq!(with("long_conv_l_max", json!(8)).unwrap().max_tokens(), 8);
    }
}
