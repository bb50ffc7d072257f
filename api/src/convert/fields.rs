//! Vector fields, text fields, and the configuration they make up.

use bigrain_engine as engine;
use bigrain_engine::{
    DenseFormat, EmbeddingSpaceId, FieldConfig, Language, Levels, Metric, MultiFieldConfig,
    SparseFieldConfig, SparseModifier, TextField,
};
use tonic::Status;

use super::{invalid, small};
use crate::proto;

/// Reads the sparse fields of a collection's configuration.
pub(crate) fn sparse_fields(
    config: &proto::CollectionConfig,
) -> Result<Vec<SparseFieldConfig>, Status> {
    config.sparse_fields.iter().map(sparse_field).collect()
}

/// Reads a sparse field.
pub(crate) fn sparse_field(config: &proto::SparseFieldConfig) -> Result<SparseFieldConfig, Status> {
    let modifier = match proto::SparseModifier::try_from(config.modifier) {
        Ok(proto::SparseModifier::Unspecified) => SparseModifier::None,
        Ok(proto::SparseModifier::Idf) => SparseModifier::Idf,
        Err(_) => {
            let reason =
                format!("unknown modifier {} of a sparse field: expected idf", config.modifier);
            return Err(Status::invalid_argument(reason));
        }
    };
    Ok(SparseFieldConfig::new(&config.name).with_modifier(modifier))
}

fn sparse_field_message(config: &SparseFieldConfig) -> proto::SparseFieldConfig {
    let modifier = match config.modifier {
        SparseModifier::Idf => proto::SparseModifier::Idf,
        SparseModifier::None | _ => proto::SparseModifier::Unspecified,
    };
    proto::SparseFieldConfig { name: config.name.clone(), modifier: modifier.into() }
}

/// Reads a multi-vector field.
pub(crate) fn multi_field(message: &proto::MultiFieldConfig) -> Result<MultiFieldConfig, Status> {
    let metric = metric(message.metric)?;
    let mut field = MultiFieldConfig::new(&message.name, message.dims as usize, metric);
    if let Some(tokens) = message.sketch_tokens {
        field = field.with_sketch_tokens(u8::try_from(tokens).unwrap_or(u8::MAX));
    }
    if let Some(space) = space(message.space.as_deref())? {
        field = field.with_space(space);
    }
    Ok(match &message.model {
        Some(model) => field.with_model(model),
        None => field,
    })
}

/// Returns the dense fields that a collection's configuration describes, the first one first; none
/// where no field is dense.
pub(crate) fn field_messages(config: proto::CollectionConfig) -> Vec<proto::FieldConfig> {
    let nothing = proto::CollectionConfig {
        sparse_fields: config.sparse_fields.clone(),
        multi_fields: config.multi_fields.clone(),
        text_fields: config.text_fields.clone(),
        ..proto::CollectionConfig::default()
    };
    let has_others = !config.sparse_fields.is_empty() || !config.multi_fields.is_empty();
    if has_others && config == nothing {
        return Vec::new();
    }
    let first = proto::FieldConfig {
        name: config.field.unwrap_or_else(|| engine::DEFAULT_FIELD.to_owned()),
        dims: config.dims,
        metric: config.metric,
        levels: config.levels,
        space: config.space,
        model: config.model,
        dense: config.dense,
        lists: config.lists,
    };
    [first].into_iter().chain(config.other_fields).collect()
}

/// Reads the configuration of a field whose dimensions and space are known: its own, or its model's.
pub(crate) fn field_config(
    config: proto::FieldConfig,
    dims: usize,
    space: Option<EmbeddingSpaceId>,
) -> Result<FieldConfig, Status> {
    let metric = metric(config.metric)?;
    let dense = dense_format(config.dense)?;
    let mut read = FieldConfig::new(config.name, dims, metric).with_dense(dense);
    if let Some(levels) = config.levels {
        let levels = u8::try_from(levels).unwrap_or(u8::MAX);
        read = read.with_levels(Levels::new(levels).map_err(invalid)?);
    }
    if let Some(space) = space {
        read = read.with_space(space);
    }
    if let Some(model) = config.model {
        read = read.with_model(model);
    }
    if let Some(lists) = config.lists {
        read = read.with_lists(lists);
    }
    Ok(read)
}

