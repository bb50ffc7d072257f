//! Collections from JSON.
//!
//! Settings that say how Qdrant stores, and not what, are passed over: docs/qdrant.md lists them.

use std::collections::HashMap;

use qdrant_client::qdrant as q;
use serde_json::Value;

use super::members::{Members, Read, anything, boolean, list, object, string, unsigned};
use super::read_points::payload;
use crate::qdrant::error::{missing, unsupported, wrong};

/// Settings of vectors that say how they are stored.
const VECTOR_SETTINGS: [&str; 3] = ["hnsw_config", "on_disk", "memory"];
/// Settings of collections that say how they are stored.
const COLLECTION_SETTINGS: [&str; 9] = [
    "hnsw_config",
    "wal_config",
    "optimizers_config",
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
    "on_disk_payload",
    "payload",
    "id_tracker",
];

/// Reads a collection to be made.
pub(super) fn create(members: &mut Members) -> Read<q::CreateCollection> {
    members.pass_over(&COLLECTION_SETTINGS);
    Ok(q::CreateCollection {
        vectors_config: members.take("vectors", vectors)?,
        sparse_vectors_config: members.take("sparse_vectors", sparse_vectors)?,
        quantization_config: members.take("quantization_config", quantization)?,
        sharding_method: members.take("sharding_method", |value| {
            let text = string(value)?;
            match &*text {
                "auto" => Ok(q::ShardingMethod::Auto as i32),
                "custom" => Ok(q::ShardingMethod::Custom as i32),
                _ => Err(wrong(format!("unknown sharding method {text:?}"))),
            }
        })?,
        strict_mode_config: strict_mode(members)?,
        metadata: members.take("metadata", payload)?.unwrap_or_default(),
        ..Default::default()
    })
}

/// Reads strict mode, of which only counts whether it is on.
fn strict_mode(members: &mut Members) -> Read<Option<q::StrictModeConfig>> {
    members.take("strict_mode_config", |value| {
        let enabled = Members::of(value)?.take("enabled", boolean)?;
        Ok(q::StrictModeConfig { enabled, ..Default::default() })
    })
}

fn vectors(value: Value) -> Read<q::VectorsConfig> {
    use q::vectors_config::Config;

    let is_unnamed = value.get("size").is_some_and(|size| !size.is_object());
    let config = if is_unnamed {
        Config::Params(vector_params(value)?)
    } else {
        Config::ParamsMap(q::VectorParamsMap { map: named(value, vector_params)? })
    };
    Ok(q::VectorsConfig { config: Some(config) })
}

fn named<T>(value: Value, read: impl Fn(Value) -> Read<T>) -> Read<HashMap<String, T>> {
    let each = Members::of(value)?.rest().into_iter();
    each.map(|(name, value)| {
        let read = read(value).map_err(|status| wrong(format!("{name}: {}", status.message())))?;
        Ok((name, read))
    })
    .collect()
}

fn vector_params(value: Value) -> Read<q::VectorParams> {
    object(value, |members| {
        members.pass_over(&VECTOR_SETTINGS);
        Ok(q::VectorParams {
            size: members.need("size", unsigned)?,
            distance: members.need("distance", distance)?,
            quantization_config: members.take("quantization_config", quantization)?,
            datatype: members.take("datatype", datatype)?,
            multivector_config: members.take("multivector_config", multi_vector)?,
            ..Default::default()
        })
    })
}

fn distance(value: Value) -> Read<i32> {
    let text = string(value)?;
    let distance = match &*text {
        "Cosine" => q::Distance::Cosine,
        "Euclid" => q::Distance::Euclid,
        "Dot" => q::Distance::Dot,
        "Manhattan" => q::Distance::Manhattan,
        _ => {
            return Err(wrong(format!(
                "unknown distance {text:?}: expected Cosine, Euclid or Dot"
            )));
        }
    };
    Ok(distance as i32)
}

fn datatype(value: Value) -> Read<i32> {
    let text = string(value)?;
    let datatype = match &*text {
        "float32" => q::Datatype::Float32,
        "float16" => q::Datatype::Float16,
        "uint8" => q::Datatype::Uint8,
        _ => return Err(unsupported(&format!("datatype {text}"))),
    };
    Ok(datatype as i32)
}

fn multi_vector(value: Value) -> Read<q::MultiVectorConfig> {
    object(value, |members| {
        let comparator = members.need("comparator", string)?;
        if comparator != "max_sim" {
            return Err(wrong(format!("unknown comparator {comparator:?}: expected max_sim")));
        }
        Ok(q::MultiVectorConfig { comparator: q::MultiVectorComparator::MaxSim as i32 })
    })
}

