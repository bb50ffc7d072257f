//! `config.json` of a BERT-family model.

use serde::Deserialize;

use super::family::{self, Family};
use crate::architecture::{Head, ModelConfigError, check_sizes, range};
use crate::nn::{Activation, BUCKETS};
use crate::weights::TensorSpec;

/// More than any published model of the family has; a file that claims more is damaged.
const MAX_POSITIONS: usize = 1 << 24;
const MAX_LAYERS: usize = 1_024;
/// What ELECTRA's word table is wide where the file does not say.
const ELECTRA_EMBEDDING: usize = 128;

/// The shape of a BERT-family model, as its `config.json` gives it. Fields that do not change what
/// the model computes are ignored.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BertConfig {
    /// `bert`, or one of its relatives. Default: `bert`.
    #[serde(default = "bert")]
    pub model_type: String,
    /// Rows of the word table.
    pub vocab_size: usize,
    /// Values of one token's row; `dim` in DistilBERT.
    #[serde(alias = "dim")]
    pub hidden_size: usize,
    /// How many layers; `n_layers` in DistilBERT.
    #[serde(alias = "n_layers")]
    pub num_hidden_layers: usize,
    /// Heads of each attention; `n_heads` in DistilBERT.
    #[serde(alias = "n_heads")]
    pub num_attention_heads: usize,
    /// Width between the two feed-forward layers; `hidden_dim` in DistilBERT.
    #[serde(alias = "hidden_dim")]
    pub intermediate_size: usize,
    /// Rows of the position table; RoBERTa leaves the first `pad_token_id + 1` unused.
    pub max_position_embeddings: usize,
    /// Rows of the token type table, in families that have one. Default: 2.
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    /// Values of a row of the word table, in ELECTRA. Default: 128 there.
    #[serde(default)]
    pub embedding_size: Option<usize>,
    /// Added to the variance in layer norms. Default: 1e-12.
    #[serde(default = "default_eps")]
    pub layer_norm_eps: f64,
    /// `gelu`, `gelu_new` or `relu`; `activation` in DistilBERT. Default: `gelu`.
    #[serde(default = "default_act", alias = "activation")]
    pub hidden_act: String,
    /// The padding token, which RoBERTa and MPNet count positions from. Default: 0 in BERT, 1 there.
    #[serde(default)]
    pub pad_token_id: Option<usize>,
    /// Only `absolute` is supported. Default: `absolute`.
    #[serde(default = "default_positions")]
    pub position_embedding_type: String,
    /// Buckets of distances in MPNet's attention; only 32 are supported. Default: 32.
    #[serde(default = "default_buckets")]
    pub relative_attention_num_buckets: usize,
}

fn bert() -> String {
    "bert".to_owned()
}

fn two() -> usize {
    2
}

fn default_eps() -> f64 {
    1e-12
}

fn default_act() -> String {
    "gelu".to_owned()
}

fn default_positions() -> String {
    "absolute".to_owned()
}

fn default_buckets() -> usize {
    BUCKETS
}

impl BertConfig {
    /// Whether a `model_type` is of this family.
    pub(crate) fn knows(model_type: &str) -> bool {
        Family::of(model_type).is_some()
    }

    /// Reads and checks the text of a `config.json`.
    ///
    /// # Errors
    ///
    /// [`ModelConfigError`] for text that is not such a file, or sizes that do not fit together.
    pub fn parse(json: &[u8]) -> Result<Self, ModelConfigError> {
        let config: Self = serde_json::from_slice(json)?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ModelConfigError> {
        check_sizes(&[
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("type_vocab_size", self.type_vocab_size),
            ("embedding_size", self.embedding_size()),
        ])?;
        if self.num_hidden_layers > MAX_LAYERS {
            let expected = format!("1 to {MAX_LAYERS}");
            return Err(range("num_hidden_layers", expected, &self.num_hidden_layers));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format!("a divisor of hidden_size {}", self.hidden_size);
            return Err(range("num_attention_heads", expected, &self.num_attention_heads));
        }
        if !(self.position_offset() + 1..=MAX_POSITIONS).contains(&self.max_position_embeddings) {
            let expected = format!("{} to {MAX_POSITIONS}", self.position_offset() + 1);
            return Err(range("max_position_embeddings", expected, &self.max_position_embeddings));
        }
        if !(0.0..1.0).contains(&self.layer_norm_eps) {
            let expected = "0 to 1".to_owned();
            return Err(range("layer_norm_eps", expected, &self.layer_norm_eps));
        }
        if self.position_embedding_type != "absolute" {
            return Err(ModelConfigError::Unsupported {
                field: "position_embedding_type",
                actual: self.position_embedding_type.clone(),
                expected: "absolute",
            });
        }
        if self.relative_attention_num_buckets != BUCKETS {
            let actual = &self.relative_attention_num_buckets;
            return Err(range("relative_attention_num_buckets", BUCKETS.to_string(), actual));
        }
        self.activation().map(|_| ())
    }

    /// Which relative of BERT it is.
    pub(super) fn family(&self) -> Family {
        // Parsing has refused every other name.
        Family::of(&self.model_type).unwrap_or(Family::Bert)
    }

    /// Values of a row of the word table.
    pub(super) fn embedding_size(&self) -> usize {
        match self.family() {
            Family::Electra => self.embedding_size.unwrap_or(ELECTRA_EMBEDDING),
            Family::Bert | Family::Roberta | Family::MpNet | Family::DistilBert => self.hidden_size,
        }
    }

    /// Types the texts of a pair may have; 1 if the model does not tell them apart.
    pub(crate) fn pair_types(&self) -> usize {
        if self.family().tells_pairs_apart() { self.type_vocab_size } else { 1 }
    }

    pub(crate) fn activation(&self) -> Result<Activation, ModelConfigError> {
        match self.hidden_act.as_str() {
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            "relu" => Ok(Activation::Relu),
            other => Err(ModelConfigError::Unsupported {
                field: "hidden_act",
                actual: other.to_owned(),
                expected: "gelu, gelu_new or relu",
            }),
        }
    }

    /// The row of the position table the first token uses.
    pub(crate) fn position_offset(&self) -> usize {
        if self.family().skips_padding_positions() {
            self.pad_token_id.unwrap_or(1).saturating_add(1)
        } else {
            0
        }
    }

    /// The most tokens of a text.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_position_embeddings - self.position_offset()
    }

