//! The encoder service.

use bigrain_api::proto::{EncodeRequest, ListModelsRequest, TextKind};
use bigrain_api::{ModelRegistry, Settings};
use tonic::Code;

use crate::support::{TOY, TOY_DIMS, TestServer, assert_status};

fn encode(model: &str, texts: &[&str]) -> EncodeRequest {
    EncodeRequest {
        model: model.to_owned(),
        texts: texts.iter().map(|&text| text.to_owned()).collect(),
        kind: TextKind::Document.into(),
    }
}

#[tokio::test]
async fn texts_become_rows_in_their_order() {
    let server = TestServer::start().await;
    let both = server.encoder().encode(encode(TOY, &["a b", "c d e"])).await.unwrap().into_inner();
    assert_eq!((both.dims, both.model.as_str()), (TOY_DIMS, TOY));
    assert!(both.tokens > 0);
    let last = server.encoder().encode(encode("", &["c d e"])).await.unwrap().into_inner();
    assert_eq!(both.embeddings[1], last.embeddings[0]);

    let listed = server.encoder().list_models(ListModelsRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.models.len(), 1);
    assert_eq!((listed.models[0].name.as_str(), listed.models[0].dims), (TOY, TOY_DIMS));
    assert_eq!(listed.models[0].space, both.space);
}

#[tokio::test]
async fn bad_texts_and_unknown_models_are_refused_by_name() {
    let server = TestServer::start().await;
    let mut client = server.encoder();
    let empty = client.encode(encode(TOY, &["a", ""])).await.unwrap_err();
    assert_status(&empty, Code::InvalidArgument, &["1", "empty"]);
    let none = client.encode(encode(TOY, &[])).await.unwrap_err();
    assert_status(&none, Code::InvalidArgument, &["no texts"]);
    let unknown = client.encode(encode("bert", &["a"])).await.unwrap_err();
    assert_status(&unknown, Code::NotFound, &["\"bert\"", TOY]);
    let kind = EncodeRequest { kind: 7, ..encode(TOY, &["a"]) };
    let kind = client.encode(kind).await.unwrap_err();
    assert_status(&kind, Code::InvalidArgument, &["text kind 7"]);
}

#[tokio::test]
async fn a_server_without_models_says_so() {
    let server = TestServer::start_with(Settings::default(), ModelRegistry::new()).await;
    let status = server.encoder().encode(encode("", &["a"])).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["has loaded none"]);
}