/// Reads a text field.
pub(crate) fn text_field(message: &proto::TextField) -> Result<TextField, Status> {
    let language = match &*message.language {
        "" => Language::None,
        code => code.parse().map_err(invalid)?,
    };
    let Some((first, others)) = message.paths.split_first() else {
        return Err(Status::invalid_argument("text field has no paths: expected at least one"));
    };
    let mut field = TextField::new(first, language).map_err(invalid)?;
    for path in others {
        field = field.and(path).map_err(invalid)?;
    }
    Ok(if message.drop_stop_words { field.without_stop_words() } else { field })
}

/// Reads the id of an embedding space.
pub(crate) fn space(space: Option<&str>) -> Result<Option<EmbeddingSpaceId>, Status> {
    space.map(|text| text.parse().map_err(invalid)).transpose()
}

fn dense_format(number: i32) -> Result<DenseFormat, Status> {
    match proto::DenseFormat::try_from(number) {
        Ok(proto::DenseFormat::Unspecified | proto::DenseFormat::F32) => Ok(DenseFormat::F32),
        Ok(proto::DenseFormat::F16) => Ok(DenseFormat::F16),
        Ok(proto::DenseFormat::I8) => Ok(DenseFormat::I8),
        Err(_) => Err(Status::invalid_argument(format!(
            "unknown dense format {number}: expected f32, f16 or i8"
        ))),
    }
}

fn metric(number: i32) -> Result<Metric, Status> {
    match proto::Metric::try_from(number) {
        Ok(proto::Metric::Cosine) => Ok(Metric::Cosine),
        Ok(proto::Metric::Dot) => Ok(Metric::Dot),
        Ok(proto::Metric::L2) => Ok(Metric::L2),
        Ok(proto::Metric::Unspecified) => {
            Err(Status::invalid_argument("metric is missing: expected cosine, dot or l2"))
        }
        Err(_) => Err(Status::invalid_argument(format!(
            "unknown metric {number}: expected cosine, dot or l2"
        ))),
    }
}

pub(super) fn config_message(config: &engine::CollectionConfig) -> proto::CollectionConfig {
    let text_fields = config.texts().iter().map(text_field_message).collect();
    let sparse_fields = config.sparse().iter().map(sparse_field_message).collect();
    let multi_fields = config.multi().iter().map(multi_field_message).collect();
    let mut fields = config.fields().iter().map(field_message);
    let Some(first) = fields.next() else {
        return proto::CollectionConfig {
            text_fields,
            sparse_fields,
            multi_fields,
            ..Default::default()
        };
    };
    proto::CollectionConfig {
        dims: first.dims,
        metric: first.metric,
        levels: first.levels,
        space: first.space,
        model: first.model,
        dense: first.dense,
        lists: first.lists,
        field: Some(first.name),
        other_fields: fields.collect(),
        text_fields,
        sparse_fields,
        multi_fields,
    }
}

fn multi_field_message(config: &MultiFieldConfig) -> proto::MultiFieldConfig {
    proto::MultiFieldConfig {
        name: config.name.clone(),
        dims: small(config.dims),
        metric: metric_message(config.metric).into(),
        sketch_tokens: Some(config.sketch_tokens.into()),
        space: config.space.map(|space| space.to_string()),
        model: config.model.clone(),
    }
}

fn metric_message(metric: Metric) -> proto::Metric {
    match metric {
        Metric::Cosine => proto::Metric::Cosine,
        Metric::Dot => proto::Metric::Dot,
        Metric::L2 => proto::Metric::L2,
        // A metric the protocol cannot name yet.
        _ => proto::Metric::Unspecified,
    }
}