    /// The tensors of the model with a head.
    pub(crate) fn tensors(&self, head: Head) -> Vec<TensorSpec> {
        let (hidden, wide, narrow) =
            (self.hidden_size, self.intermediate_size, self.embedding_size());
        let (family, names) = (self.family(), self.family().layer_names());
        let positions = [self.max_position_embeddings, narrow];
        let mut specs = vec![
            spec("embeddings.word_embeddings.weight", &[self.vocab_size, narrow]),
            spec("embeddings.position_embeddings.weight", &positions),
        ];
        if family.has_types() {
            let types = [self.type_vocab_size, narrow];
            specs.push(spec("embeddings.token_type_embeddings.weight", &types));
        }
        specs.extend(pair("embeddings.LayerNorm", &[narrow]));
        if narrow != hidden {
            specs.extend(pair(family::PROJECTION, &[hidden, narrow]));
        }
        if family == Family::MpNet {
            specs.push(spec(family::DISTANCES, &[BUCKETS, self.num_attention_heads]));
        }
        for layer in 0..self.num_hidden_layers {
            let named = |name: &str| names.of(layer, name);
            for part in [names.query, names.key, names.value, names.context] {
                specs.extend(pair(&named(part), &[hidden, hidden]));
            }
            specs.extend(pair(&named(names.context_norm), &[hidden]));
            specs.extend(pair(&named(names.widen), &[wide, hidden]));
            specs.extend(pair(&named(names.narrow), &[hidden, wide]));
            specs.extend(pair(&named(names.narrow_norm), &[hidden]));
        }
        if let Some((name, _)) = family.first_row_layer(head) {
            specs.extend(pair(name, &[hidden, hidden]));
        }
        if head == Head::Classifier {
            specs.extend(pair(family.label_layer(), &[1, hidden]));
        }
        specs
    }

    /// What decides an embedding beside the tensors.
    pub(crate) fn fingerprint(&self) -> String {
        format!(
            "model {:?} heads {} eps {:e} act {:?} offset {}",
            self.model_type,
            self.num_attention_heads,
            self.layer_norm_eps,
            self.hidden_act,
            self.position_offset(),
        )
    }

    /// The name of the layer that gives labels.
    pub(crate) fn label_layer(&self) -> &'static str {
        self.family().label_layer()
    }

    /// Refuses a head that the family has not.
    pub(super) fn check_head(&self, head: Head) -> Result<(), ModelConfigError> {
        if head == Head::Pooler && self.family().first_row_layer(head).is_none() {
            return Err(ModelConfigError::Unsupported {
                field: "pooling",
                actual: "pooler".to_owned(),
                expected: "another one: the family has no pooler",
            });
        }
        Ok(())
    }
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
    use serde_json::{Value, json};

    use super::*;

    fn with(field: &str, value: Value) -> Result<BertConfig, String> {
        let mut config = json!({
            "model_type": "bert", "vocab_size": 30, "hidden_size": 12, "num_hidden_layers": 2,
            "num_attention_heads": 3, "intermediate_size": 24, "max_position_embeddings": 10,
            "an_unknown_field": true,
        });
        config[field] = value;
        BertConfig::parse(config.to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_berts() {
        let config = with("model_type", json!("bert")).unwrap();
        assert_eq!((config.type_vocab_size, config.layer_norm_eps), (2, 1e-12));
        assert_eq!((config.position_offset(), config.max_tokens()), (0, 10));
        let narrow = r#"{"model_type": "electra", "vocab_size": 9, "hidden_size": 4,
            "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
            "max_position_embeddings": 5, "embedding_size": 0}"#;
        let error = BertConfig::parse(narrow.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("embedding_size out of range"), "{error}");
        for (relative, width) in [("mpnet", 12), ("distilbert", 12), ("electra", 128)] {
            let config = with("model_type", json!(relative)).unwrap();
            assert_eq!(config.embedding_size(), width, "{relative}");
        }
        let roberta = with("model_type", json!("roberta")).unwrap();
        assert_eq!((roberta.position_offset(), roberta.max_tokens()), (2, 8));
    }

    #[test]
    fn refusals_name_the_field() {
        for (field, value, message) in [
            ("hidden_act", json!("swish"), "hidden_act \"swish\" is not supported"),
            (
                "num_attention_heads",
                json!(5),
                "num_attention_heads out of range: expected a divisor",
            ),
            ("hidden_size", json!(0), "hidden_size out of range: expected 1 to 16777216, got 0"),
            ("max_position_embeddings", json!(0), "max_position_embeddings out of range"),
            ("position_embedding_type", json!("relative_key"), "position_embedding_type"),
            ("vocab_size", json!(-1), "parse model configuration"),
            (
                "relative_attention_num_buckets",
                json!(64),
                "relative_attention_num_buckets out of range: expected 32, got 64",
            ),
        ] {
            let error = with(field, value).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
