//! What every service works with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bigrain_encoders::{Embeddings, TextKind, Token};
use bigrain_engine::{
    AliasChange, BackupContents, Cancel, Collection, CollectionConfig, CollectionStatus, Engine,
    MemoryInfo, Point, PointId, SearchOutput, Watch,
};
use prost::Message;
use tonic::Status;

use crate::access::Caller;
use crate::backups::{BackupFile, BackupFolder};
use crate::metrics::Metrics;
use crate::models::{Model, ModelRegistry};
use crate::runtime::Runtime;
use crate::settings::Limits;
use crate::status;

/// Bytes of a token in a reply, about, beside its text.
const TOKEN_BYTES: usize = 64;

/// What every service works with; shared by all of them.
#[derive(Debug)]
pub(crate) struct Context {
    /// Where points live; private, since every way to a collection asks whether the caller may.
    engine: Engine,
    /// What turns text into vectors.
    pub models: ModelRegistry,
    /// Where backups lie.
    pub backups: BackupFolder,
    /// Where pictures may be shown from.
    pub pictures: Option<PathBuf>,
    /// What requests may ask for.
    pub limits: Limits,
    /// Where work runs.
    pub runtime: Runtime,
    /// What is counted and timed.
    pub metrics: Arc<Metrics>,
}

