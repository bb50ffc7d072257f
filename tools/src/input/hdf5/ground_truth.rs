//! What a test set says of itself: true neighbours, and the metric.

use std::path::Path;
use std::sync::Arc;

use bigrain_engine::Metric;

use super::super::{At, InputError, Place, Problem};
use super::table::{Table, open_file, refusal};
use crate::truth::Neighbors;

/// Reads the true neighbours that a file states, if it does.
///
/// # Errors
///
/// [`InputError`] for a file or a table of neighbours that cannot be read.
pub fn read_neighbors(path: &Path) -> Result<Option<Neighbors>, InputError> {
    let file: Arc<Path> = Arc::from(path);
    let opened = open_file(&file)?;
    let place = Place::new(&file, At::Start);
    let names = opened.root_group().and_then(|root| root.member_names());
    let (_, datasets) = names.map_err(|error| place.error(refusal(&error)))?;
    if !datasets.iter().any(|name| name == "neighbors") {
        return Ok(None);
    }
    let table = Table::open(&opened, &file, "neighbors")?;
    let width = table.shape().dims;
    let mut neighbors = Neighbors::empty(width);
    let mut row = 0;
    while row < table.shape().rows {
        let block = table.read(row).map_err(|problem| place.error(problem))?;
        for numbers in block.chunks_exact(width) {
            let ids: Option<Vec<u32>> = numbers.iter().map(|&number| row_number(number)).collect();
            let bad = || Problem::Hdf5(format!("neighbors: row {row} holds more than row numbers"));
            neighbors.push(&ids.ok_or_else(|| place.error(bad()))?);
            row += 1;
        }
    }
    Ok(Some(neighbors))
}

fn row_number(number: f64) -> Option<u32> {
    let whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    whole.then_some(number as u32)
}

/// Reads which metric a file was made for, if it says so in words that are known.
///
/// # Errors
///
/// [`InputError`] for a file that cannot be read.
pub fn read_metric(path: &Path) -> Result<Option<Metric>, InputError> {
    let file: Arc<Path> = Arc::from(path);
    let root = open_file(&file)?.root_group();
    let root = root.map_err(|error| Place::new(&file, At::Start).error(refusal(&error)))?;
    let Ok(distance) = root.attribute("distance").and_then(|found| found.read_string()) else {
        return Ok(None);
    };
    Ok(match distance.as_str() {
        "angular" | "cosine" => Some(Metric::Cosine),
        "euclidean" | "l2" => Some(Metric::L2),
        "dot" | "ip" => Some(Metric::Dot),
        _ => None,
    })
}
