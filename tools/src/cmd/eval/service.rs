//! What the service costs beside the library: the same writes and searches through `bigrain.v1` on loopback, and by
//! calls.
//!
//! Server and client are threads of this process and talk through a port, as two processes of one machine would. Writes
//! go to a collection each, batch by batch, some at a time; each is acknowledged when it is synced. Then the same
//! queries are asked both ways in turns of a few, so other work on the machine weighs on both.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, anyhow};
use bigrain_api::proto::points_client::PointsClient;
use bigrain_api::proto::search_client::SearchClient;
use bigrain_api::proto::{self, point_id};
use bigrain_api::{ModelRegistry, Server, Settings};
use bigrain_engine::{
    Cancel, Collection, CollectionConfig, DeviceChoice, Point, PointId, Query, SearchParams,
};
use comfy_table::Cell;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::test_set::TestSet;
use crate::curve::Pass;
use crate::machine::{LoadAverage, Machine};
use crate::matrix::Matrix;
use crate::progress::Progress;
use crate::session::Session;
use crate::{human, table};

/// Points of one write.
const BATCH: usize = 500;

/// Writes on their way at a time.
const IN_FLIGHT: usize = 4;

/// Searches one way before the other way has its turn.
const TURN: usize = 32;

/// The collections that are written by requests, and by calls.
const COLLECTIONS: [&str; 2] = ["requested", "called"];

/// What the service costs beside the library.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceEvaluation {
    /// What it ran on.
    #[serde(flatten)]
    pub machine: Machine,
    /// Processes that wanted to run while it was measured, this one among them.
    pub load: LoadAverage,
    /// The file of the vectors.
    pub base: String,
    /// Rows that were written.
    pub rows: usize,
    /// Components of each.
    pub dims: usize,
    /// Points of one write.
    pub batch: usize,
    /// Writes on their way at a time.
    pub in_flight: usize,
    /// Results asked for.
    pub limit: usize,
    /// Through the service.
    pub requests: Way,
    /// Through the library.
    pub calls: Way,
    /// What a request adds to a search, half of the time: the difference of the medians, in microseconds.
    pub overhead_p50_us: f64,
}

/// One way to a collection.
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    /// Points written a second, each acknowledged when it was synced.
    pub points_per_second: f64,
    /// Searches.
    pub searches: usize,
    /// The latency half of them stayed within, in microseconds.
    pub p50_us: f64,
    /// The latency 99 of 100 stayed within, in microseconds.
    pub p99_us: f64,
}

impl Way {
    fn new(points_per_second: f64, pass: &Pass) -> Self {
        let [p50_us, p99_us] = [0.5, 0.99].map(|share| pass.latency_us(share));
        Self { points_per_second, searches: pass.latencies.len(), p50_us, p99_us }
    }
}

/// What is measured, and how.
pub(super) struct ServiceRun<'a> {
    pub set: &'a TestSet,
    pub config: CollectionConfig,
    pub params: SearchParams,
    pub rounds: u16,
}

impl ServiceRun<'_> {
    /// Builds two collections in a temporary folder, and measures.
    pub fn run(&self, session: &Session<'_>) -> anyhow::Result<ServiceEvaluation> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("start the server's threads")?;
        runtime.block_on(self.measure(session))
    }

    async fn measure(&self, session: &Session<'_>) -> anyhow::Result<ServiceEvaluation> {
        let folder = tempfile::tempdir().context("create a temporary folder")?;
        let verify_io = session.engine_config().verify_io;
        let engine =
            session.create_or_open_to_serve(folder.path(), verify_io, DeviceChoice::Cpu)?;
        for name in COLLECTIONS {
            engine.create_collection(name, self.config.clone())?;
        }
        let [requested, called] = COLLECTIONS.map(|name| engine.collection(name));
        let (requested, called) = (requested?, called?);
        let (base, queries) = (self.set.base.to_matrix()?, self.set.queries.to_matrix()?);

        let listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let config = Settings { listen, ..Settings::default() }.into_config()?;
        let server = Server::bind(config, engine.clone(), ModelRegistry::new()).await?;
        let uri = format!("http://{}", server.local_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(async {
            // A sender that is gone is a measurement that ended.
            let _ = stopped.await;
        }));
        let points = PointsClient::connect(uri.clone()).await?;
        let mut search = SearchClient::connect(uri).await?;

        let (mut requests, mut calls) = (Pass::default(), Pass::default());
        let by_requests = write_by_requests(&points, &base, &session.cancel).await?;
        requested.flush()?;
        requested.settle()?;
        let by_calls =
            tokio::task::block_in_place(|| write_by_calls(&called, &base, &session.cancel))?;
        called.flush()?;
        called.settle()?;

        let asked: Vec<proto::SearchRequest> =
            queries.rows().map(|row| self.request(row)).collect();
        let query = |row: &[f32]| Query::new(row.to_vec()).with_cancel(session.cancel.clone());
        let queries: Vec<Query> = queries.rows().map(query).collect();
        // The first searches make codes resident.
        tokio::task::block_in_place(|| Pass::run(&called, &queries, &self.params))?;
        ask(&mut search, &asked, &mut Pass::default()).await?;
        let mut progress = Progress::counting("search", "rounds", u64::from(self.rounds));
        for round in 1..=u64::from(self.rounds) {
            for (asked, queries) in asked.chunks(TURN).zip(queries.chunks(TURN)) {
                ask(&mut search, asked, &mut requests).await?;
                let pass =
                    tokio::task::block_in_place(|| Pass::run(&called, queries, &self.params))?;
                calls.latencies.extend(pass.latencies);
            }
            progress.advance(1, round);
        }
        progress.finish();
        drop((points, search, stop));
        serving.await.context("the server panicked")??;
        let (requests, calls) = (Way::new(by_requests, &requests), Way::new(by_calls, &calls));
        Ok(ServiceEvaluation {
            machine: Machine::here().with_device(&session.device),
            load: LoadAverage::now(),
            base: self.set.base.path().display().to_string(),
            rows: base.len(),
            dims: base.dims(),
            batch: BATCH,
            in_flight: IN_FLIGHT,
            limit: self.params.limit(),
            overhead_p50_us: requests.p50_us - calls.p50_us,
            requests,
            calls,
        })
    }

    fn request(&self, row: &[f32]) -> proto::SearchRequest {
        proto::SearchRequest {
            collection: COLLECTIONS[0].to_owned(),
            vector: row.to_vec(),
            options: Some(proto::SearchOptions {
                limit: u32::try_from(self.params.limit()).ok(),
                oversampling: self.params.oversampling(),
                verify: Some(self.params.verify()),
                with_payload: Some(self.params.payload()),
                ..proto::SearchOptions::default()
            }),
            ..proto::SearchRequest::default()
        }
    }
}

