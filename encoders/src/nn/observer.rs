//! What the inputs of linear layers look like while texts are encoded: the measure their quantisation
//! is made to.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Rows of each layer's input that are kept.
const SAMPLE_ROWS: usize = 256;
/// The most values of one layer's sample.
const SAMPLE_VALUES: usize = 1 << 19;

/// The inputs of every linear layer of a model, by the names of the layers that share the input.
/// Clones share what they see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observations(Arc<Mutex<BTreeMap<Vec<String>, Observer>>>);

/// What one layer saw; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Observer(Arc<Mutex<LayerInputs>>);

/// The inputs of a layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LayerInputs {
    /// The largest absolute value of each input.
    pub(crate) largest: Vec<f32>,
    /// Some of the rows.
    pub(crate) sample: Vec<f32>,
    /// Rows seen.
    rows: usize,
}

impl Observations {
    /// Returns the observer of the layers `names` of `inputs` inputs.
    pub(crate) fn of(&self, names: &[String], inputs: usize) -> Observer {
        let new = || {
            let largest = vec![0.0; inputs];
            Observer(Arc::new(Mutex::new(LayerInputs { largest, ..LayerInputs::default() })))
        };
        self.0.lock().entry(names.to_vec()).or_insert_with(new).clone()
    }

    /// What the layers saw, by their names.
    pub(crate) fn layers(&self) -> Vec<(Vec<String>, LayerInputs)> {
        let layers = self.0.lock();
        layers.iter().map(|(names, layer)| (names.clone(), layer.0.lock().clone())).collect()
    }
}

impl Observer {
    /// Takes note of the rows of `x`.
    pub(super) fn see(&self, x: &[f32]) {
        let mut seen = self.0.lock();
        let LayerInputs { largest, sample, rows } = &mut *seen;
        let inputs = largest.len();
        let kept = SAMPLE_ROWS.min(SAMPLE_VALUES / inputs).max(1);
        for row in x.chunks_exact(inputs) {
            for (largest, value) in largest.iter_mut().zip(row) {
                *largest = largest.max(value.abs());
            }
            // Every row once there is room, then fewer and fewer: a row in place of an older one.
            let place = if *rows < kept { *rows } else { scramble(*rows) % (*rows + 1) };
            if place == sample.len() / inputs && place < kept {
                sample.extend_from_slice(row);
            } else if place < kept {
                sample[place * inputs..][..inputs].copy_from_slice(row);
            }
            *rows += 1;
        }
    }
}

/// A number that looks unlike `index` (the finaliser of SplitMix64).
fn scramble(index: usize) -> usize {
    let mut x = (index as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_all_rows_and_a_sample_of_them_are_kept() {
        let observations = Observations::default();
        let names = ["q".to_owned(), "k".to_owned()];
        let observer = observations.of(&names, 2);
        for i in 0..10_000 {
            observer.see(&[i as f32, -1.0]);
        }
        let layers = observations.layers();
        assert_eq!(layers.len(), 1);
        let (found, inputs) = &layers[0];
        assert_eq!((&found[..], &inputs.largest[..]), (&names[..], &[9_999.0, 1.0][..]));
        assert_eq!(inputs.sample.len(), 2 * SAMPLE_ROWS);
        let late = inputs.sample.chunks(2).filter(|row| row[0] >= 5_000.0).count();
        assert!((SAMPLE_ROWS / 4..SAMPLE_ROWS * 3 / 4).contains(&late), "{late}");
        // The same layer asked for again is the same.
        observations.of(&names, 2).see(&[20_000.0, 0.0]);
        assert_eq!(observations.layers()[0].1.largest[0], 20_000.0);
    }
}
