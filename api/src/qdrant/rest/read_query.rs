//! Queries, and the other calls that read, from JSON.

use q::query::Variant;
use qdrant_client::qdrant as q;
use serde_json::Value;

use super::members::{
    Members, Read, boolean, double, expected, float, list, object, one_or_list, string, unsigned,
};
use super::read_filter::filter;
use super::read_points::{Numbers, is_inference, numbers, point_id, shard_key, sparse_vector};
use crate::qdrant::error::{unsupported, wrong};

/// Reads a query.
pub(super) fn query_points(members: &mut Members) -> Read<q::QueryPoints> {
    Ok(q::QueryPoints {
        prefetch: prefetches(members)?,
        query: members.take("query", query)?,
        using: members.take("using", string)?,
        filter: members.take("filter", filter)?,
        params: members.take("params", params)?,
        score_threshold: members.take("score_threshold", float)?,
        limit: members.take("limit", unsigned)?,
        offset: members.take("offset", unsigned)?,
        with_vectors: with_vectors(members)?,
        with_payload: members.take("with_payload", with_payload)?,
        shard_key_selector: shard_key(members)?,
        lookup_from: members.take("lookup_from", lookup_from)?,
        ..Default::default()
    })
}

/// Reads several queries.
pub(super) fn query_batch(members: &mut Members) -> Read<Vec<q::QueryPoints>> {
    members.need("searches", |value| list(value, |value| object(value, query_points)))
}

/// Reads a query whose results stand in groups.
pub(super) fn query_groups(members: &mut Members) -> Read<q::QueryPointGroups> {
    Ok(q::QueryPointGroups {
        prefetch: prefetches(members)?,
        query: members.take("query", query)?,
        using: members.take("using", string)?,
        filter: members.take("filter", filter)?,
        params: members.take("params", params)?,
        score_threshold: members.take("score_threshold", float)?,
        with_payload: members.take("with_payload", with_payload)?,
        with_vectors: with_vectors(members)?,
        lookup_from: members.take("lookup_from", lookup_from)?,
        limit: members.take("limit", unsigned)?,
        group_size: members.take("group_size", unsigned)?,
        group_by: members.need("group_by", string)?,
        with_lookup: members.take("with_lookup", with_lookup)?,
        shard_key_selector: shard_key(members)?,
        ..Default::default()
    })
}

fn prefetches(members: &mut Members) -> Read<Vec<q::PrefetchQuery>> {
    Ok(members.take("prefetch", |value| one_or_list(value, prefetch))?.unwrap_or_default())
}

fn prefetch(value: Value) -> Read<q::PrefetchQuery> {
    object(value, |members| {
        Ok(q::PrefetchQuery {
            prefetch: prefetches(members)?,
            query: members.take("query", query)?,
            using: members.take("using", string)?,
            filter: members.take("filter", filter)?,
            params: members.take("params", params)?,
            score_threshold: members.take("score_threshold", float)?,
            limit: members.take("limit", unsigned)?,
            lookup_from: members.take("lookup_from", lookup_from)?,
        })
    })
}

/// The members by which an object is a query, and not a vector.
const KINDS: [&str; 10] = [
    "nearest",
    "recommend",
    "discover",
    "context",
    "order_by",
    "fusion",
    "rrf",
    "formula",
    "sample",
    "relevance_feedback",
];

