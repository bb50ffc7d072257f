//! Queries a second with every thread busy.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use bigrain_engine::{Collection, Query, SearchParams};

use super::Sweep;
use super::measurement::median;
use crate::human;

/// Searches every query at every setting on `threads` threads, each of which takes the next query
/// when it is done with one, `rounds` times; returns queries a second for each setting, medians
/// over the rounds.
///
/// # Errors
///
/// When a search is refused, fails, or is cancelled.
pub fn search_all(
    collection: &Collection,
    queries: &[Query],
    params: SearchParams,
    sweep: &Sweep,
    threads: usize,
    rounds: usize,
) -> anyhow::Result<Vec<f64>> {
    let mut speeds = vec![Vec::new(); sweep.settings().len()];
    for _ in 0..rounds {
        for (setting, speeds) in sweep.settings().iter().zip(&mut speeds) {
            speeds.push(pass(collection, queries, &setting.apply(params)?, threads)?);
        }
    }
    Ok(speeds.into_iter().map(median).collect())
}

fn pass(
    collection: &Collection,
    queries: &[Query],
    params: &SearchParams,
    threads: usize,
) -> anyhow::Result<f64> {
    let next = AtomicUsize::new(0);
    let work = || -> anyhow::Result<()> {
        while let Some(query) = queries.get(next.fetch_add(1, Ordering::Relaxed)) {
            collection.search(query, params)?;
        }
        Ok(())
    };
    let started = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok(human::rate(queries.len() as u64, started.elapsed()))
}