fn field_message(config: &FieldConfig) -> proto::FieldConfig {
    let dense = match config.dense {
        DenseFormat::F32 => proto::DenseFormat::F32,
        DenseFormat::F16 => proto::DenseFormat::F16,
        DenseFormat::I8 => proto::DenseFormat::I8,
        // A format the protocol cannot name yet.
        _ => proto::DenseFormat::Unspecified,
    };
    proto::FieldConfig {
        name: config.name.clone(),
        dims: small(config.dims),
        metric: metric_message(config.metric).into(),
        levels: Some(u32::from(config.levels.get())),
        space: config.space.map(|space| space.to_string()),
        model: config.model.clone(),
        dense: dense.into(),
        lists: config.lists,
    }
}

fn text_field_message(field: &TextField) -> proto::TextField {
    proto::TextField {
        paths: field.paths.iter().map(ToString::to_string).collect(),
        language: field.language.to_string(),
        drop_stop_words: field.drop_stop_words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_round_trips() {
        let space = EmbeddingSpaceId::from_bytes(*b"0123456789abcdef");
        for metric in [Metric::Cosine, Metric::Dot, Metric::L2] {
            let text = FieldConfig::new("text", 384, metric)
                .with_levels(Levels::ONE)
                .with_space(space)
                .with_dense(DenseFormat::F16)
                .with_lists(77)
                .with_model("mini");
            let image = FieldConfig::new("image", 7, Metric::Dot);
            let words = TextField::new("title", Language::English).unwrap().and("body").unwrap();
            let words = words.without_stop_words();
            let sparse = SparseFieldConfig::new("splade");
            let multi = MultiFieldConfig::new("patches", 256, Metric::Dot)
                .with_sketch_tokens(9)
                .with_space(space)
                .with_model("filip");
            let config = engine::CollectionConfig::of(text)
                .with_field(image)
                .with_sparse(sparse.clone())
                .with_multi(multi.clone())
                .with_text(words.clone());
            assert_eq!(sparse_fields(&config_message(&config)).unwrap(), [sparse]);
            assert_eq!(multi_field(&config_message(&config).multi_fields[0]).unwrap(), multi);
            let texts = &config_message(&config).text_fields;
            assert_eq!(text_field(&texts[0]).unwrap(), words);
            let read = |message: proto::FieldConfig| {
                let space = super::space(message.space.as_deref()).unwrap();
                let dims = message.dims as usize;
                field_config(message, dims, space).unwrap()
            };
            let fields = field_messages(config_message(&config)).into_iter().map(read);
            assert_eq!(fields.collect::<Vec<_>>(), config.fields());
        }
    }

    #[test]
    fn a_configuration_of_sparse_fields_only_has_no_other_members() {
        let sparse = SparseFieldConfig::new("splade").with_modifier(SparseModifier::Idf);
        let config = engine::CollectionConfig::of_sparse(sparse.clone());
        let message = config_message(&config);
        assert_eq!(sparse_fields(&message).unwrap(), [sparse]);
        let unknown = proto::SparseFieldConfig { modifier: 7, ..message.sparse_fields[0].clone() };
        let status = sparse_field(&unknown).unwrap_err();
        assert_eq!(status.message(), "unknown modifier 7 of a sparse field: expected idf");
        assert!(field_messages(message.clone()).is_empty());
        let with_dense = proto::CollectionConfig { dims: 3, ..message };
        assert_eq!(field_messages(with_dense).len(), 1);
        // Without any field it is the first one that says what is missing.
        assert_eq!(field_messages(proto::CollectionConfig::default()).len(), 1);
    }

    #[test]
    fn levels_that_do_not_fit_a_byte_are_refused() {
        let config = proto::FieldConfig {
            metric: proto::Metric::Dot.into(),
            levels: Some(258),
            ..Default::default()
        };
        let status = field_config(config, 2, None).unwrap_err();
        assert!(status.message().starts_with("levels out of range"), "{status:?}");
    }

    #[test]
    fn an_unknown_dense_format_is_refused_and_none_is_f32() {
        let config = |dense| proto::FieldConfig {
            metric: proto::Metric::Dot.into(),
            dense,
            ..Default::default()
        };
        assert_eq!(field_config(config(0), 2, None).unwrap().dense, DenseFormat::F32);
        let status = field_config(config(9), 2, None).unwrap_err();
        assert_eq!(status.message(), "unknown dense format 9: expected f32, f16 or i8");
    }
}
