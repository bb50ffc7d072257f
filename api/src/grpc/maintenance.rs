//! The service `Maintenance`.

use std::sync::Arc;

use bigrain_engine::{Cancel, Watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Context, download};
use crate::backups::name_by_time;
use crate::proto::maintenance_server::Maintenance;
use crate::proto::{
    CheckReply, CheckRequest, CreateBackupReply, CreateBackupRequest, DeleteBackupReply,
    DeleteBackupRequest, DownloadBackupReply, DownloadBackupRequest, ListBackupsReply,
    ListBackupsRequest, VerifyBackupReply, VerifyBackupRequest,
};
use crate::request_scope::Arrival;
use crate::{convert, status};

/// Backs up and checks what is stored. Long work runs in the lane of writes: like a compaction it
/// rereads whole collections, and searches should not wait for a place behind it.
#[derive(Clone, Debug)]
pub(crate) struct MaintenanceService(pub(crate) Arc<Context>);

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    type DownloadBackupStream = ReceiverStream<Result<DownloadBackupReply, Status>>;

    async fn create_backup(
        &self,
        request: Request<CreateBackupRequest>,
    ) -> Result<Response<CreateBackupReply>, Status> {
        let arrival = Arrival::of(&request);
        let request = request.into_inner();
        let context = Arc::clone(&self.0);
        let work = move |cancel: &Cancel| create_backup(&context, request, cancel);
        let mut reply = self.0.runtime.writes.run(work).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }

    async fn list_backups(
        &self,
        request: Request<ListBackupsRequest>,
    ) -> Result<Response<ListBackupsReply>, Status> {
        let arrival = Arrival::of(&request);
        let context = Arc::clone(&self.0);
        let backups = self.0.runtime.searches.run(move |_| context.backups.list()).await?;
        let backups = backups.into_iter().map(convert::backup).collect();
        let server_time_us = arrival.server_time_us();
        Ok(Response::new(ListBackupsReply { backups, server_time_us }))
    }

    async fn verify_backup(
        &self,
        request: Request<VerifyBackupRequest>,
    ) -> Result<Response<VerifyBackupReply>, Status> {
        let arrival = Arrival::of(&request);
        let name = request.into_inner().name;
        let context = Arc::clone(&self.0);
        let work = move |cancel: &Cancel| {
            let archive = context.backups.existing(&name)?;
            let watch = &mut Watch::new().with_cancel(cancel);
            bigrain_engine::verify(archive, watch).map_err(status::from_engine)
        };
        let contents = self.0.runtime.writes.run(work).await?;
        Ok(Response::new(VerifyBackupReply {
            collections: convert::backed_up(contents.collections),
            program: contents.program,
            created_unix_ms: contents.created_unix_ms,
            server_time_us: arrival.server_time_us(),
        }))
    }

    async fn download_backup(
        &self,
        request: Request<DownloadBackupRequest>,
    ) -> Result<Response<Self::DownloadBackupStream>, Status> {
        let arrival = Arrival::of(&request);
        let DownloadBackupRequest { name, offset } = request.into_inner();
        let context = Arc::clone(&self.0);
        let open = move |_: &_| Ok((context.backups.open(&name)?, name));
        let ((file, total_bytes), name) = self.0.runtime.searches.run(open).await?;
        if offset > total_bytes {
            return Err(Status::invalid_argument(format!(
                "offset {offset} is behind the end of the backup, which has {total_bytes} bytes"
            )));
        }
        let pieces = download::Pieces { name, file, offset, total_bytes };
        Ok(Response::new(download::start(Arc::clone(&self.0), arrival, pieces)))
    }

    async fn delete_backup(
        &self,
        request: Request<DeleteBackupRequest>,
    ) -> Result<Response<DeleteBackupReply>, Status> {
        let arrival = Arrival::of(&request);
        let name = request.into_inner().name;
        let context = Arc::clone(&self.0);
        self.0.runtime.writes.run(move |_| context.backups.remove(&name)).await?;
        Ok(Response::new(DeleteBackupReply { server_time_us: arrival.server_time_us() }))
    }

    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckReply>, Status> {
        let arrival = Arrival::of(&request);
        let context = Arc::clone(&self.0);
        let work = move |cancel: &Cancel| {
            let watch = &mut Watch::new().with_cancel(cancel);
            context
                .whole_engine()?
                .check(watch)
                .map(convert::check_report)
                .map_err(status::from_engine)
        };
        let mut reply = self.0.runtime.writes.run(work).await?;
        reply.server_time_us = arrival.server_time_us();
        Ok(Response::new(reply))
    }
}

fn create_backup(
    context: &Context,
    request: CreateBackupRequest,
    cancel: &Cancel,
) -> Result<CreateBackupReply, Status> {
    let name = if request.name.is_empty() { name_by_time("backup-") } else { request.name };
    let names: Vec<&str> = request.collections.iter().map(String::as_str).collect();
    let names = (!names.is_empty()).then_some(&names[..]);
    let (file, contents) = context.back_up(&name, names, cancel)?;
    Ok(CreateBackupReply {
        backup: Some(convert::backup(file)),
        collections: convert::backed_up(contents.collections),
        server_time_us: 0,
    })
}
