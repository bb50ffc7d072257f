//! Vector fields: made, added, dropped, written, read and searched.

use bigrain_api::proto::{
    AddFieldRequest, CollectionConfig, DropFieldRequest, FieldConfig, GetRequest, Metric,
    NamedVector, Point, PointId, SearchReply, SearchRequest, SearchTextRequest,
};
use bigrain_encoders::TextEncoder;
use tonic::Code;

use crate::support::{TOY, TOY_DIMS, TestServer, assert_status, config, num, point};

fn field(name: &str, dims: u32, metric: Metric) -> FieldConfig {
    FieldConfig { name: name.to_owned(), dims, metric: metric.into(), ..FieldConfig::default() }
}

#[tokio::test]
async fn fields_are_made_with_a_collection_added_and_dropped() {
    let server = TestServer::start().await;
    let two = CollectionConfig {
        field: Some("text".to_owned()),
        other_fields: vec![field("image", 3, Metric::L2)],
        ..config(2, Metric::Dot)
    };
    server.create("docs", two.clone()).await.unwrap();
    let mut client = server.collections();
    let add = |field| AddFieldRequest {
        collection: "docs".to_owned(),
        field: Some(field),
        ..AddFieldRequest::default()
    };
    let sound = field("sound", 4, Metric::Dot);
    let reply = client.add_field(add(sound.clone())).await.unwrap().into_inner();
    let info = reply.collection.unwrap();
    let names: Vec<&str> = info.fields.iter().map(|field| &*field.name).collect();
    assert_eq!(names, ["text", "image", "sound"]);
    let made = info.config.unwrap();
    assert_eq!((made.field(), made.dims, made.other_fields.len()), ("text", 2, 2));
    assert_eq!((made.other_fields[1].dims, made.other_fields[1].levels), (4, Some(2)));

    let again = client.add_field(add(sound)).await.unwrap_err();
    assert_status(&again, Code::AlreadyExists, &["\"sound\""]);
    let bad = client.add_field(add(field("a b", 4, Metric::Dot))).await.unwrap_err();
    assert_status(&bad, Code::InvalidArgument, &["\"a b\""]);
    let model = FieldConfig { model: Some(TOY.to_owned()), ..field("toy", 0, Metric::Cosine) };
    let reply = client.add_field(add(model)).await.unwrap().into_inner();
    assert_eq!(reply.collection.unwrap().config.unwrap().other_fields[2].dims, TOY_DIMS);

    let drop =
        |field: &str| DropFieldRequest { collection: "docs".to_owned(), field: field.to_owned() };
    for name in ["text", "toy", "sound"] {
        client.drop_field(drop(name)).await.unwrap();
    }
    let gone = client.drop_field(drop("text")).await.unwrap_err();
    assert_status(&gone, Code::NotFound, &["\"text\"", "image"]);
    let last = client.drop_field(drop("image")).await.unwrap_err();
    assert_status(&last, Code::FailedPrecondition, &["\"image\""]);
}

#[tokio::test]
async fn points_are_written_read_and_searched_by_field() {
    let server = TestServer::start().await;
    let toy = FieldConfig { model: Some(TOY.to_owned()), ..field("toy", 0, Metric::Cosine) };
    let config = CollectionConfig {
        other_fields: vec![field("image", 3, Metric::L2), toy],
        ..config(2, Metric::Dot)
    };
    server.create("docs", config).await.unwrap();
    let named = |field: &str, values: &[f32]| NamedVector {
        field: field.to_owned(),
        values: values.to_vec(),
        ..NamedVector::default()
    };
    let both = |id: u64, image: &[f32]| Point {
        vectors: vec![named("image", image)],
        ..point(num(id), &[id as f32, 0.0])
    };
    let only = Point { vector: Vec::new(), ..both(3, &[3.0, 0.0, 0.0]) };
    let words = crate::support::toy().encode_query("heat in a slab").unwrap();
    let text = Point { vectors: vec![named("toy", &words)], ..point(num(4), &[]) };
    server
        .upsert(vec![both(1, &[1.0, 0.0, 0.0]), both(2, &[2.0, 0.0, 0.0]), only, text])
        .await
        .unwrap();

    let request = GetRequest {
        collection: "docs".to_owned(),
        ids: vec![num(2), num(3)],
        with_vectors: true,
        with_payload: None,
    };
    let read = server.points().get(request).await.unwrap().into_inner().points;
    assert_eq!(
        (&read[0].vector[..], read[0].vectors[0].field.as_str()),
        (&[2.0, 0.0][..], "image")
    );
    assert_eq!((read[1].vector.len(), &read[1].vectors[0].values[..]), (0, &[3.0, 0.0, 0.0][..]));

    let ids = |reply: SearchReply| -> Vec<PointId> {
        reply.points.into_iter().map(|point| point.id.unwrap()).collect()
    };
    let search = |field: Option<&str>, vector: &[f32]| SearchRequest {
        collection: "docs".to_owned(),
        vector: vector.to_vec(),
        field: field.map(str::to_owned),
        ..SearchRequest::default()
    };
    let mut client = server.search();
    let first = client.search(search(None, &[1.0, 0.0])).await.unwrap().into_inner();
    assert_eq!(ids(first), [num(2), num(1)]);
    let image = client.search(search(Some("image"), &[3.0, 0.0, 0.0])).await.unwrap().into_inner();
    assert_eq!(ids(image), [num(3), num(2), num(1)]);
    let unknown = client.search(search(Some("smell"), &[1.0])).await.unwrap_err();
    assert_status(&unknown, Code::NotFound, &["\"smell\"", "vector, image, toy"]);

    let text = |field: Option<&str>| SearchTextRequest {
        collection: "docs".to_owned(),
        text: "heat in a slab".to_owned(),
        field: field.map(str::to_owned),
        ..SearchTextRequest::default()
    };
    let found = client.search_text(text(Some("toy"))).await.unwrap().into_inner();
    assert_eq!(ids(found), [num(4)]);
    let none = client.search_text(text(None)).await.unwrap_err();
    assert_status(&none, Code::FailedPrecondition, &["\"vector\"", "no model"]);
    let none = server.upsert(vec![point(num(9), &[])]).await.unwrap_err();
    assert_status(&none, Code::FailedPrecondition, &["has 2", "has 0"]);
}
