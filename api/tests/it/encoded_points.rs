//! Points whose vectors the server makes, of texts and of images.

use std::path::Path;

use bigrain_api::proto::named_vector::Source as NamedSource;
use bigrain_api::proto::point::Source;
use bigrain_api::proto::upsert_stream_reply::Outcome;
use bigrain_api::proto::{
    AddFieldRequest, CollectionConfig, FieldConfig, GetRequest, Metric, NamedVector, Point,
    SearchImageRequest, SearchTextRequest, StoredPoint, UpdateVectorsRequest, UpsertStreamRequest,
};
use bigrain_api::{ModelRegistry, Settings};
use bigrain_encoders::{EncodeOptions, TextEncoder};
use tokio_stream::StreamExt;
use tonic::Code;

use crate::support::{
    TOY, TOY_DIMS, TestServer, assert_status, config, num, point, toy, toy_models, upsert,
};

/// A server with a collection `docs` whose first field has the toy model, as has `title`; `bare` has none.
async fn server(settings: Settings) -> TestServer {
    let server = TestServer::start_with(settings, toy_models()).await;
    let model = Some(TOY.to_owned());
    server.create("docs", CollectionConfig { model, ..cosine(0) }).await.unwrap();
    for (name, dims, model) in [("title", 0, Some(TOY)), ("bare", 2, None)] {
        let field = FieldConfig {
            name: name.to_owned(),
            dims,
            metric: Metric::Cosine.into(),
            model: model.map(str::to_owned),
            ..FieldConfig::default()
        };
        let request = AddFieldRequest {
            collection: "docs".to_owned(),
            field: Some(field),
            ..AddFieldRequest::default()
        };
        server.collections().add_field(request).await.unwrap();
    }
    server
}

fn cosine(dims: u32) -> CollectionConfig {
    config(dims, Metric::Cosine)
}

fn of_text(id: u64, text: &str) -> Point {
    Point { source: Some(Source::Text(text.to_owned())), ..point(num(id), &[]) }
}

fn titled(id: u64, field: &str, title: &str) -> Point {
    let source = Some(NamedSource::Text(title.to_owned()));
    let vector = NamedVector { field: field.to_owned(), source, ..NamedVector::default() };
    Point { vectors: vec![vector], ..point(num(id), &[]) }
}

async fn stored(server: &TestServer, id: u64) -> StoredPoint {
    let request = GetRequest {
        collection: "docs".to_owned(),
        ids: vec![num(id)],
        with_vectors: true,
        with_payload: None,
    };
    server.points().get(request).await.unwrap().into_inner().points.remove(0)
}

fn title(point: &StoredPoint) -> Option<&[f32]> {
    let vector = point.vectors.iter().find(|vector| vector.field == "title")?;
    Some(&vector.values)
}

#[track_caller]
fn assert_near(actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len());
    let distance = actual.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Under cosine vectors are made one long once more.
    assert!(distance < 1e-5, "{actual:?} {expected:?}");
}

fn document(text: &str) -> Vec<f32> {
    toy().encode(&[text], &EncodeOptions::default()).unwrap().into_data()
}

#[tokio::test]
async fn texts_become_the_vectors_that_their_model_gives_and_are_found_by_text() {
    let server = server(Settings::default()).await;
    let mut both = titled(2, "title", "the second title");
    both.source = Some(Source::Text("a second text".to_owned()));
    let given = point(num(3), &vec![1.0; TOY_DIMS as usize]);
    let points =
        vec![of_text(1, "the first text"), both, given, titled(4, "title", "only a title")];
    let reply = server.points().upsert(upsert("docs", points)).await.unwrap().into_inner();
    assert_eq!((reply.inserted, reply.truncated_texts), (4, 0));

    assert_near(&stored(&server, 1).await.vector, &document("the first text"));
    let second = stored(&server, 2).await;
    assert_near(&second.vector, &document("a second text"));
    assert_near(title(&second).unwrap(), &document("the second title"));
    assert_eq!(title(&stored(&server, 3).await), None);
    assert!(stored(&server, 4).await.vector.is_empty());

    let request = SearchTextRequest {
        collection: "docs".to_owned(),
        text: "the second title".to_owned(),
        field: Some("title".to_owned()),
        ..SearchTextRequest::default()
    };
    let found = server.search().search_text(request).await.unwrap().into_inner();
    assert_eq!(found.points[0].id, Some(num(2)));
}

#[tokio::test]
async fn vectors_are_replaced_by_those_of_texts() {
    let server = server(Settings::default()).await;
    server.upsert(vec![of_text(1, "before"), titled(2, "title", "kept")]).await.unwrap();
    let request = UpdateVectorsRequest {
        collection: "docs".to_owned(),
        points: vec![of_text(1, "after"), of_text(9, "absent")],
        ..UpdateVectorsRequest::default()
    };
    let reply = server.points().update_vectors(request).await.unwrap().into_inner();
    assert_eq!((reply.updated, reply.missing), (1, 1));
    assert_near(&stored(&server, 1).await.vector, &document("after"));
}

