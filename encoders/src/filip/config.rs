//! How the tokens of a FILIP model are made.

use serde::Deserialize;

/// How the tokens of a FILIP model are made: the object `filip` in `open_clip_config.json`.
///
/// The defaults are the paper's. DeCLIP's checkpoints are
/// `{"token_dims": 256, "mask_padding": false, "pre_ln_post": true, "mask_token": true}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilipConfig {
    /// Values of a row. Default: 256.
    #[serde(default = "default_dims")]
    pub token_dims: usize,
    /// Whether padding takes no part; else texts are padded with id 0 to the most the model reads,
    /// and every row counts. Default: it takes none.
    #[serde(default = "yes")]
    pub mask_padding: bool,
    /// Whether patches are taken from before the tower's last layer norm. Default: from behind it.
    #[serde(default)]
    pub pre_ln_post: bool,
    /// Whether the vocabulary has `<|mask|>` before its other special tokens. Default: it has not.
    #[serde(default)]
    pub mask_token: bool,
}

fn default_dims() -> usize {
    256
}

fn yes() -> bool {
    true
}

impl FilipConfig {
    /// What of it decides a matrix; part of the id of the embedding space, so it never changes for a
    /// model that is in use.
    pub(crate) fn fingerprint(&self) -> String {
        format!(
            "filip mask_padding {} pre_ln_post {} mask_token {}",
            self.mask_padding, self.pre_ln_post, self.mask_token
        )
    }
}
