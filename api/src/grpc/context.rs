//! What every service works with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigrain_encoders::{Embeddings, TextKind, Token};
use bigrain_engine::{
    AliasChange, BackupContents, Cancel, Collection, CollectionConfig, CollectionStatus, Engine,
    MemoryInfo, Point, PointId, SearchOutput, SearchParams, SearchStats, VectorQuery, Watch,
};
use prost::Message;
use tonic::Status;

use crate::access::{Caller, Outcome, Reservation, Reservations, Room};
use crate::backups::{BackupFile, BackupFolder};
use crate::metrics::{ENCODE, Metrics};
use crate::models::{Model, ModelRegistry};
use crate::recall::RecallProbe;
use crate::reranker::{Reranker, ScoreRange};
use crate::runtime::Runtime;
use crate::settings::Limits;
use crate::status;
use crate::traces::RequestTrace;

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
    /// What checks a sample of searches.
    pub recall: Arc<RecallProbe>,
    /// What batches that are being written may add.
    reservations: Reservations,
}

/// What a [`Context`] is made of.
pub(crate) struct Parts {
    pub engine: Engine,
    pub models: ModelRegistry,
    pub backups: BackupFolder,
    pub pictures: Option<PathBuf>,
    pub limits: Limits,
    pub metrics: Arc<Metrics>,
    pub recall_sample: f32,
}

/// A field that names a model, and that model.
pub(crate) struct FieldModel {
    pub field: String,
    pub model: Arc<Model>,
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { engine, models, backups, pictures, limits, metrics, recall_sample } = parts;
        let runtime = Runtime::new(&limits);
        let recall = Arc::new(RecallProbe::new(recall_sample));
        let reservations = Reservations::default();
        Self { engine, models, backups, pictures, limits, runtime, metrics, recall, reservations }
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
        self.engine.drop_collection(name).map_err(status::from_engine)?;
        self.recall.forget(name);
        Ok(())
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
        self.metrics.text(&self.engine, &self.models, &self.runtime, &self.recall, shown)
    }

    /// Counts what a search did.
    pub(crate) fn found(
        &self,
        output: bigrain_engine::Result<SearchOutput>,
    ) -> Result<SearchOutput, Status> {
        let output = output.map_err(status::from_engine)?;
        self.searched(&output.stats);
        Ok(output)
    }

    /// Searches by a vector; now and then the answer is checked afterwards.
    pub(crate) fn search_by_vector(
        &self,
        collection: &Collection,
        query: &VectorQuery,
        params: &SearchParams,
    ) -> Result<SearchOutput, Status> {
        let output = self.found(collection.search_by_vector(query, params))?;
        self.check_recall(collection, (query, params), &output);
        Ok(output)
    }

    /// Has the answer to a search by a vector checked, if it is in the sample.
    pub(crate) fn check_recall(
        &self,
        collection: &Collection,
        search: (&VectorQuery, &SearchParams),
        answer: &SearchOutput,
    ) {
        self.recall.look_at(collection, search, answer, || self.runtime.is_busy());
    }

    /// Counts and times a search, for metrics and for the trace of its request.
    pub(crate) fn searched(&self, stats: &SearchStats) {
        self.metrics.searched(stats);
        if let Some(trace) = RequestTrace::current() {
            trace.searched(stats);
        }
    }

    /// Times the encoding of texts and images, for metrics and for the trace of their request.
    pub(crate) fn encoded(&self, took: Duration) {
        self.metrics.encoded(took);
        if let Some(trace) = RequestTrace::current() {
            trace.stage(ENCODE, took);
        }
    }

    /// Returns the model of a field, the first without a name, having checked that both mean the same space;
    /// `instead` says what to do where the field has none.
    pub(crate) fn field_model(
        &self,
        collection: &Collection,
        field: Option<&str>,
        instead: &str,
    ) -> Result<FieldModel, Status> {
        let config = collection.config();
        let config = config.field(field).map_err(status::from_engine)?;
        let name = config.model.as_deref().ok_or_else(|| {
            Status::failed_precondition(format!(
                "field {:?} of collection {:?} has no model to encode with: {instead}",
                config.name,
                collection.name()
            ))
        })?;
        let model = self.models.get(name)?;
        model.check_space(config.space)?;
        Ok(FieldModel { field: config.name.clone(), model })
    }

    /// Returns the model of the field before a field, while its points go over from one encoder to another and queries
    /// take both; none where it is not here, which is for the search to judge.
    pub(crate) fn former_model(
        &self,
        collection: &Collection,
        field: Option<&str>,
    ) -> Result<Option<Arc<Model>>, Status> {
        let former = collection.former_field(field).map_err(status::from_engine)?;
        let Some(former) = former.filter(|former| !former.is_learned) else { return Ok(None) };
        Ok(self.field_model(collection, Some(&former.name), "").ok().map(|field| field.model))
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
            context.encoded(started.elapsed());
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

    /// Scores the texts of one request by a cross-encoder.
    pub(crate) async fn cross_scores(
        &self,
        reranker: Arc<Reranker>,
        query: String,
        texts: Vec<String>,
        range: ScoreRange,
    ) -> Result<Vec<f32>, Status> {
        self.check_texts(texts.len())?;
        let work = move |cancel: &Cancel| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            reranker.scores(&query, &texts, range, cancel)
        };
        // It has no queue of its own: a search's lane bounds how many compute at once.
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

    /// Refuses a request without texts, or with more than `max_texts_per_encode`.
    pub(super) fn check_texts(&self, count: usize) -> Result<(), Status> {
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
    /// there already take no room. What is returned is to be held until the batch is written: so long other batches
    /// reckon with it.
    pub(crate) fn admit_points(
        &self,
        collection: &Collection,
        points: &[Point],
    ) -> Result<Option<Reservation<'_>>, Status> {
        let caller = Caller::current()?;
        caller.spend_points(points.len())?;
        let Some(quota) = caller.quota() else { return Ok(None) };
        let room = Room {
            quota,
            held: &|| self.engine.count_points(|name| caller.covers(name)),
            covers: &|name| caller.covers(name),
        };
        if let Some(reserved) =
            self.reservations.try_reserve(collection.name(), points.len(), &room)
        {
            return Ok(Some(reserved));
        }
        let ids: Vec<PointId> = points.iter().map(|point| point.id.clone()).collect();
        let new = || {
            let stored = collection.get_payloads(&ids).map_err(status::from_engine)?;
            Ok::<_, Status>(stored.iter().filter(|point| point.is_none()).count())
        };
        loop {
            // Counted anew each time: what another batch wrote meanwhile may be the same points.
            let new = new()?;
            match self.reservations.reserve(collection.name(), new, &room) {
                Outcome::Reserved(reserved) => return Ok(Some(reserved)),
                Outcome::Full { held } => return Err(caller.over_quota(held, new)),
                Outcome::Waited => {}
            }
        }
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
