//! What every service works with.

use bigrain_engine::{BackupContents, Cancel, Collection, Engine, Watch};
use prost::Message;
use tonic::Status;

use crate::backups::{BackupFile, BackupFolder};
use crate::models::ModelRegistry;
use crate::runtime::Runtime;
use crate::settings::Limits;
use crate::status;

/// What every service works with; shared by all of them.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where points live.
    pub engine: Engine,
    /// What turns text into vectors.
    pub models: ModelRegistry,
    /// Where backups lie.
    pub backups: BackupFolder,
    /// What requests may ask for.
    pub limits: Limits,
    /// Where work runs.
    pub runtime: Runtime,
}

impl Context {
    /// Returns a collection by name.
    pub(crate) fn collection(&self, name: &str) -> Result<Collection, Status> {
        self.engine.collection(name).map_err(status::from_engine)
    }

    /// Backs collections up, all of them unless some are named, to an archive in the folder of backups.
    pub(crate) fn back_up(
        &self,
        name: &str,
        collections: Option<&[&str]>,
        cancel: &Cancel,
    ) -> Result<(BackupFile, BackupContents), Status> {
        let to = self.backups.place(name)?;
        let watch = &mut Watch::new().with_cancel(cancel);
        let contents = self.engine.backup(to, collections, watch).map_err(status::from_engine)?;
        Ok((self.backups.describe(name)?, contents))
    }

    /// Refuses a batch of more than `max_points_per_batch` points or ids.
    pub(crate) fn check_batch(&self, what: &str, count: usize) -> Result<(), Status> {
        let limit = self.limits.max_points_per_batch;
        if count <= limit {
            return Ok(());
        }
        Err(Status::invalid_argument(format!(
            "batch has {count} {what}, the limit is {limit} (max_points_per_batch): \
             split it into smaller batches"
        )))
    }

    /// Refuses a reply above `max_message_bytes`, which clients could not read either.
    pub(crate) fn check_reply<M: Message>(&self, reply: M) -> Result<M, Status> {
        let limit = self.limits.max_message_bytes;
        let size = reply.encoded_len();
        if size <= limit {
            return Ok(reply);
        }
        Err(Status::resource_exhausted(format!(
            "reply has {size} bytes, the limit is {limit} (max_message_bytes): ask for fewer \
             points, or leave out vectors or payloads"
        )))
    }
}
