//! Flags that say which points a command is about.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bigrain_engine::{
    Collection, Condition, Conditions, Filter, MAX_POINTS_PER_BATCH, PointId, SeqNo,
};
use clap::{ArgGroup, Args};

use super::search::read_filter;
use crate::failure::Usage;

/// Points that are looked up together.
const LOOKED_UP: usize = 1_000;

/// Points by their ids, or all that match a filter.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("points").required(true).multiple(true).args(["ids", "ids_file", "filter"]))]
pub struct PointFlags {
    /// The points; digits are a number's id, anything else a text's
    #[arg(value_name = "ID", value_parser = parse_id)]
    ids: Vec<PointId>,
    /// Points named in this file, one id a line; - reads standard input
    #[arg(long = "ids", value_name = "FILE")]
    ids_file: Option<PathBuf>,
    /// Points that match this filter, as JSON ({"field": "year", "gte": 1990};
    /// docs/filters.md has all conditions)
    #[arg(long, value_name = "JSON", value_parser = read_filter, conflicts_with_all = ["ids", "ids_file", "if_version"])]
    filter: Option<Filter>,
    /// Only if every point is of this version, as `bigrain scroll` shows it
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
    /// Say how many points there are to change, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Which points are meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Points {
    /// Each once.
    Ids(Vec<PointId>),
    Matching(Filter),
}

impl PointFlags {
    /// Returns which points are meant.
    ///
    /// # Errors
    ///
    /// When a file of ids cannot be read, a line is no id, or a version is demanded of more points
    /// than one write has.
    pub(super) fn points(&self) -> anyhow::Result<Points> {
        if let Some(filter) = &self.filter {
            return Ok(Points::Matching(filter.clone()));
        }
        let mut ids = self.ids.clone();
        if let Some(path) = &self.ids_file {
            ids.extend(read_ids(path)?);
        }
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(id.clone()));
        if self.if_version.is_some() && ids.len() > MAX_POINTS_PER_BATCH {
            return Err(Usage::new(format!(
                "--if-version holds for all points or none, and one write has at most \
                 {MAX_POINTS_PER_BATCH} of them: got {}",
                ids.len()
            ))
            .into());
        }
        Ok(Points::Ids(ids))
    }

    /// Returns the condition that every point is of a version, if one is named.
    pub(super) fn conditions(&self) -> Conditions {
        self.if_version
            .map_or_else(Conditions::default, |seq| Conditions::all(Condition::Version(SeqNo(seq))))
    }
}

impl Points {
    /// Returns how many of the points exist.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub(super) fn count(&self, collection: &Collection) -> anyhow::Result<u64> {
        let ids = match self {
            Self::Matching(filter) => return Ok(collection.count_matching(filter)?),
            Self::Ids(ids) => ids,
        };
        let mut there = 0;
        for ids in ids.chunks(LOOKED_UP) {
            there += collection.get(ids)?.iter().filter(|point| point.is_some()).count() as u64;
        }
        Ok(there)
    }
}

/// Reads an id as a person writes it: digits are a number.
pub(super) fn parse_id(text: &str) -> Result<PointId, String> {
    match text.parse::<u64>() {
        Ok(number) => Ok(PointId::from(number)),
        Err(_) => PointId::parse(text).map_err(|error| error.to_string()),
    }
}

fn read_ids(path: &Path) -> anyhow::Result<Vec<PointId>> {
    let context = || format!("read ids of {}", path.display());
    let lines: Box<dyn BufRead> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).with_context(context)?))
    };
    let mut ids = Vec::new();
    for (line, number) in lines.lines().zip(1..) {
        let line = line.with_context(context)?;
        let text = line.trim();
        if !text.is_empty() {
            let id = parse_id(text).map_err(|error| anyhow::anyhow!("line {number}: {error}"));
            ids.push(id.with_context(context)?);
        }
    }
    Ok(ids)
}
