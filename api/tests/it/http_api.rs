//! `/api/v1`, its description, and the console.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bigrain_api::proto::{
    CollectionConfig, CreateCollectionRequest, FieldConfig, Metric, NamedVector, Point,
    SparseFieldConfig, SparseVector, TextField, UpsertRequest,
};
use bigrain_api::{ModelRegistry, Settings};
use bigrain_encoders::{EncodeOptions, ImageModel, Runtime, TextEncoder};
use serde_json::{Value, json};

use crate::access::{READER, TEAM, WRITER, settings, shown};
use crate::support::{
    TOY, TOY_DIMS, TestServer, config, num, point, text, toy, toy_models, upsert,
};

const TEXTS: [&str; 3] = ["a cat sat on the mat", "dogs bark at night", "heat in a slab"];

/// A collection with a model, words and a sparse field, and three points.
async fn server() -> TestServer {
    let server = TestServer::start().await;
    let config = CollectionConfig {
        metric: Metric::Cosine.into(),
        model: Some(TOY.to_owned()),
        text_fields: vec![TextField { paths: vec!["text".to_owned()], ..TextField::default() }],
        sparse_fields: vec![SparseFieldConfig { name: "words".to_owned(), ..Default::default() }],
        ..CollectionConfig::default()
    };
    server.create("docs", config).await.unwrap();
    let points = TEXTS.iter().zip(1..).map(|(text, number)| Point {
        payload_json: json!({"text": text, "year": 1990 + number}).to_string(),
        vectors: vec![NamedVector {
            field: "words".to_owned(),
            sparse: Some(SparseVector { indices: vec![number], values: vec![1.0] }),
            ..NamedVector::default()
        }],
        ..point(num(number.into()), &toy().encode_query(text).unwrap())
    });
    let request = UpsertRequest {
        space: Some(toy().space().to_string()),
        ..upsert("docs", points.collect())
    };
    server.points().upsert(request).await.unwrap();
    server
}