fn sparse_vectors(value: Value) -> Read<q::SparseVectorConfig> {
    let params = |value| {
        object(value, |members| {
            members.pass_over(&["index"]);
            let modifier = members.take("modifier", modifier)?;
            Ok(q::SparseVectorParams { index: None, modifier })
        })
    };
    Ok(q::SparseVectorConfig { map: named(value, params)? })
}

fn modifier(value: Value) -> Read<i32> {
    let text = string(value)?;
    match &*text {
        "none" => Ok(q::Modifier::None as i32),
        "idf" => Ok(q::Modifier::Idf as i32),
        _ => Err(wrong(format!("unknown modifier {text:?}: expected none or idf"))),
    }
}

fn quantization(value: Value) -> Read<q::QuantizationConfig> {
    use q::quantization_config::Quantization;

    let quantization = object(value, |members| {
        if members.take("scalar", anything)?.is_some() {
            return Ok(Quantization::Scalar(q::ScalarQuantization::default()));
        }
        if let Some(product) = members.take("product", product)? {
            return Ok(Quantization::Product(product));
        }
        if let Some(binary) = members.take("binary", binary)? {
            return Ok(Quantization::Binary(binary));
        }
        if let Some(turbo) = members.take("turbo", turbo)? {
            return Ok(Quantization::Turboquant(turbo));
        }
        Err(missing("quantization, such as scalar or binary,"))
    })?;
    Ok(q::QuantizationConfig { quantization: Some(quantization) })
}

/// Where codes lie is passed over: they are in memory.
const CODE_SETTINGS: [&str; 3] = ["always_ram", "memory", "query_encoding"];

fn product(value: Value) -> Read<q::ProductQuantization> {
    object(value, |members| {
        members.pass_over(&CODE_SETTINGS);
        let text = members.need("compression", string)?;
        let compression = match &*text {
            "x4" => q::CompressionRatio::X4,
            "x8" => q::CompressionRatio::X8,
            "x16" => q::CompressionRatio::X16,
            "x32" => q::CompressionRatio::X32,
            "x64" => q::CompressionRatio::X64,
            _ => return Err(wrong(format!("unknown compression {text:?}"))),
        };
        Ok(q::ProductQuantization { compression: compression as i32, ..Default::default() })
    })
}

fn binary(value: Value) -> Read<q::BinaryQuantization> {
    object(value, |members| {
        members.pass_over(&CODE_SETTINGS);
        let encoding = members.take("encoding", |value| {
            let text = string(value)?;
            let encoding = match &*text {
                "one_bit" => q::BinaryQuantizationEncoding::OneBit,
                "two_bits" => q::BinaryQuantizationEncoding::TwoBits,
                "one_and_half_bits" => q::BinaryQuantizationEncoding::OneAndHalfBits,
                _ => return Err(wrong(format!("unknown encoding {text:?}"))),
            };
            Ok(encoding as i32)
        })?;
        Ok(q::BinaryQuantization { encoding, ..Default::default() })
    })
}

fn turbo(value: Value) -> Read<q::TurboQuantization> {
    object(value, |members| {
        members.pass_over(&CODE_SETTINGS);
        let bits = members.take("bits", |value| {
            let text = string(value)?;
            let bits = match &*text {
                "bits1" => q::TurboQuantBitSize::Bits1,
                "bits1_5" => q::TurboQuantBitSize::Bits15,
                "bits2" => q::TurboQuantBitSize::Bits2,
                "bits4" => q::TurboQuantBitSize::Bits4,
                "bits8" => q::TurboQuantBitSize::Bits8,
                _ => return Err(wrong(format!("unknown bits {text:?}"))),
            };
            Ok(bits as i32)
        })?;
        Ok(q::TurboQuantization { bits, ..Default::default() })
    })
}

/// Reads a change of settings.
pub(super) fn update(members: &mut Members) -> Read<q::UpdateCollection> {
    members.pass_over(&["optimizers_config", "hnsw_config", "params"]);
    let vectors_config = members.take("vectors", |value| {
        let params = |value| {
            object(value, |members| {
                members.pass_over(&VECTOR_SETTINGS);
                let quantized = members.take("quantization_config", anything)?;
                let quantization_config =
                    quantized.map(|()| q::QuantizationConfigDiff { quantization: None });
                Ok(q::VectorParamsDiff { quantization_config, ..Default::default() })
            })
        };
        let map = q::VectorParamsDiffMap { map: named(value, params)? };
        Ok(q::VectorsConfigDiff { config: Some(q::vectors_config_diff::Config::ParamsMap(map)) })
    })?;
    let quantized = members.take("quantization_config", anything)?;
    Ok(q::UpdateCollection {
        vectors_config,
        quantization_config: quantized.map(|()| q::QuantizationConfigDiff { quantization: None }),
        sparse_vectors_config: members.take("sparse_vectors", sparse_vectors)?,
        strict_mode_config: strict_mode(members)?,
        metadata: members.take("metadata", payload)?.unwrap_or_default(),
        ..Default::default()
    })
}