fn query(value: Value) -> Read<q::Query> {
    let is_query = |name: &&str| value.get(name).is_some();
    let is_text = value.get("text").is_some() && !is_inference(&value);
    if !is_text && !KINDS.iter().any(is_query) {
        let variant = Some(Variant::Nearest(vector_input(value)?));
        return Ok(q::Query { variant });
    }
    let variant = object(value, |members| {
        if let Some(nearest) = members.take("nearest", vector_input)? {
            return Ok(match members.take("mmr", mmr)? {
                Some(mmr) => Variant::NearestWithMmr(q::NearestInputWithMmr {
                    nearest: Some(nearest),
                    mmr: Some(mmr),
                }),
                None => Variant::Nearest(nearest),
            });
        }
        if let Some(input) = members.take("recommend", recommend)? {
            return Ok(Variant::Recommend(input));
        }
        if let Some(input) = members.take("discover", discover)? {
            return Ok(Variant::Discover(input));
        }
        if let Some(input) = members.take("context", context)? {
            return Ok(Variant::Context(input));
        }
        if let Some(order) = members.take("order_by", order_by)? {
            return Ok(Variant::OrderBy(order));
        }
        if let Some(fusion) = members.take("fusion", fusion)? {
            return Ok(Variant::Fusion(fusion));
        }
        if let Some(rrf) = members.take("rrf", rrf)? {
            return Ok(Variant::Rrf(rrf));
        }
        if let Some(sample) = members.take("sample", string)? {
            return match &*sample {
                "random" => Ok(Variant::Sample(q::Sample::Random as i32)),
                _ => Err(wrong(format!("unknown sample {sample:?}: expected random"))),
            };
        }
        if let Some(input) = members.take("relevance_feedback", feedback)? {
            return Ok(Variant::RelevanceFeedback(input));
        }
        if members.has("formula") {
            return Err(unsupported("query formula"));
        }
        Err(unsupported("query text"))
    })?;
    Ok(q::Query { variant: Some(variant) })
}

fn vector_input(value: Value) -> Read<q::VectorInput> {
    use q::vector_input::Variant as Input;

    let variant = match value {
        Value::Array(_) => match numbers(value)? {
            Numbers::One(vector) => Input::Dense(vector),
            Numbers::Many(vectors) => Input::MultiDense(vectors),
        },
        Value::Number(_) | Value::String(_) => Input::Id(point_id(value)?),
        value if is_inference(&value) => return Err(unsupported("inference in a request")),
        Value::Object(_) => Input::Sparse(sparse_vector(value)?),
        other => return Err(expected("a vector or a point id", &other)),
    };
    Ok(q::VectorInput { variant: Some(variant) })
}

fn mmr(value: Value) -> Read<q::Mmr> {
    object(value, |members| {
        Ok(q::Mmr {
            diversity: members.take("diversity", float)?,
            candidates_limit: members.take("candidates_limit", unsigned)?,
        })
    })
}

fn recommend(value: Value) -> Read<q::RecommendInput> {
    object(value, |members| {
        Ok(q::RecommendInput {
            positive: members.list("positive", vector_input)?,
            negative: members.list("negative", vector_input)?,
            strategy: members.take("strategy", |value| {
                let text = string(value)?;
                let strategy = match &*text {
                    "average_vector" => q::RecommendStrategy::AverageVector,
                    "best_score" => q::RecommendStrategy::BestScore,
                    "sum_scores" => q::RecommendStrategy::SumScores,
                    _ => return Err(wrong(format!("unknown strategy {text:?}"))),
                };
                Ok(strategy as i32)
            })?,
        })
    })
}

fn discover(value: Value) -> Read<q::DiscoverInput> {
    object(value, |members| {
        let target = Some(members.need("target", vector_input)?);
        Ok(q::DiscoverInput { target, context: members.take("context", context)? })
    })
}

fn context(value: Value) -> Read<q::ContextInput> {
    let pair = |value| {
        object(value, |members| {
            let positive = Some(members.need("positive", vector_input)?);
            let negative = Some(members.need("negative", vector_input)?);
            Ok(q::ContextInputPair { positive, negative })
        })
    };
    Ok(q::ContextInput { pairs: one_or_list(value, pair)? })
}

fn feedback(value: Value) -> Read<q::RelevanceFeedbackInput> {
    object(value, |members| {
        let target = Some(members.need("target", vector_input)?);
        let item = |value| {
            object(value, |members| {
                let example = Some(members.need("example", vector_input)?);
                Ok(q::FeedbackItem { example, score: members.need("score", float)? })
            })
        };
        let feedback = members.need("feedback", |value| list(value, item))?;
        let naive = members.need("strategy", |value| {
            object(value, |members| {
                members.need("naive", |value| {
                    object(value, |members| {
                        Ok(q::NaiveFeedbackStrategy {
                            a: members.need("a", float)?,
                            b: members.need("b", float)?,
                            c: members.need("c", float)?,
                        })
                    })
                })
            })
        })?;
        let variant = Some(q::feedback_strategy::Variant::Naive(naive));
        let strategy = Some(q::FeedbackStrategy { variant });
        Ok(q::RelevanceFeedbackInput { target, feedback, strategy })
    })
}