/// What a [`Context`] is made of.
pub(crate) struct Parts {
    pub engine: Engine,
    pub models: ModelRegistry,
    pub backups: BackupFolder,
    pub pictures: Option<PathBuf>,
    pub limits: Limits,
    pub metrics: Arc<Metrics>,
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { engine, models, backups, pictures, limits, metrics } = parts;
        let runtime = Runtime::new(&limits);
        Self { engine, models, backups, pictures, limits, runtime, metrics }
    }

    /// Creates a collection.
    pub(crate) fn create_collection(
        &self,
        name: &str,
        config: CollectionConfig,
    ) -> Result<Collection, Status> {
        Caller::current()?.check(name)?;
        self.engine.create_collection(name, config).map_err(status::from_engine)
    }

    /// Drops a collection.
    pub(crate) fn drop_collection(&self, name: &str) -> Result<(), Status> {
        Caller::current()?.check(name)?;
        self.engine.drop_collection(name).map_err(status::from_engine)
    }

    /// Returns the collections that the caller's key is for.
    pub(crate) fn collections(&self) -> Result<Vec<CollectionStatus>, Status> {
        let caller = Caller::current()?;
        let mut statuses = self.engine.collections();
        statuses.retain(|status| caller.covers(&status.name));
        Ok(statuses)
    }

    /// Returns the engine, for what concerns all collections: only a caller whose key is for all gets so far.
    pub(crate) fn whole_engine(&self) -> Result<&Engine, Status> {
        Caller::current()?.check_whole()?;
        Ok(&self.engine)
    }

    /// Returns the memory in use, by what it is taken for.
    pub(crate) fn memory(&self) -> MemoryInfo {
        self.engine.memory()
    }

    /// Writes the metrics, those of collections that `shown` says only.
    pub(crate) fn metrics_text(
        &self,
        shown: impl Fn(&str) -> bool,
    ) -> Result<String, std::fmt::Error> {
        self.metrics.text(&self.engine, &self.runtime, shown)
    }

    /// Counts what a search did.
    pub(crate) fn found(
        &self,
        output: bigrain_engine::Result<SearchOutput>,
    ) -> Result<SearchOutput, Status> {
        let output = output.map_err(status::from_engine)?;
        self.metrics.searched(&output.stats);
        Ok(output)
    }

    /// Encodes the texts of one request, at most `max_texts_per_encode`.
    pub(crate) async fn encode(
        self: &Arc<Self>,
        model: Arc<Model>,
        texts: Vec<String>,
        kind: TextKind,
    ) -> Result<Embeddings, Status> {
        self.check_texts(texts.len())?;
        let context = Arc::clone(self);
        let work = move |cancel: &Cancel| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let started = Instant::now();
            let encoded = model.encode(&texts, kind, cancel)?;
            context.metrics.encoded(started.elapsed());
            Ok(encoded)
        };
        self.runtime.encodes.run(work).await
    }

    /// Scores the texts of one request by the tokens that they and a query have.
    pub(crate) async fn late_scores(
        &self,
        model: Arc<Model>,
        query: String,
        texts: Vec<String>,
    ) -> Result<Vec<f32>, Status> {
        self.check_texts(texts.len())?;
        let work = move |cancel: &Cancel| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            model.late_scores(&query, &texts, cancel)
        };
        // It computes where it runs, as a search does; other encodes wait for the queue of their model.
        self.runtime.searches.run(work).await
    }

    /// Returns the tokens of the texts of one request, with special ones on request.
    pub(crate) async fn tokenize(
        &self,
        model: Arc<Model>,
        texts: Vec<String>,
        special: bool,
    ) -> Result<Vec<Vec<Token>>, Status> {
        self.check_texts(texts.len())?;
        let limit = self.limits.max_message_bytes;
        let work = move |cancel: &Cancel| {
            let (mut all, mut size) = (Vec::with_capacity(texts.len()), 0);
            for (position, text) in texts.iter().enumerate() {
                cancel.check().map_err(|error| Status::cancelled(error.to_string()))?;
                let tokens = model.tokenize(position, text, special)?;
                size += tokens.iter().map(|token| TOKEN_BYTES + token.text.len()).sum::<usize>();
                if size > limit {
                    return Err(Status::resource_exhausted(format!(
                        "reply has {size} bytes or more, the limit is {limit} (max_message_bytes): \
                         send fewer texts"
                    )));
                }
                all.push(tokens);
            }
            Ok(all)
        };
        self.runtime.searches.run(work).await
    }

    fn check_texts(&self, count: usize) -> Result<(), Status> {
        let limit = self.limits.max_texts_per_encode;
        if count == 0 {
            return Err(Status::invalid_argument("no texts: expected at least one"));
        }
        if count > limit {
            return Err(Status::invalid_argument(format!(
                "request has {count} texts, the limit is {limit} (max_texts_per_encode): \
                 split it into smaller requests"
            )));
        }
        Ok(())
    }

    /// Returns a collection, by its name or an alias. The caller's key must be for both.
    pub(crate) fn collection(&self, name: &str) -> Result<Collection, Status> {
        let caller = Caller::current()?;
        caller.check(name)?;
        let collection = self.engine.collection(name).map_err(status::from_engine)?;
        // Whatever the name stood for when it was looked up.
        caller.check(collection.name())?;
        Ok(collection)
    }

    /// Returns the aliases that the caller's key is for, as their collections are, and those collections.
    pub(crate) fn aliases(&self) -> Result<Vec<(String, String)>, Status> {
        let caller = Caller::current()?;
        let mut aliases = self.engine.aliases();
        aliases.retain(|(alias, of)| caller.covers(alias) && caller.covers(of));
        Ok(aliases)
    }

    /// Changes aliases, all or none. The caller's key must be for them and for the collections that they are of,
    /// before and after.
    pub(crate) fn change_aliases(&self, changes: &[AliasChange]) -> Result<(), Status> {
        let caller = Caller::current()?;
        let before = self.engine.aliases();
        let check_alias = |name: &str| {
            caller.check(name)?;
            let of = before.iter().find(|(alias, _)| alias == name);
            of.map_or(Ok(()), |(_, of)| caller.check(of))
        };
        for change in changes {
            match change {
                AliasChange::Set { alias, collection } => {
                    check_alias(alias)?;
                    caller.check(collection)?;
                }
                AliasChange::Rename { from, to } => {
                    check_alias(from)?;
                    check_alias(to)?;
                }
                AliasChange::Remove { alias } => check_alias(alias)?,
                // A change that is not known here is not one of some collections.
                _ => caller.check_whole()?,
            }
        }
        self.engine.change_aliases(changes).map_err(status::from_engine)
    }

    /// Backs collections up, all of them unless some are named, to an archive in the folder of backups.
    pub(crate) fn back_up(
        &self,
        name: &str,
        collections: Option<&[&str]>,
        cancel: &Cancel,
    ) -> Result<(BackupFile, BackupContents), Status> {
        match collections {
            Some(named) => named.iter().try_for_each(|name| self.collection(name).map(drop))?,
            None => Caller::current()?.check_whole()?,
        }
        let to = self.backups.place(name)?;
        let watch = &mut Watch::new().with_cancel(cancel);
        let contents = self.engine.backup(to, collections, watch).map_err(status::from_engine)?;
        Ok((self.backups.describe(name)?, contents))
    }

    /// Lets a batch of points in, by the rate of the caller's key.
    pub(crate) fn spend_points(&self, count: usize) -> Result<(), Status> {
        Caller::current()?.spend_points(count)
    }

    /// Lets a batch of points in that may be new, by the rate and the quota of the caller's key. Points that are
    /// there already take no room. Of batches that are written at once, each is compared with what was there before.
    pub(crate) fn admit_points(
        &self,
        collection: &Collection,
        points: &[Point],
    ) -> Result<(), Status> {
        let caller = Caller::current()?;
        caller.spend_points(points.len())?;
        let Some(quota) = caller.quota() else { return Ok(()) };
        let held = self.engine.count_points(|name| caller.covers(name));
        if held + points.len() as u64 <= quota {
            return Ok(());
        }
        let ids: Vec<PointId> = points.iter().map(|point| point.id.clone()).collect();
        let stored = collection.get_payloads(&ids).map_err(status::from_engine)?;
        let new = stored.iter().filter(|point| point.is_none()).count();
        if new == 0 || held + new as u64 <= quota {
            return Ok(());
        }
        Err(caller.over_quota(held, new))
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
