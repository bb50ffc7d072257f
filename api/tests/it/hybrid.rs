//! Search by words, and by vectors and words together.

use bigrain_api::proto::hybrid_part::Search;
use bigrain_api::proto::search_groups_request::Query;
use bigrain_api::proto::{
    AddTextFieldRequest, CollectionConfig, DropTextFieldRequest, EncodeRequest,
    GetCollectionRequest, HybridPart, HybridText, HybridVector, HybridWords, Metric, Point,
    PointGroup, PointId, SearchGroupsRequest, SearchHybridRequest, SearchOptions,
    SearchTextRequest, SearchWordsRequest, SetHybridFitRequest, TextField, UpsertRequest,
};
use tonic::Code;

use crate::support::{TOY, TestServer, assert_status, config, num, point, upsert};

const TEXTS: [(&str, &str); 3] = [
    ("Wings", "flow over a wing"),
    ("Heat", "heat in a slab, and in a wing"),
    ("Shocks", "a shock wave in air"),
];

fn words_field() -> TextField {
    TextField {
        paths: vec!["title".to_owned(), "text".to_owned()],
        language: "en".to_owned(),
        drop_stop_words: false,
    }
}

async fn server() -> TestServer {
    let server = TestServer::start().await;
    let config = CollectionConfig {
        model: Some(TOY.to_owned()),
        text_fields: vec![words_field()],
        ..config(0, Metric::Cosine)
    };
    server.create("docs", config).await.unwrap();
    let texts = TEXTS.map(|(_, text)| text.to_owned()).to_vec();
    let request = EncodeRequest { texts, ..EncodeRequest::default() };
    let encoded = server.encoder().encode(request).await.unwrap().into_inner();
    let rows = (0_u64..).zip(encoded.embeddings).zip(TEXTS);
    let points = rows.map(|((id, row), (title, text))| Point {
        payload_json: format!(r#"{{"title":"{title}","text":"{text}","n":{id}}}"#),
        ..point(num(id), &row.values)
    });
    let request = UpsertRequest { space: Some(encoded.space), ..upsert("docs", points.collect()) };
    server.points().upsert(request).await.unwrap();
    server
}

fn words(text: &str) -> SearchWordsRequest {
    SearchWordsRequest {
        collection: "docs".to_owned(),
        text: text.to_owned(),
        ..SearchWordsRequest::default()
    }
}

fn part(search: Search, weight: Option<f32>) -> HybridPart {
    HybridPart { search: Some(search), weight }
}

fn hybrid(fusion: &str, [text_weight, words_weight]: [Option<f32>; 2]) -> SearchHybridRequest {
    let text = HybridText { text: "flow over a wing".to_owned(), field: None };
    let words = HybridWords { text: "shocks".to_owned(), text_field: None };
    SearchHybridRequest {
        collection: "docs".to_owned(),
        parts: vec![
            part(Search::Text(text), text_weight),
            part(Search::Words(words), words_weight),
        ],
        fusion: fusion.to_owned(),
        ..SearchHybridRequest::default()
    }
}

#[tokio::test]
async fn words_find_what_has_them_the_best_first() {
    let server = server().await;
    let reply = server.search().search_words(words("wings")).await.unwrap().into_inner();
    let ids: Vec<_> = reply.points.iter().map(|point| point.id.clone().unwrap()).collect();
    assert_eq!(ids, [num(0), num(1)], "stemmed, and twice is better than once");
    assert!(reply.points[0].score > reply.points[1].score);
    assert!(reply.points[0].payload_json.contains("Wings"));

    let filter_json = Some(r#"{"field": "n", "gte": 1}"#.to_owned());
    let options = Some(SearchOptions { explain: true, ..SearchOptions::default() });
    let request = SearchWordsRequest { filter_json, options, ..words("wings") };
    let filtered = server.search().search_words(request).await.unwrap().into_inner();
    assert_eq!(filtered.points, reply.points[1..], "scores stay what they are");
    assert!(filtered.plan_json.unwrap().contains("bm25 of 3 rows"));

    let request = SearchWordsRequest { text_field: Some("body".to_owned()), ..words("wings") };
    let status = server.search().search_words(request).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["\"body\"", "title+text"]);
}

#[tokio::test]
async fn stated_weights_decide_which_part_counts() {
    let server = server().await;
    for (weights, first) in [([0.9, 0.1], 0), ([0.1, 0.9], 2)] {
        let request = hybrid("minmax", weights.map(Some));
        let reply = server.search().search_hybrid(request).await.unwrap().into_inner();
        assert_eq!(reply.points[0].id, Some(num(first)), "{weights:?}");
        assert_eq!(reply.points.len(), 3);
    }
    let [text, words] = [HybridVector::default(), HybridVector::default()]
        .map(|vector| part(Search::Vector(vector), Some(1.0)));
    let vectors = SearchHybridRequest { parts: vec![text, words], ..hybrid("rrf", [None; 2]) };
    let status = server.search().search_hybrid(vectors).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["has 0"]);
}