fn fusion(value: Value) -> Read<i32> {
    let text = string(value)?;
    match &*text {
        "rrf" => Ok(q::Fusion::Rrf as i32),
        "dbsf" => Ok(q::Fusion::Dbsf as i32),
        _ => Err(wrong(format!("unknown fusion {text:?}: expected rrf or dbsf"))),
    }
}

fn rrf(value: Value) -> Read<q::Rrf> {
    object(value, |members| {
        Ok(q::Rrf { k: members.take("k", unsigned)?, weights: members.list("weights", float)? })
    })
}

/// Reads an order: the name of a field, or more.
fn order_by(value: Value) -> Read<q::OrderBy> {
    if value.is_string() {
        return Ok(q::OrderBy { key: string(value)?, ..Default::default() });
    }
    object(value, |members| {
        let key = members.need("key", string)?;
        let direction = members.take("direction", |value| {
            let text = string(value)?;
            match &*text {
                "asc" => Ok(q::Direction::Asc as i32),
                "desc" => Ok(q::Direction::Desc as i32),
                _ => Err(wrong(format!("unknown direction {text:?}: expected asc or desc"))),
            }
        })?;
        let start_from = members.take("start_from", |value| {
            use q::start_from::Value as Start;

            let start = match value {
                Value::String(text) => Start::Datetime(text),
                value => match value.as_i64() {
                    Some(integer) => Start::Integer(integer),
                    None => Start::Float(double(value)?),
                },
            };
            Ok(q::StartFrom { value: Some(start) })
        })?;
        Ok(q::OrderBy { key, direction, start_from })
    })
}

fn params(value: Value) -> Read<q::SearchParams> {
    object(value, |members| {
        let quantization = members.take("quantization", |value| {
            object(value, |members| {
                Ok(q::QuantizationSearchParams {
                    ignore: members.take("ignore", boolean)?,
                    rescore: members.take("rescore", boolean)?,
                    oversampling: members.take("oversampling", double)?,
                })
            })
        })?;
        members.pass_over(&["acorn"]);
        let idf = members.take("idf", super::members::anything)?;
        Ok(q::SearchParams {
            hnsw_ef: members.take("hnsw_ef", unsigned)?,
            exact: members.take("exact", boolean)?,
            quantization,
            indexed_only: members.take("indexed_only", boolean)?,
            acorn: None,
            idf: idf.map(|()| q::IdfParams::default()),
        })
    })
}

fn lookup_from(value: Value) -> Read<q::LookupLocation> {
    object(value, |members| {
        Ok(q::LookupLocation {
            collection_name: members.need("collection", string)?,
            vector_name: members.take("vector", string)?,
            shard_key_selector: shard_key(members)?,
        })
    })
}

fn with_lookup(value: Value) -> Read<q::WithLookup> {
    if value.is_string() {
        return Ok(q::WithLookup { collection: string(value)?, ..Default::default() });
    }
    object(value, |members| {
        Ok(q::WithLookup {
            collection: members.need("collection", string)?,
            with_payload: members.take("with_payload", with_payload)?,
            with_vectors: with_vectors(members)?,
        })
    })
}

/// Reads which parts of payloads are wanted.
fn with_payload(value: Value) -> Read<q::WithPayloadSelector> {
    use q::with_payload_selector::SelectorOptions;

    let names = |value| list(value, string);
    let options = match value {
        Value::Bool(enable) => SelectorOptions::Enable(enable),
        Value::Array(_) => {
            SelectorOptions::Include(q::PayloadIncludeSelector { fields: names(value)? })
        }
        value => object(value, |members| {
            if let Some(fields) = members.take("include", names)? {
                return Ok(SelectorOptions::Include(q::PayloadIncludeSelector { fields }));
            }
            let fields = members.need("exclude", names)?;
            Ok(SelectorOptions::Exclude(q::PayloadExcludeSelector { fields }))
        })?,
    };
    Ok(q::WithPayloadSelector { selector_options: Some(options) })
}

/// Reads which vectors are wanted; both spellings of the member are in use.
fn with_vectors(members: &mut Members) -> Read<Option<q::WithVectorsSelector>> {
    use q::with_vectors_selector::SelectorOptions;

    let read = |value| {
        let options = match value {
            Value::Bool(enable) => SelectorOptions::Enable(enable),
            value => {
                SelectorOptions::Include(q::VectorsSelector { names: one_or_list(value, string)? })
            }
        };
        Ok(q::WithVectorsSelector { selector_options: Some(options) })
    };
    Ok(match members.take("with_vector", read)? {
        Some(selector) => Some(selector),
        None => members.take("with_vectors", read)?,
    })
}