#[tokio::test]
async fn a_text_that_cannot_be_encoded_is_named_and_nothing_of_its_batch_is_stored() {
    let server = server(Settings::default()).await;
    let vector = vec![1.0; TOY_DIMS as usize];
    let both = Point { vector: vector.clone(), ..of_text(2, "a text") };
    let mut beside = titled(2, "title", "a text");
    beside.vectors[0].values = vector.clone();
    let mut stated = titled(2, "title", "a text");
    stated.vectors[0].space = Some("0".repeat(32));
    let image = Point { source: Some(Source::Image(vec![1, 2, 3])), ..point(num(2), &[]) };
    for (wrong, code, words) in [
        (of_text(2, " "), Code::InvalidArgument, &["points[1]: text is empty"][..]),
        (both, Code::InvalidArgument, &["points[1]: ", "a vector or a text: found both"]),
        (beside, Code::InvalidArgument, &["points[1]: field \"title\": ", "found both"]),
        (titled(2, "absent", "a"), Code::NotFound, &["points[1]: ", "absent"]),
        (
            titled(2, "bare", "a"),
            Code::FailedPrecondition,
            &["points[1]: field \"bare\"", "no model to encode with: send its vector"],
        ),
        (stated, Code::FailedPrecondition, &["points[1]: embedding space mismatch", TOY]),
        (image, Code::FailedPrecondition, &["points[1]: model \"toy\" encodes no images"]),
    ] {
        let good = point(num(1), &vector);
        let status = server.upsert(vec![good, wrong]).await.unwrap_err();
        assert_status(&status, code, words);
        assert_eq!(server.count().await, 0, "{words:?}");
    }
    let mut request = upsert("docs", vec![of_text(1, "a")]);
    request.space = Some("0".repeat(32));
    let status = server.points().upsert(request).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["points[0]: embedding space mismatch"]);
    assert_eq!(server.count().await, 0);
}

#[tokio::test]
async fn a_model_that_is_not_loaded_is_named() {
    let models = ModelRegistry::new();
    let server = TestServer::start_with(Settings::default(), models).await;
    let engine = server.engine.clone();
    let config = bigrain_engine::CollectionConfig::new(2, bigrain_engine::Metric::Dot);
    engine.create_collection("docs", config.with_model("models/gone")).unwrap();
    let status = server.upsert(vec![of_text(1, "a")]).await.unwrap_err();
    let words = ["points[0]: model \"models/gone\" is not loaded", "has loaded none"];
    assert_status(&status, Code::NotFound, &words);
    assert_eq!(server.count().await, 0);
}

#[tokio::test]
async fn more_texts_than_a_request_may_have_are_refused_by_the_name_of_the_setting() {
    let settings = Settings { max_texts_per_encode: Some(2), ..Settings::default() };
    let server = server(settings).await;
    let texts = |count: u64| (0..count).map(|id| of_text(id, "a text")).collect();
    let status = server.upsert(texts(3)).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["3 texts", "max_texts_per_encode"]);
    server.upsert(texts(2)).await.unwrap();
}

#[tokio::test]
async fn a_stream_takes_texts_and_goes_on_after_a_refused_batch() {
    let server = server(Settings::default()).await;
    let batches = [of_text(1, "the first"), of_text(2, ""), of_text(3, "the third")];
    let batches = batches.into_iter().zip(1..).map(|(point, batch)| UpsertStreamRequest {
        batch,
        upsert: Some(upsert("docs", vec![point])),
    });
    let batches: Vec<UpsertStreamRequest> = batches.collect();
    let replies = server.points().upsert_stream(tokio_stream::iter(batches)).await.unwrap();
    let replies: Vec<_> = replies.into_inner().map(Result::unwrap).collect().await;
    let [first, second, third] = &replies[..] else { panic!("{replies:?}") };
    assert!(matches!(first.outcome, Some(Outcome::Stored(_))), "{first:?}");
    let Some(Outcome::Refused(error)) = &second.outcome else { panic!("{second:?}") };
    assert_eq!(error.message, "points[0]: text is empty");
    assert!(matches!(third.outcome, Some(Outcome::Stored(_))), "{third:?}");
    assert_near(&stored(&server, 3).await.vector, &document("the third"));
}

#[tokio::test]
async fn an_image_becomes_the_vector_that_its_model_gives() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../encoders/tests/data");
    let models = ModelRegistry::open(&[data.join("clip-tiny")], 1).unwrap();
    let server = TestServer::start_with(Settings::default(), models).await;
    let model = Some("clip-tiny".to_owned());
    server.create("docs", CollectionConfig { model, ..cosine(0) }).await.unwrap();
    let image = std::fs::read(data.join("cmyk.jpg")).unwrap();
    let of_image = |id, image| Point { source: Some(Source::Image(image)), ..point(num(id), &[]) };
    let status =
        server.upsert(vec![of_image(1, image.clone()), of_image(2, vec![7; 9])]).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["points[1]: image: "]);
    assert_eq!(server.count().await, 0);

    server.upsert(vec![of_image(1, image.clone()), of_text(2, "a photo of a cat")]).await.unwrap();
    let request = SearchImageRequest {
        collection: "docs".to_owned(),
        image,
        ..SearchImageRequest::default()
    };
    let found = server.search().search_image(request).await.unwrap().into_inner().points;
    assert_eq!((found.len(), &found[0].id), (2, &Some(num(1))));
    assert!((found[0].score - 1.0).abs() < 1e-3, "{found:?}");
    let request = SearchTextRequest {
        collection: "docs".to_owned(),
        text: "a photo of a cat".to_owned(),
        ..SearchTextRequest::default()
    };
    let found = server.search().search_text(request).await.unwrap().into_inner().points;
    assert_eq!(found[0].id, Some(num(2)));
}