async fn get(server: &TestServer, path: &str) -> (u16, Value) {
    let reply = server.http("GET", path, &[], "").await;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

async fn post(server: &TestServer, path: &str, body: &Value) -> (u16, Value) {
    let reply = server.http("POST", path, &[], &body.to_string()).await;
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

async fn search(server: &TestServer, body: &Value) -> (u16, Value) {
    post(server, "/api/v1/collections/docs/search", body).await
}

fn ids(reply: &Value) -> Vec<u64> {
    reply["points"].as_array().unwrap().iter().map(|point| point["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_search_by_any_way_finds_the_same_as_over_grpc() {
    let server = server().await;
    for (body, first) in [
        (json!({"text": "dogs bark"}), 2),
        (json!({"words": "slab"}), 3),
        (json!({"vector": toy().encode_query("the mat").unwrap()}), 1),
        (json!({"sparse": {"indices": [3], "values": [2.0]}}), 3),
        (json!({"text": "dogs bark", "filter": {"field": "year", "lt": 1992}}), 1),
        (json!({"text": "dogs bark", "exact": true, "target_recall": 0.5, "filter": null}), 2),
    ] {
        let (status, reply) = search(&server, &body).await;
        assert_eq!((status, ids(&reply)[0]), (200, first), "{body}");
        assert_eq!(reply["points"][0]["payload"]["text"], TEXTS[first as usize - 1]);
        assert!(reply["server_time_us"].as_u64().unwrap() > 0, "{reply}");
    }
    let (_, reply) = search(&server, &json!({"like": 1, "explain": true, "limit": 5})).await;
    let mut found = ids(&reply);
    found.sort_unstable();
    assert_eq!(found, [2, 3], "an example is no result of its own");
    assert_eq!(reply["plan"]["sources"][0]["source"], "memtable");
    assert_eq!(reply["stats"]["codes_scanned"], 3);
    let (_, reply) = search(&server, &json!({"text": "dogs", "with_payload": false})).await;
    assert_eq!((&reply["points"][0]["payload"], &reply["plan"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn refusals_say_what_was_expected() {
    let server = server().await;
    for (body, status, words) in [
        (json!({}), 400, "expected one of text, words, vector"),
        (json!({"text": "a", "like": 1}), 400, "found 2"),
        (json!({"text": "a", "limits": 1}), 400, "unknown field `limits`"),
        (json!({"like": 1.5}), 400, "expected the id of a point"),
        (json!({"like": 77}), 404, "77"),
        (json!({"vector": [1.0]}), 400, "dimension"),
        (json!({"text": "a", "former_vector": [1.0]}), 400, "expected a vector beside it"),
        (json!({"text": "a", "filter": {"field": 7}}), 400, "filter"),
        (json!({"text": "a", "target_recall": 2}), 400, "target recall out of range"),
        (json!({"image": "%"}), 400, "image: base64"),
        (json!({"image": STANDARD.encode("GIF")}), 400, "encodes no images"),
        (json!([]), 400, "request body"),
    ] {
        let (code, reply) = search(&server, &body).await;
        let message = reply["error"].as_str().unwrap();
        assert!(code == status && message.contains(words), "{body}: {code} {message}");
    }
    let (status, reply) = get(&server, "/api/v1/collections/absent").await;
    assert_eq!((status, reply["error"].as_str().is_some()), (404, true));
    let (status, reply) = get(&server, "/api/v1/nothing").await;
    assert_eq!((status, &reply["error"]), (404, &json!("no call GET /api/v1/nothing")));
    let (status, _) = get(&server, "/api/v1/collections/%ff").await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn collections_points_values_and_memory_are_described() {
    let server = server().await;
    let (_, one) = get(&server, "/api/v1/collections/docs").await;
    assert_eq!((&one["points"], &one["memtable_points"]), (&json!(3), &json!(3)));
    let (dense, sparse) = (&one["fields"][0], &one["fields"][1]);
    assert_eq!((&dense["dims"], &dense["model"]), (&json!(TOY_DIMS), &json!(TOY)));
    assert_eq!((&dense["metric"], &sparse["kind"]), (&json!("cosine"), &json!("sparse")));
    assert_eq!(one["text_fields"][0]["name"], "text");
    let (_, all) = get(&server, "/api/v1/collections").await;
    assert_eq!(all["collections"], json!([one]));

    let scroll = "/api/v1/collections/docs/scroll";
    let order = json!({"limit": 2, "order_by": {"field": "year", "descending": true}});
    let (_, page) = post(&server, scroll, &order).await;
    assert_eq!(ids(&page), [3, 2]);
    let mut next = order.clone();
    next["cursor"] = page["cursor"].clone();
    next["with_vectors"] = json!(true);
    let (_, page) = post(&server, scroll, &next).await;
    assert_eq!((ids(&page), &page["cursor"]), (vec![1], &Value::Null));
    assert_eq!(page["points"][0]["vector"].as_array().unwrap().len(), TOY_DIMS as usize);
    assert_eq!(page["points"][0]["vectors"]["words"], json!({"indices": [1], "values": [1.0]}));

    let (_, points) =
        post(&server, "/api/v1/collections/docs/points", &json!({"ids": [2, "none"]})).await;
    assert_eq!((ids(&points), &points["missing"]), (vec![2], &json!(["none"])));
    let facet = json!({"field": "year", "filter": {"field": "year", "gt": 1991}});
    let (_, values) = post(&server, "/api/v1/collections/docs/facet", &facet).await;
    assert_eq!(values["values"], json!([{"value": 1992, "count": 1}, {"value": 1993, "count": 1}]));

    let (_, models) = get(&server, "/api/v1/models").await;
    assert_eq!(
        (&models["models"][0]["name"], &models["models"][0]["images"]),
        (&json!(TOY), &json!(false))
    );
    let (_, memory) = get(&server, "/api/v1/memory").await;
    let owners = memory["owners"].as_object().unwrap().values().map(|size| size.as_u64().unwrap());
    assert_eq!(memory["used"].as_u64().unwrap(), owners.sum::<u64>());
    assert!(memory["owners"]["memtables"].as_u64().unwrap() > 0);
}

/// Every call of the document: method, path of a point of `docs`, and whether it takes a key.
fn documented() -> Vec<(String, String, bool)> {
    let document: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    let mut calls = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, call) in methods.as_object().unwrap() {
            let path = path.replace("{collection}", "docs").replace("{id}", "1");
            let keyed = !call["security"].as_array().is_some_and(Vec::is_empty);
            calls.push((method.to_uppercase(), path, keyed));
        }
    }
    calls
}

#[tokio::test]
async fn every_call_that_is_described_asks_for_a_key_and_keeps_to_its_collections() {
    let server = TestServer::start_with(settings(), toy_models()).await;
    let create =
        CreateCollectionRequest { name: "docs".to_owned(), config: Some(config(2, Metric::Dot)) };
    server.collections().create(shown(WRITER, create)).await.unwrap();
    let mut refused = 0;
    for (method, path, keyed) in documented() {
        for (secret, wrong) in
            [(None, true), (Some("secret-of-nobody-here"), true), (Some(READER), false)]
        {
            let headers: Vec<_> = secret.iter().map(|secret| ("api-key", *secret)).collect();
            let reply = server.http(&method, &path, &headers, "{}").await;
            assert_eq!(reply.status == 401, keyed && wrong, "{method} {path} {secret:?}");
            assert!(!reply.body.contains("no call"), "{method} {path} is not there");
            assert_ne!(reply.status, 405, "{method} {path}");
        }
        if path.contains("/docs") {
            let body = match path.rsplit('/').next() {
                Some("search") => r#"{"vector": [1.0, 0.0]}"#,
                Some("points") => r#"{"ids": []}"#,
                Some("facet") => r#"{"field": "a"}"#,
                _ => "{}",
            };
            let reply = server.http(&method, &path, &[("api-key", TEAM)], body).await;
            assert_eq!(reply.status, 403, "{method} {path}: {}", reply.body);
            refused += 1;
        }
    }
    assert_eq!(refused, 6);
    let listed = server.http("GET", "/api/v1/collections", &[("api-key", TEAM)], "").await;
    assert!(listed.body.contains(r#""collections":[]"#), "{}", listed.body);
}

#[tokio::test]
async fn browsers_get_the_console_at_the_root_and_programs_the_version() {
    let server = TestServer::start_with(settings(), toy_models()).await;
    let page = server.http("GET", "/", &[("accept", "text/html,*/*;q=0.8")], "").await;
    assert_eq!(page.status, 200);
    assert!(page.body.starts_with("<!doctype html>"), "{}", page.body);
    for line in [
        "content-security-policy: default-src 'none'; script-src 'self'",
        "content-type: text/html",
        "x-content-type-options: nosniff",
    ] {
        assert!(page.head.contains(line), "{line}: {}", page.head);
    }
    // Whatever a page or a script asks for is there, without a key.
    let mut asked = vec!["/console/main.js".to_owned(), "/console/style.css".to_owned()];
    let mut seen = 0;
    while seen < asked.len() {
        let file = server.http("GET", &asked[seen], &[], "").await;
        assert_eq!(file.status, 200, "{}", asked[seen]);
        for import in file.body.split("from \"./").skip(1) {
            let name = format!("/console/{}", import.split('"').next().unwrap());
            if !asked.contains(&name) {
                asked.push(name);
            }
        }
        seen += 1;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    assert_eq!(seen + 1, fs::read_dir(folder).unwrap().count(), "{asked:?}");

    let version = server.http("GET", "/", &[("accept", "application/json")], "").await;
    assert!(version.body.contains(r#""version":"#), "{}", version.body);
    let described = server.http("GET", "/openapi.json", &[], "").await;
    assert!(described.body.contains(r#""openapi": "3.0.3""#), "{}", described.body);
}

#[tokio::test]
async fn pictures_are_found_by_a_picture_and_shown_from_the_folder_that_was_named() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoders/tests/data");
    let pictures = data.join("preprocess-small");
    let models = ModelRegistry::open(&[data.join("clip-tiny")], 1).unwrap();
    let settings = Settings { pictures: Some(pictures.clone()), ..Settings::default() };
    let server = TestServer::start_with(settings, models).await;
    let field = FieldConfig {
        name: "image".to_owned(),
        metric: Metric::Cosine.into(),
        model: Some("clip-tiny".to_owned()),
        ..FieldConfig::default()
    };
    let config = CollectionConfig { other_fields: vec![field], ..config(2, Metric::Dot) };
    server.create("docs", config).await.unwrap();

    let model = ImageModel::open(&data.join("clip-tiny"), Runtime::new(1).unwrap()).unwrap();
    let names = ["0_97x64.png", "3_98x65.png"];
    let mut points = Vec::new();
    for name in names {
        let pixels = model.read_file(&pictures.join(name)).unwrap().pixels;
        let encoded = model.encoder().encode_images(&[pixels], &EncodeOptions::default()).unwrap();
        let vector = NamedVector {
            field: "image".to_owned(),
            values: encoded.into_data(),
            ..NamedVector::default()
        };
        points.push(Point {
            payload_json: json!({"file": name, "escape": "../README.md"}).to_string(),
            vectors: vec![vector],
            ..point(text(name), &[])
        });
    }
    server.upsert(points).await.unwrap();
    for name in names {
        let image = STANDARD.encode(fs::read(pictures.join(name)).unwrap());
        let (status, reply) = search(&server, &json!({"image": image, "field": "image"})).await;
        assert_eq!((status, &reply["points"][0]["id"]), (200, &json!(name)), "{reply}");
        assert!(reply["points"][0]["score"].as_f64().unwrap() > 0.999, "{reply}");
    }
    let path =
        |id: &str, field: &str| format!("/api/v1/collections/docs/points/{id}/picture{field}");
    let shown = server.http("GET", &path(names[0], ""), &[], "").await;
    assert!(shown.status == 200 && shown.head.contains("image/jpeg"), "{}", shown.head);
    for (id, field) in [(names[0], "?field=escape"), (names[0], "?field=none"), ("absent", "")] {
        assert_eq!(server.http("GET", &path(id, field), &[], "").await.status, 404, "{id} {field}");
    }
    let (_, models) = get(&server, "/api/v1/models").await;
    assert_eq!(models["models"][0]["images"], true);
}
