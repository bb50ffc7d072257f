//! The names of tensors, without what wrappers put around them.

/// What wrappers put before the names of a model's own tensors: the classes of models with a head,
/// trainers, and checkpoints that hold the weights among other things.
const PREFIXES: [&str; 14] = [
    "model.",
    "bert.",
    "roberta.",
    "module.",
    "electra.",
    "distilbert.",
    "mpnet.",
    "xlm_roberta.",
    "0.auto_model.",
    "auto_model.",
    "state_dict.",
    "model_state_dict.",
    "state.",
    "_orig_mod.",
];

/// The name without wrappers' prefixes, and with today's names for the parameters of a layer norm and
/// those every other layer has for the stacked layer of torch's attention.
pub(super) fn bare_name(name: &str) -> String {
    let mut bare = name;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| bare.strip_prefix(prefix)) {
        bare = rest;
    }
    // The head of PROP's checkpoints, under the name every other one has.
    if let Some(part @ ("weight" | "bias")) = bare.strip_prefix("cls.") {
        return format!("classifier.{part}");
    }
    bare.replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias")
        .replace("attn.in_proj_weight", "attn.in_proj.weight")
        .replace("attn.in_proj_bias", "attn.in_proj.bias")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_taken_off_and_nothing_else() {
        for (name, bare) in [
            ("encoder.layer.0.output.dense.bias", "encoder.layer.0.output.dense.bias"),
            ("bert.pooler.dense.bias", "pooler.dense.bias"),
            ("module.model.roberta.embeddings.x", "embeddings.x"),
            ("state.model.bert.embeddings.x", "embeddings.x"),
            ("0.auto_model.encoder.x", "encoder.x"),
            ("electra.embeddings_project.weight", "embeddings_project.weight"),
            ("distilbert.transformer.layer.0.ffn.lin1.bias", "transformer.layer.0.ffn.lin1.bias"),
            ("embeddings.LayerNorm.gamma", "embeddings.LayerNorm.weight"),
            ("module.visual.attn.in_proj_weight", "visual.attn.in_proj.weight"),
            ("classifier.bert.x", "classifier.bert.x"),
            ("cls.weight", "classifier.weight"),
            ("cls.predictions.bias", "cls.predictions.bias"),
        ] {
            assert_eq!(bare_name(name), bare);
        }
    }
}