/// Reads a vector to add.
pub(super) fn create_vector_name(members: &mut Members) -> Read<q::CreateVectorNameRequest> {
    use q::create_vector_name_request::VectorConfig;

    let dense = |value| {
        object(value, |members| {
            members.pass_over(&VECTOR_SETTINGS);
            Ok(VectorConfig::DenseConfig(q::DenseVectorCreationConfig {
                size: members.need("size", unsigned)?,
                distance: members.need("distance", distance)?,
                multivector_config: members.take("multivector_config", multi_vector)?,
                datatype: members.take("datatype", datatype)?,
            }))
        })
    };
    let sparse = |value| {
        object(value, |members| {
            members.pass_over(&["datatype", "index"]);
            let modifier = members.take("modifier", modifier)?;
            Ok(VectorConfig::SparseConfig(q::SparseVectorCreationConfig {
                modifier,
                datatype: None,
            }))
        })
    };
    let config = match members.take("dense", dense)? {
        Some(config) => config,
        None => members.need("sparse", sparse)?,
    };
    Ok(q::CreateVectorNameRequest { vector_config: Some(config), ..Default::default() })
}

/// Reads a payload field to index. How is passed over: every field is.
pub(super) fn create_field_index(members: &mut Members) -> Read<q::CreateFieldIndexCollection> {
    members.take("field_schema", anything)?;
    let field_name = members.need("field_name", string)?;
    Ok(q::CreateFieldIndexCollection { field_name, ..Default::default() })
}

/// Reads changes of aliases.
pub(super) fn change_aliases(members: &mut Members) -> Read<q::ChangeAliases> {
    use q::alias_operations::Action;

    let action = |value| {
        let action = object(value, |members| {
            let create = members.take("create_alias", |value| {
                object(value, |members| {
                    Ok(Action::CreateAlias(q::CreateAlias {
                        collection_name: members.need("collection_name", string)?,
                        alias_name: members.need("alias_name", string)?,
                    }))
                })
            })?;
            let rename = members.take("rename_alias", |value| {
                object(value, |members| {
                    Ok(Action::RenameAlias(q::RenameAlias {
                        old_alias_name: members.need("old_alias_name", string)?,
                        new_alias_name: members.need("new_alias_name", string)?,
                    }))
                })
            })?;
            let delete = members.take("delete_alias", |value| {
                object(value, |members| {
                    let alias_name = members.need("alias_name", string)?;
                    Ok(Action::DeleteAlias(q::DeleteAlias { alias_name }))
                })
            })?;
            create.or(rename).or(delete).ok_or_else(|| missing("action on an alias"))
        })?;
        Ok(q::AliasOperations { action: Some(action) })
    };
    let actions = members.need("actions", |value| list(value, action))?;
    Ok(q::ChangeAliases { actions, timeout: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_vector_may_be_unnamed_or_named() {
        let unnamed = object(json!({"vectors": {"size": 4, "distance": "Dot"}}), create).unwrap();
        assert!(matches!(
            unnamed.vectors_config.unwrap().config,
            Some(q::vectors_config::Config::Params(params)) if params.size == 4
        ));
        // A vector may be called like a setting of one.
        let named = json!({"vectors": {"size": {"size": 4, "distance": "Dot"}}});
        let named = object(named, create).unwrap().vectors_config.unwrap().config;
        assert!(
            matches!(named, Some(q::vectors_config::Config::ParamsMap(map)) if map.map.len() == 1)
        );
    }

    #[test]
    fn settings_of_storage_are_passed_over_and_others_are_named() {
        let settings = json!({
            "vectors": {"size": 4, "distance": "Dot", "on_disk": true, "hnsw_config": {"m": 8}},
            "hnsw_config": {"m": 16}, "shard_number": 2, "on_disk_payload": true,
        });
        object(settings, create).unwrap();
        let error = object(json!({"vectorz": {}}), create).unwrap_err();
        assert_eq!(error.message(), "unknown field `vectorz`");
    }
}
