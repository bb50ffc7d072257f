//! Backups and checks through the service: what a client downloads is what the library restores.

use bigrain_api::Settings;
use bigrain_api::proto::{
    CheckRequest, CreateBackupRequest, DeleteBackupRequest, DownloadBackupRequest,
    ListBackupsRequest, Metric, VerifyBackupRequest,
};
use bigrain_engine::{Engine, EngineConfig, Watch};
use tokio_stream::StreamExt;
use tonic::{Code, Status};

use crate::support::{TestServer, assert_status, config, num, point};

fn create(name: &str, collections: &[&str]) -> CreateBackupRequest {
    let collections = collections.iter().map(|&name| name.to_owned()).collect();
    CreateBackupRequest { collections, name: name.to_owned() }
}

async fn names(server: &TestServer) -> Vec<String> {
    let reply = server.maintenance().list_backups(ListBackupsRequest {}).await.unwrap();
    reply.into_inner().backups.into_iter().map(|backup| backup.name).collect()
}

async fn download(server: &TestServer, name: &str, offset: u64) -> Result<Vec<u8>, Status> {
    let request = DownloadBackupRequest { name: name.to_owned(), offset };
    let mut pieces = server.maintenance().download_backup(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        assert_eq!(piece.offset, offset + bytes.len() as u64);
        bytes.extend(piece.data);
        assert!(piece.total_bytes >= offset + bytes.len() as u64);
    }
    Ok(bytes)
}

/// A server with 3,000 points of 64 dimensions in `docs`, which are more than one piece of a download.
async fn server() -> TestServer {
    let server = TestServer::start().await;
    server.create("docs", config(64, Metric::Dot)).await.unwrap();
    let vector = |id: u64| (0..64).map(|d| ((id * 31 + d * 7) % 97) as f32).collect::<Vec<_>>();
    server.upsert((0..3_000).map(|id| point(num(id), &vector(id))).collect()).await.unwrap();
    server
}

#[tokio::test]
async fn a_backup_that_was_downloaded_restores_to_what_the_server_had() {
    let server = server().await;
    let reply = server.maintenance().create_backup(create("monday", &[])).await.unwrap();
    let reply = reply.into_inner();
    assert_eq!((reply.collections.len(), reply.collections[0].points), (1, 3_000));
    // What comes later is not in it.
    server.upsert(vec![point(num(9_999), &[1.0; 64])]).await.unwrap();

    let bytes = download(&server, "monday", 0).await.unwrap();
    assert_eq!(bytes.len() as u64, reply.backup.unwrap().bytes);
    assert!(bytes.len() > 2 * (256 << 10), "{} bytes are no test of pieces", bytes.len());
    assert_eq!(download(&server, "monday", 300_000).await.unwrap(), bytes[300_000..]);
    assert!(download(&server, "monday", bytes.len() as u64).await.unwrap().is_empty());
    let behind = download(&server, "monday", bytes.len() as u64 + 1).await.unwrap_err();
    assert_status(&behind, Code::InvalidArgument, &["behind the end"]);

    let folder = tempfile::tempdir().unwrap();
    let (archive, restored) = (folder.path().join("a.tar"), folder.path().join("restored"));
    std::fs::write(&archive, bytes).unwrap();
    bigrain_engine::restore(&archive, &restored, &mut Watch::new()).unwrap();
    let engine = Engine::open(&restored, EngineConfig::default()).unwrap();
    assert_eq!(engine.collection("docs").unwrap().info().points, 3_000);
}

#[tokio::test]
async fn backups_are_listed_verified_and_removed_by_name() {
    let server = TestServer::with_docs(Settings::default()).await;
    server.create("other", config(2, Metric::Dot)).await.unwrap();
    assert_eq!(names(&server).await, [""; 0]);
    let mut client = server.maintenance();
    client.create_backup(create("b", &["other"])).await.unwrap();
    client.create_backup(create("a", &[])).await.unwrap();
    assert_eq!(names(&server).await, ["a", "b"]);

    let verified =
        client.verify_backup(VerifyBackupRequest { name: "b".to_owned() }).await.unwrap();
    let verified = verified.into_inner();
    assert_eq!(verified.collections.len(), 1);
    assert_eq!(verified.collections[0].name, "other");
    assert!(verified.created_unix_ms > 0 && !verified.program.is_empty(), "{verified:?}");

    let status = client.create_backup(create("b", &[])).await.unwrap_err();
    assert_eq!(status.code(), Code::AlreadyExists, "{status:?}");
    let status = client.create_backup(create("c", &["none"])).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["none"]);
    let status = client.create_backup(create("../c", &[])).await.unwrap_err();
    assert_status(&status, Code::InvalidArgument, &["../c"]);

    client.delete_backup(DeleteBackupRequest { name: "b".to_owned() }).await.unwrap();
    assert_eq!(names(&server).await, ["a"]);
    let name = "b".to_owned();
    let status = client.delete_backup(DeleteBackupRequest { name }).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["\"b\""]);
    let status = download(&server, "b", 0).await.unwrap_err();
    assert_status(&status, Code::NotFound, &["\"b\""]);
    let unnamed = client.create_backup(create("", &[])).await.unwrap().into_inner();
    assert!(unnamed.backup.unwrap().name.starts_with("backup-"));
}

#[tokio::test]
async fn a_damaged_backup_is_data_loss_and_is_named() {
    let server = TestServer::with_docs(Settings::default()).await;
    server.upsert(vec![point(num(1), &[1.0, 0.0])]).await.unwrap();
    let mut client = server.maintenance();
    client.create_backup(create("flipped", &[])).await.unwrap();
    let path = server.engine.data_dir().join("backups/flipped.tar");
    let mut bytes = std::fs::read(&path).unwrap();
    // Within the first entry, behind its header.
    bytes[520] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let name = "flipped".to_owned();
    let status = client.verify_backup(VerifyBackupRequest { name }).await.unwrap_err();
    assert_status(&status, Code::DataLoss, &["flipped.tar", "damaged"]);
}

#[tokio::test]
async fn a_check_counts_what_is_stored_and_finds_no_fault_in_it() {
    let server = server().await;
    let report = server.maintenance().check(CheckRequest {}).await.unwrap().into_inner();
    assert_eq!((report.damage, report.orphans, report.unchecked), (0, 0, 0), "{report:?}");
    assert_eq!((report.collections.len(), report.collections[0].points), (1, 3_000));
}
