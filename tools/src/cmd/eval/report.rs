//! What came of the vectors: JSON, table, picture.

use std::io::Write;

use bigrain_engine::{CollectionInfo, DenseFormat, Levels, Metric};
use serde::Serialize;

use super::index::BuildTimes;
use crate::curve::{CurvePoint, series};
use crate::machine::{Machine, ProcessMemory};
use crate::plot::RecallPlot;
use crate::truth::Recall;
use crate::{human, table};

/// What an evaluation of vectors found.
#[derive(Clone, Debug, Serialize)]
pub struct VectorEvaluation {
    /// What it ran on.
    #[serde(flatten)]
    pub machine: Machine,
    /// The file of the vectors searched.
    pub base: String,
    /// The file of the queries.
    pub queries: String,
    /// How many queries there are.
    pub query_count: usize,
    /// What "near" means.
    pub metric: Metric,
    /// Bits per dimension of the codes.
    pub levels: Levels,
    /// How dense vectors are stored.
    pub dense: DenseFormat,
    /// Lists asked for; without it the engine's choice.
    pub lists: Option<u32>,
    /// Results asked for.
    pub limit: usize,
    /// Candidates verified for each result at most; without it the engine's choice.
    pub oversampling: Option<f32>,
    /// Whether codes alone ranked the results.
    pub codes_only: bool,
    /// Passes over the queries at each setting.
    pub rounds: u16,
    /// Threads of the build, and of `qps_all`.
    pub threads: usize,
    /// What the collection took.
    pub build: BuildFigures,
    /// A row for each setting.
    pub points: Vec<CurvePoint>,
}

/// What a collection took to build, and takes to keep.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BuildFigures {
    /// Reading, encoding and storing the vectors; nothing when the collection was there.
    pub import_seconds: Option<f64>,
    /// Making the segment; nothing when the collection was there.
    pub index_seconds: Option<f64>,
    /// Whether the collection was there before.
    pub reused: bool,
    /// Vectors in the collection.
    pub rows: u64,
    /// Components of each.
    pub dims: usize,
    /// Segments they lie in.
    pub segments: u64,
    /// Memory that the collection says it keeps, after every query was searched once.
    pub resident_bytes_per_vector: f64,
    /// Bytes of segment files.
    pub disk_bytes: u64,
    /// Memory of the process at that moment, queries and truth included.
    #[serde(flatten)]
    pub memory: ProcessMemory,
}

impl BuildFigures {
    /// Puts together how long building took, what there is now, and the memory of the process.
    #[must_use]
    pub(super) fn new(times: BuildTimes, info: &CollectionInfo, memory: ProcessMemory) -> Self {
        Self {
            import_seconds: times.import_seconds,
            index_seconds: times.index_seconds,
            reused: times.import_seconds.is_none(),
            rows: info.points,
            dims: info.config.first().map_or(0, |first| first.dims),
            segments: info.segments,
            resident_bytes_per_vector: human::ratio(info.memory_bytes, info.points),
            disk_bytes: info.disk_bytes,
            memory,
        }
    }
}

impl VectorEvaluation {
    /// Writes it for people.
    ///
    /// # Errors
    ///
    /// When the output is closed.
    pub fn write_table(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(out, "{}\n", self.facts().trim_fmt())?;
        writeln!(out, "{}", self.curve().trim_fmt())?;
        writeln!(
            out,
            "\nrecall counts a result that is as near as the last true neighbour; times are medians \
             over {} on {}",
            human::counted(self.rounds.into(), "round", "rounds"),
            self.machine.searched_on(),
        )?;
        Ok(())
    }

    fn facts(&self) -> comfy_table::Table {
        let build = &self.build;
        let seconds = |seconds: Option<f64>| match seconds {
            Some(seconds) => format!("{seconds:.1} s on {} threads", self.threads),
            None => "it was there".to_owned(),
        };
        let bytes = |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), human::bytes);
        table::facts([
            (
                "vectors",
                format!(
                    "{} of {} dims, {}, {}-bit codes, {} on disk, in {}",
                    human::count(build.rows),
                    build.dims,
                    self.metric,
                    self.levels.get(),
                    self.dense,
                    human::counted(build.segments, "segment", "segments"),
                ),
            ),
            ("queries", human::count(self.query_count as u64)),
            ("import", seconds(build.import_seconds)),
            ("index", seconds(build.index_seconds)),
            ("in memory", format!("{:.1} B a vector", build.resident_bytes_per_vector)),
            ("segments on disk", human::bytes(build.disk_bytes)),
            (
                "process",
                format!(
                    "{} resident, {} without mapped files, {} at most",
                    bytes(build.memory.rss_bytes),
                    bytes(build.memory.anonymous_bytes),
                    bytes(build.memory.peak_rss_bytes),
                ),
            ),
        ])
    }

    fn curve(&self) -> comfy_table::Table {
        let knob = self.points.first().map_or("target", |point| point.knob);
        let mut table = table::plain([
            knob,
            "recall@1",
            "recall@10",
            "recall@100",
            "queries/s",
            "on all",
            "p50",
            "p99",
            "lists",
            "codes",
            "rows read",
            "read",
        ]);
        let share =
            |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{share:.4}"));
        for point in &self.points {
            let Recall { at_1, at_10, at_100, .. } = point.recall;
            table.add_row([
                point.value.to_string(),
                share(at_1),
                share(at_10),
                share(at_100),
                format!("{:.0}", point.qps_1),
                point.qps_all.map_or("-".to_owned(), |qps| format!("{qps:.0}")),
                human::micros(point.p50_us),
                human::micros(point.p99_us),
                format!("{:.1}", point.work.lists),
                human::count(point.work.codes.round() as u64),
                format!("{:.1}", point.work.rows_read),
                human::bytes(point.work.bytes_read.round() as u64),
            ]);
        }
        table::align_right(&mut table, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
        table
    }

    /// Returns the curve as a picture.
    #[must_use]
    pub fn plot(&self) -> RecallPlot {
        let knob = self.points.first().map_or("target", |point| point.knob);
        let one = format!("1 thread, by {knob}");
        let one = series(&one, &self.points, |point| Some(point.qps_1));
        let all = format!("{} threads, by {knob}", self.threads);
        let all = series(&all, &self.points, |point| point.qps_all);
        RecallPlot {
            title: format!(
                "{} x {}, {}, {}-bit codes, {} on disk",
                human::count(self.build.rows),
                self.build.dims,
                self.metric,
                self.levels.get(),
                self.dense
            ),
            recall: format!("recall@{}", self.limit),
            series: [one, all].into_iter().filter(|series| !series.points.is_empty()).collect(),
        }
    }
}
