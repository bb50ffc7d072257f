//! The shape of a collection: its vectors.
//!
//! | Qdrant | here |
//! | --- | --- |
//! | `size`, `distance` | dims and metric; Manhattan has no counterpart |
//! | `multivector_config` | a field of multi-vectors |
//! | `datatype` float16 | rows of halves on disk |
//! | `quantization_config` | levels of the codes, by about as many bits ([`levels`]) |
//! | `hnsw_config`, `optimizers_config`, `wal_config`, `on_disk`, `memory`, numbers of shards and replicas | accepted: they say how, and not what |

use std::collections::HashMap;

use bigrain_engine::{
    CollectionConfig, CollectionInfo, DenseFormat, FieldConfig, Levels, Metric, MultiFieldConfig,
    SparseFieldConfig, SparseModifier,
};
use q::quantization_config::Quantization;
use qdrant_client::qdrant as q;
use tonic::Status;

use crate::qdrant::error::{missing, unsupported, wrong};
use crate::qdrant::names::{field_of, vector_of};

/// A field to be made.
#[derive(Clone, Debug)]
pub(in crate::qdrant) enum NewField {
    /// Of one vector a point.
    Dense(FieldConfig),
    /// Of sparse vectors.
    Sparse(SparseFieldConfig),
    /// Of a vector for each token.
    Multi(MultiFieldConfig),
}

/// Reads the shape of a new collection.
pub(in crate::qdrant) fn collection_config(
    request: &q::CreateCollection,
) -> Result<CollectionConfig, Status> {
    refuse_settings(request)?;
    let default = request.quantization_config.as_ref();
    let mut fields = Vec::new();
    match request.vectors_config.as_ref().and_then(|config| config.config.as_ref()) {
        Some(q::vectors_config::Config::Params(params)) => {
            fields.push(dense_field("", params, default)?);
        }
        Some(q::vectors_config::Config::ParamsMap(map)) => {
            for (name, params) in sorted(&map.map) {
                fields.push(dense_field(name, params, default)?);
            }
        }
        None => {}
    }
    if let Some(sparse) = &request.sparse_vectors_config {
        for (name, params) in sorted(&sparse.map) {
            fields.push(NewField::Sparse(sparse_field(name, params.modifier)?));
        }
    }
    of_fields(fields)
}

/// Named vectors come in no order; fields have one.
fn sorted<T>(map: &HashMap<String, T>) -> Vec<(&String, &T)> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(name, _)| *name);
    entries
}

fn of_fields(fields: Vec<NewField>) -> Result<CollectionConfig, Status> {
    let mut config: Option<CollectionConfig> = None;
    for field in fields {
        config = Some(match (config, field) {
            (None, NewField::Dense(field)) => CollectionConfig::of(field),
            (None, NewField::Sparse(field)) => CollectionConfig::of_sparse(field),
            (None, NewField::Multi(field)) => CollectionConfig::of_multi(field),
            (Some(config), NewField::Dense(field)) => config.with_field(field),
            (Some(config), NewField::Sparse(field)) => config.with_sparse(field),
            (Some(config), NewField::Multi(field)) => config.with_multi(field),
        });
    }
    config.ok_or_else(|| unsupported("a collection without vectors"))
}

fn refuse_settings(request: &q::CreateCollection) -> Result<(), Status> {
    let custom = q::ShardingMethod::Custom as i32;
    if request.sharding_method == Some(custom) {
        return Err(unsupported("sharding_method custom"));
    }
    if request.strict_mode_config.as_ref().is_some_and(|strict| strict.enabled == Some(true)) {
        return Err(unsupported("strict_mode_config"));
    }
    if !request.metadata.is_empty() {
        return Err(unsupported("metadata of a collection"));
    }
    Ok(())
}

fn dense_field(
    name: &str,
    params: &q::VectorParams,
    default: Option<&q::QuantizationConfig>,
) -> Result<NewField, Status> {
    let metric = metric(params.distance)?;
    let format = dense_format(params.datatype)?;
    let levels = params.quantization_config.as_ref().or(default).map(levels).transpose()?;
    let shape = Shape { name, size: params.size, metric, format, levels };
    Ok(shape.field(params.multivector_config.as_ref()))
}

/// What makes a dense field or one of multi-vectors.
struct Shape<'a> {
    name: &'a str,
    size: u64,
    metric: Metric,
    format: DenseFormat,
    levels: Option<Levels>,
}

impl Shape<'_> {
    fn field(self, multi: Option<&q::MultiVectorConfig>) -> NewField {
        let (field, dims) = (field_of(self.name), usize::try_from(self.size).unwrap_or(usize::MAX));
        if multi.is_some() {
            return NewField::Multi(MultiFieldConfig::new(field, dims, self.metric));
        }
        let field = FieldConfig::new(field, dims, self.metric).with_dense(self.format);
        NewField::Dense(match self.levels {
            Some(levels) => field.with_levels(levels),
            None => field,
        })
    }
}