/// Asks the queries, one after the other.
async fn ask(
    client: &mut SearchClient<Channel>,
    asked: &[proto::SearchRequest],
    pass: &mut Pass,
) -> anyhow::Result<()> {
    for request in asked {
        let request = request.clone();
        let started = Instant::now();
        let reply = client.search(request).await?;
        pass.latencies.push(started.elapsed());
        drop(reply);
    }
    Ok(())
}

/// Writes all rows by requests, some on their way at a time; returns points a second.
async fn write_by_requests(
    client: &PointsClient<Channel>,
    base: &Matrix,
    cancel: &Cancel,
) -> anyhow::Result<f64> {
    let (mut writes, started) = (JoinSet::new(), Instant::now());
    let mut progress = Progress::counting("write by requests", "rows", base.len() as u64);
    for start in (0..base.len()).step_by(BATCH) {
        cancel.check()?;
        if writes.len() == IN_FLIGHT {
            finished(writes.join_next().await)?;
        }
        let rows = start..base.len().min(start + BATCH);
        progress.advance(rows.len() as u64, rows.end as u64);
        let point = |row: usize| proto::Point {
            id: Some(proto::PointId { id: Some(point_id::Id::Num(row as u64)) }),
            vector: base.row(row).to_vec(),
            ..proto::Point::default()
        };
        let request = proto::UpsertRequest {
            collection: COLLECTIONS[0].to_owned(),
            points: rows.map(point).collect(),
            ..proto::UpsertRequest::default()
        };
        let mut client = client.clone();
        writes.spawn(async move { client.upsert(request).await.map(drop) });
    }
    while let Some(written) = writes.join_next().await {
        finished(Some(written))?;
    }
    progress.finish();
    Ok(human::rate(base.len() as u64, started.elapsed()))
}

fn finished(
    written: Option<Result<Result<(), tonic::Status>, tokio::task::JoinError>>,
) -> anyhow::Result<()> {
    written.unwrap_or(Ok(Ok(()))).map_err(|_| anyhow!("a writer panicked"))?.context("write")
}

/// Writes all rows by calls of as many threads; returns points a second.
fn write_by_calls(collection: &Collection, base: &Matrix, cancel: &Cancel) -> anyhow::Result<f64> {
    let (next, started) = (AtomicUsize::new(0), Instant::now());
    let write = || -> anyhow::Result<()> {
        loop {
            cancel.check()?;
            let start = next.fetch_add(BATCH, Ordering::Relaxed);
            if start >= base.len() {
                return Ok(());
            }
            let point = |row: usize| Point::new(PointId::from(row as u64), base.row(row).to_vec());
            collection.upsert((start..base.len().min(start + BATCH)).map(point).collect())?;
        }
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..IN_FLIGHT).map(|_| scope.spawn(write)).collect();
        writers
            .into_iter()
            .try_for_each(|writer| writer.join().map_err(|_| anyhow!("a writer panicked"))?)
    })?;
    Ok(human::rate(base.len() as u64, started.elapsed()))
}

impl ServiceEvaluation {
    /// Writes it for people.
    ///
    /// # Errors
    ///
    /// When the output is closed.
    pub fn write_table(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(
            out,
            "{}: {} rows of {} dims in writes of {}, {} at a time, {} results each; load {}\n",
            self.base,
            human::count(self.rows as u64),
            self.dims,
            self.batch,
            self.in_flight,
            self.limit,
            self.load,
        )?;
        let mut rows = table::plain(["by", "points/s", "searches", "p50", "p99"]);
        for (name, way) in [("requests over gRPC", &self.requests), ("calls", &self.calls)] {
            rows.add_row([
                Cell::new(name),
                Cell::new(human::count(way.points_per_second as u64)),
                Cell::new(human::count(way.searches as u64)),
                Cell::new(human::micros(way.p50_us)),
                Cell::new(human::micros(way.p99_us)),
            ]);
        }
        table::align_right(&mut rows, &[1, 2, 3, 4]);
        writeln!(out, "{}\n", rows.trim_fmt())?;
        writeln!(out, "a request adds {} to a search (p50)", human::micros(self.overhead_p50_us))?;
        Ok(())
    }
}