/// The values and ids of the groups that a search by every way finds.
async fn groups(server: &TestServer, query: Query) -> Vec<(String, Vec<PointId>)> {
    let group_by = "n".to_owned();
    let request = SearchGroupsRequest { query: Some(query), group_by, per_group: Some(2) };
    let reply = server.search().search_groups(request).await.unwrap().into_inner();
    let ids = |group: PointGroup| {
        group.points.into_iter().map(|point| point.id.unwrap()).collect::<Vec<_>>()
    };
    reply.groups.into_iter().map(|group| (group.value_json.clone(), ids(group))).collect()
}

#[tokio::test]
async fn groups_of_words_texts_and_both_come_in_the_order_of_their_best_points() {
    let server = server().await;
    let found = groups(&server, Query::Words(words("wings"))).await;
    assert_eq!(found, [("0".to_owned(), vec![num(0)]), ("1".to_owned(), vec![num(1)])]);
    let text = SearchTextRequest {
        collection: "docs".to_owned(),
        text: "a shock wave in air".to_owned(),
        ..SearchTextRequest::default()
    };
    let found = groups(&server, Query::Text(text.clone())).await;
    assert_eq!(found[0], ("2".to_owned(), vec![num(2)]));
    assert_eq!(found.len(), 3);
    let found = groups(&server, Query::Hybrid(hybrid("minmax", [Some(0.1), Some(0.9)]))).await;
    assert_eq!(found[0], ("2".to_owned(), vec![num(2)]));
    assert_eq!(found.len(), 3);

    let filter_json = Some("{".to_owned());
    let bad = Query::Text(SearchTextRequest { filter_json, ..text });
    let request = SearchGroupsRequest { query: Some(bad), group_by: "n".into(), per_group: None };
    let status = server.search().search_groups(request).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &[]);
}

#[tokio::test]
async fn nothing_is_fused_by_default() {
    let server = server().await;
    for (request, code, words) in [
        (hybrid("", [Some(0.5); 2]), Code::InvalidArgument, ["unknown fusion", "fitted"]),
        (
            hybrid("rrf", [Some(0.5), None]),
            Code::InvalidArgument,
            ["parts[1]", "weight is missing"],
        ),
        (hybrid("rrf", [Some(-1.0), Some(1.0)]), Code::InvalidArgument, ["list 0", "-1"]),
        (hybrid("fitted", [Some(0.5), None]), Code::InvalidArgument, ["weights", "fitted"]),
        (
            hybrid("fitted", [None; 2]),
            Code::FailedPrecondition,
            ["no fusion was fitted", "title+text"],
        ),
    ] {
        let status = server.search().search_hybrid(request).await.unwrap_err();
        assert_status(&status, code, &words);
    }
}

