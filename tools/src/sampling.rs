//! Some stored points, evenly spaced.

use bigrain_engine::{Cancel, Collection, StoredPoint};

use crate::progress::Progress;

/// Points read at a time.
const PAGE: usize = 1000;

/// Returns at most `wanted` stored points, evenly spaced in the order of their ids. All points are
/// read for it: the store cannot jump to the n-th.
///
/// # Errors
///
/// When the store cannot be read, or the caller stops it.
pub fn sampled_points(
    collection: &Collection,
    wanted: usize,
    cancel: &Cancel,
) -> anyhow::Result<Vec<StoredPoint>> {
    let count = collection.count();
    let mut sampled = Vec::with_capacity(wanted.min(count as usize));
    let mut progress = Progress::counting("sample", "points", count);
    let (mut seen, mut after) = (0_u64, None);
    loop {
        cancel.check()?;
        let page = collection.scroll(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        let rows = page.len() as u64;
        for point in page {
            if is_sampled(seen, count, wanted as u64) {
                sampled.push(point);
            }
            seen += 1;
        }
        progress.advance(rows, seen);
    }
    progress.finish();
    Ok(sampled)
}

/// Whether the point at `position` of `count` is one of `wanted` that are evenly spaced.
fn is_sampled(position: u64, count: u64, wanted: u64) -> bool {
    let before = |position: u64| u128::from(position) * u128::from(wanted) / u128::from(count);
    wanted >= count || before(position + 1) > before(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_as_many_as_wanted_and_spread() {
        for (count, wanted) in [(10, 3), (1000, 7), (5, 5), (5, 9), (2, 1)] {
            let sampled: Vec<u64> =
                (0..count).filter(|&position| is_sampled(position, count, wanted)).collect();
            assert_eq!(sampled.len() as u64, count.min(wanted), "{count} {wanted}");
            let gaps = sampled.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(gaps.into_iter().all(|gap| gap <= count / wanted + 1), "{sampled:?}");
        }
    }
}