/// Reads a dense vector that is added to a collection.
pub(in crate::qdrant) fn dense_vector_config(
    name: &str,
    config: &q::DenseVectorCreationConfig,
) -> Result<NewField, Status> {
    let (metric, format) = (metric(config.distance)?, dense_format(config.datatype)?);
    let shape = Shape { name, size: config.size, metric, format, levels: None };
    Ok(shape.field(config.multivector_config.as_ref()))
}

/// Reads a sparse vector that is added to a collection.
pub(in crate::qdrant) fn sparse_vector_config(
    name: &str,
    config: &q::SparseVectorCreationConfig,
) -> Result<NewField, Status> {
    sparse_field(name, config.modifier).map(NewField::Sparse)
}

fn sparse_field(name: &str, modifier: Option<i32>) -> Result<SparseFieldConfig, Status> {
    let modifier = match modifier.map(q::Modifier::try_from) {
        None | Some(Ok(q::Modifier::None)) => SparseModifier::None,
        Some(Ok(q::Modifier::Idf)) => SparseModifier::Idf,
        Some(Err(error)) => return Err(wrong(error)),
    };
    Ok(SparseFieldConfig::new(field_of(name)).with_modifier(modifier))
}

fn metric(distance: i32) -> Result<Metric, Status> {
    match q::Distance::try_from(distance) {
        Ok(q::Distance::Cosine) => Ok(Metric::Cosine),
        Ok(q::Distance::Dot) => Ok(Metric::Dot),
        Ok(q::Distance::Euclid) => Ok(Metric::L2),
        Ok(q::Distance::Manhattan) => Err(unsupported("distance Manhattan")),
        Ok(q::Distance::UnknownDistance) => Err(missing("distance")),
        Err(error) => Err(wrong(error)),
    }
}

fn distance(metric: Metric) -> q::Distance {
    match metric {
        Metric::Cosine => q::Distance::Cosine,
        Metric::Dot => q::Distance::Dot,
        Metric::L2 => q::Distance::Euclid,
        _ => q::Distance::UnknownDistance,
    }
}

fn dense_format(datatype: Option<i32>) -> Result<DenseFormat, Status> {
    match datatype.map(q::Datatype::try_from) {
        None | Some(Ok(q::Datatype::Default | q::Datatype::Float32)) => Ok(DenseFormat::F32),
        Some(Ok(q::Datatype::Float16)) => Ok(DenseFormat::F16),
        Some(Ok(other)) => Err(unsupported(&format!("datatype {}", other.as_str_name()))),
        Some(Err(error)) => Err(wrong(error)),
    }
}

/// Returns the levels that take about as many bits a dimension as a quantization of Qdrant's.
fn levels(config: &q::QuantizationConfig) -> Result<Levels, Status> {
    use q::{BinaryQuantizationEncoding as Binary, CompressionRatio as Ratio, TurboQuantBitSize};

    let bits = match config.quantization.as_ref().ok_or_else(|| missing("quantization"))? {
        Quantization::Scalar(_) => 4,
        Quantization::Product(product) => match Ratio::try_from(product.compression) {
            Ok(Ratio::X4 | Ratio::X8) => 4,
            Ok(Ratio::X16) => 2,
            Ok(Ratio::X32 | Ratio::X64) => 1,
            Err(error) => return Err(wrong(error)),
        },
        Quantization::Binary(binary) => match binary.encoding.map(Binary::try_from) {
            None | Some(Ok(Binary::OneBit)) => 1,
            Some(Ok(Binary::OneAndHalfBits | Binary::TwoBits)) => 2,
            Some(Err(error)) => return Err(wrong(error)),
        },
        Quantization::Turboquant(turbo) => match turbo.bits.map(TurboQuantBitSize::try_from) {
            Some(Ok(TurboQuantBitSize::Bits1)) => 1,
            Some(Ok(TurboQuantBitSize::Bits15 | TurboQuantBitSize::Bits2)) => 2,
            None | Some(Ok(TurboQuantBitSize::Bits4 | TurboQuantBitSize::Bits8)) => 4,
            Some(Err(error)) => return Err(wrong(error)),
        },
    };
    Levels::new(bits).map_err(wrong)
}