#[tokio::test]
async fn a_fit_is_kept_shown_used_and_forgotten() {
    let server = server().await;
    let fit = r#"{"fusion":"minmax","depth":100,"vector":{"field":"vector","weight":0.1},
        "text":{"field":"title+text","weight":0.9},"evidence":{"source":"people","queries":9,
        "folds":3,"vector":0.5,"text":0.6,"fused":0.7}}"#;
    let set = |fit: Option<&str>| SetHybridFitRequest {
        collection: "docs".to_owned(),
        fit_json: fit.map(str::to_owned),
        name: None,
    };
    server.collections().set_hybrid_fit(set(Some(fit))).await.unwrap();
    let name = "docs".to_owned();
    let shown = server.collections().get(GetCollectionRequest { name }).await.unwrap();
    let info = shown.into_inner().collection.unwrap();
    assert!(info.hybrid_fit_json.unwrap().contains("\"source\":\"people\""));
    assert_eq!(info.config.unwrap().text_fields, [words_field()]);
    let fitted = server.search().search_hybrid(hybrid("fitted", [None; 2])).await.unwrap();
    let stated = hybrid("minmax", [Some(0.1), Some(0.9)]);
    let stated = server.search().search_hybrid(stated).await.unwrap();
    assert_eq!(fitted.into_inner().points, stated.into_inner().points);
    let other = fit.replace("0.1}", "0.9}").replace("0.9},\"evidence", "0.1},\"evidence");
    let named = SetHybridFitRequest { name: Some("tickets".to_owned()), ..set(Some(&*other)) };
    let shown = server.collections().set_hybrid_fit(named).await.unwrap().into_inner();
    let info = shown.collection.unwrap();
    assert!(info.named_hybrid_fits_json["tickets"].contains("\"weight\":0.1"));
    let fitted = server.search().search_hybrid(hybrid("fitted(tickets)", [None; 2])).await.unwrap();
    let stated = hybrid("minmax", [Some(0.9), Some(0.1)]);
    let stated = server.search().search_hybrid(stated).await.unwrap();
    assert_eq!(fitted.into_inner().points, stated.into_inner().points);
    let status = server.search().search_hybrid(hybrid("fitted(x)", [None; 2])).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["fitted as \"x\""]);

    let status = server.collections().set_hybrid_fit(set(Some("{}"))).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["fit_json"]);
    server.collections().set_hybrid_fit(set(None)).await.unwrap();
    let status = server.search().search_hybrid(hybrid("fitted", [None; 2])).await.unwrap_err();
    assert_status(&status, Code::FailedPrecondition, &["no fusion was fitted"]);
}

#[tokio::test]
async fn text_fields_come_and_go() {
    let server = server().await;
    let title = TextField { paths: vec!["title".to_owned()], ..TextField::default() };
    let add = |text_field: Option<TextField>| AddTextFieldRequest {
        collection: "docs".to_owned(),
        text_field,
    };
    let added = server.collections().add_text_field(add(Some(title.clone()))).await.unwrap();
    let fields = added.into_inner().collection.unwrap().config.unwrap().text_fields;
    assert_eq!(fields.len(), 2);
    assert_eq!((&fields[1].paths, &*fields[1].language), (&title.paths, "none"));
    let request = SearchWordsRequest { text_field: Some("title".to_owned()), ..words("heat") };
    let reply = server.search().search_words(request).await.unwrap().into_inner();
    assert_eq!(reply.points.len(), 1);

    let status = server.collections().add_text_field(add(Some(title))).await.unwrap_err();
    assert_status(&status, Code::AlreadyExists, &["title"]);
    let status = server.collections().add_text_field(add(None)).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["missing"]);
    let none = add(Some(TextField::default()));
    let status = server.collections().add_text_field(none).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["no paths"]);
    let drop =
        DropTextFieldRequest { collection: "docs".to_owned(), text_field: "title".to_owned() };
    server.collections().drop_text_field(drop.clone()).await.unwrap();
    let status = server.collections().drop_text_field(drop).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["title"]);
}