/// Reads ids to look up.
pub(super) fn get(members: &mut Members) -> Read<q::GetPoints> {
    Ok(q::GetPoints {
        ids: members.need("ids", |value| list(value, point_id))?,
        with_payload: members.take("with_payload", with_payload)?,
        with_vectors: with_vectors(members)?,
        shard_key_selector: shard_key(members)?,
        ..Default::default()
    })
}

/// Reads which page is wanted.
pub(super) fn scroll(members: &mut Members) -> Read<q::ScrollPoints> {
    Ok(q::ScrollPoints {
        filter: members.take("filter", filter)?,
        offset: members.take("offset", point_id)?,
        limit: members.take("limit", unsigned)?,
        with_payload: members.take("with_payload", with_payload)?,
        with_vectors: with_vectors(members)?,
        order_by: members.take("order_by", order_by)?,
        shard_key_selector: shard_key(members)?,
        ..Default::default()
    })
}

/// Reads what is counted.
pub(super) fn count(members: &mut Members) -> Read<q::CountPoints> {
    Ok(q::CountPoints {
        filter: members.take("filter", filter)?,
        exact: members.take("exact", boolean)?,
        shard_key_selector: shard_key(members)?,
        ..Default::default()
    })
}

/// Reads whose values are counted.
pub(super) fn facet(members: &mut Members) -> Read<q::FacetCounts> {
    Ok(q::FacetCounts {
        key: members.need("key", string)?,
        filter: members.take("filter", filter)?,
        limit: members.take("limit", unsigned)?,
        exact: members.take("exact", boolean)?,
        shard_key_selector: shard_key(members)?,
        ..Default::default()
    })
}

/// Reads which points are compared with each other.
pub(super) fn matrix(members: &mut Members) -> Read<q::SearchMatrixPoints> {
    Ok(q::SearchMatrixPoints {
        filter: members.take("filter", filter)?,
        sample: members.take("sample", unsigned)?,
        limit: members.take("limit", unsigned)?,
        using: members.take("using", string)?,
        shard_key_selector: shard_key(members)?,
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variant(value: Value) -> Variant {
        query(value).unwrap().variant.unwrap()
    }

    #[test]
    fn what_is_no_query_is_a_vector_to_be_near_to() {
        let plain = variant(json!([0.5, 1.0]));
        assert_eq!(plain, variant(json!({"nearest": [0.5, 1.0]})));
        for id in [json!(7), json!("a7")] {
            let Variant::Nearest(input) = variant(id) else { panic!("no nearest") };
            assert!(matches!(input.variant, Some(q::vector_input::Variant::Id(_))));
        }
        let Variant::Nearest(input) = variant(json!({"indices": [1], "values": [2]})) else {
            panic!("no nearest")
        };
        assert!(matches!(input.variant, Some(q::vector_input::Variant::Sparse(_))));
    }

    #[test]
    fn queries_of_every_kind_are_read() {
        let pair = json!({"positive": 1, "negative": 2});
        let kinds = [
            json!({"nearest": 1, "mmr": {"diversity": 0.3}}),
            json!({"recommend": {"positive": [1], "strategy": "best_score"}}),
            json!({"discover": {"target": 1, "context": [pair]}}),
            json!({"context": pair}),
            json!({"order_by": {"key": "a", "direction": "desc", "start_from": 5}}),
            json!({"fusion": "dbsf"}),
            json!({"rrf": {"k": 3, "weights": [1, 2]}}),
            json!({"sample": "random"}),
        ];
        for kind in kinds {
            assert!(!matches!(variant(kind.clone()), Variant::Nearest(_)), "{kind}");
        }
        let formula = query(json!({"formula": "$score"})).unwrap_err();
        assert!(formula.message().contains("query formula"), "{formula:?}");
    }

    #[test]
    fn unknown_members_are_named() {
        let request = json!({"query": [1.0], "prefetch": {"query": [1.0], "limt": 3}});
        let error = object(request, query_points).unwrap_err();
        assert_eq!(error.message(), "prefetch: unknown field `limt`");
    }
}