/// Describes a collection. What only says how Qdrant stores has the values that it starts with.
pub(in crate::qdrant) fn description(info: &CollectionInfo) -> q::CollectionInfo {
    let config = &info.config;
    let dense = config.fields().iter().map(|field| (vector_of(&field.name), params(field)));
    let multi = config.multi().iter().map(|field| (vector_of(&field.name), multi_params(field)));
    let mut vectors: HashMap<String, q::VectorParams> = dense.chain(multi).collect();
    let unnamed = if vectors.len() == 1 { vectors.remove("") } else { None };
    let vectors = match unnamed {
        Some(params) => q::vectors_config::Config::Params(params),
        None => q::vectors_config::Config::ParamsMap(q::VectorParamsMap { map: vectors }),
    };
    let sparse = config.sparse().iter().map(|field| {
        let modifier = match field.modifier {
            SparseModifier::Idf => Some(q::Modifier::Idf as i32),
            SparseModifier::None | _ => None,
        };
        (vector_of(&field.name), q::SparseVectorParams { index: None, modifier })
    });
    let sparse: HashMap<_, _> = sparse.collect();
    let params = q::CollectionParams {
        shard_number: 1,
        vectors_config: Some(q::VectorsConfig { config: Some(vectors) }),
        replication_factor: Some(1),
        write_consistency_factor: Some(1),
        sparse_vectors_config: (!sparse.is_empty())
            .then_some(q::SparseVectorConfig { map: sparse }),
        ..Default::default()
    };
    q::CollectionInfo {
        status: q::CollectionStatus::Green as i32,
        optimizer_status: Some(q::OptimizerStatus { ok: true, error: String::new() }),
        segments_count: info.segments,
        config: Some(q::CollectionConfig { params: Some(params), ..defaults() }),
        points_count: Some(info.points),
        indexed_vectors_count: Some(info.points - info.memtable_points.min(info.points)),
        update_queue: Some(q::UpdateQueueInfo::default()),
        ..Default::default()
    }
}

fn params(field: &FieldConfig) -> q::VectorParams {
    let datatype = match field.dense {
        DenseFormat::F16 => Some(q::Datatype::Float16 as i32),
        DenseFormat::F32 | DenseFormat::I8 | _ => None,
    };
    q::VectorParams {
        size: field.dims as u64,
        distance: distance(field.metric) as i32,
        datatype,
        ..Default::default()
    }
}

fn multi_params(field: &MultiFieldConfig) -> q::VectorParams {
    q::VectorParams {
        size: field.dims as u64,
        distance: distance(field.metric) as i32,
        multivector_config: Some(q::MultiVectorConfig::default()),
        ..Default::default()
    }
}

/// What Qdrant has of collections that were told nothing.
fn defaults() -> q::CollectionConfig {
    q::CollectionConfig {
        hnsw_config: Some(q::HnswConfigDiff {
            m: Some(16),
            ef_construct: Some(100),
            full_scan_threshold: Some(10_000),
            max_indexing_threads: Some(0),
            ..Default::default()
        }),
        optimizer_config: Some(q::OptimizersConfigDiff {
            deleted_threshold: Some(0.2),
            vacuum_min_vector_number: Some(1_000),
            default_segment_number: Some(0),
            indexing_threshold: Some(10_000),
            flush_interval_sec: Some(5),
            ..Default::default()
        }),
        wal_config: Some(q::WalConfigDiff {
            wal_capacity_mb: Some(32),
            wal_segments_ahead: Some(0),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(params: q::VectorParams) -> Result<CollectionConfig, Status> {
        let config = Some(q::vectors_config::Config::Params(params));
        let vectors_config = Some(q::VectorsConfig { config });
        collection_config(&q::CreateCollection { vectors_config, ..Default::default() })
    }

    fn cosine(size: u64) -> q::VectorParams {
        q::VectorParams { size, distance: q::Distance::Cosine as i32, ..Default::default() }
    }

    #[test]
    fn an_unnamed_vector_is_the_first_field() {
        let config = with(cosine(4)).unwrap();
        assert_eq!(config, CollectionConfig::new(4, Metric::Cosine));
    }

    #[test]
    fn quantization_becomes_levels_of_about_as_many_bits() {
        let of = |quantization| {
            let quantization_config = Some(q::QuantizationConfig { quantization });
            with(q::VectorParams { quantization_config, ..cosine(4) })
        };
        let binary = of(Some(Quantization::Binary(q::BinaryQuantization::default()))).unwrap();
        assert_eq!(binary.fields()[0].levels, Levels::ONE);
        let scalar = of(Some(Quantization::Scalar(q::ScalarQuantization::default()))).unwrap();
        assert_eq!(scalar.fields()[0].levels.get(), 4);
        assert!(of(None).is_err());
    }

    #[test]
    fn what_has_no_counterpart_is_named() {
        let manhattan = q::VectorParams { distance: q::Distance::Manhattan as i32, ..cosine(4) };
        assert!(with(manhattan).unwrap_err().message().contains("Manhattan"));
        let bytes = q::VectorParams { datatype: Some(q::Datatype::Uint8 as i32), ..cosine(4) };
        assert!(with(bytes).unwrap_err().message().contains("Uint8"));
        let none = collection_config(&q::CreateCollection::default()).unwrap_err();
        assert!(none.message().contains("without vectors"), "{none:?}");
    }
}
