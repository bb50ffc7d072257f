//! The filters of a layer for texts of one length.
//!
//! They depend on the weights alone. As spectra they take `2 · length` complex values a channel and
//! layer: 302 MB for a model of 2,048 tokens, 4.8 GB for one of 32,768. So they are kept while
//! they fit into [`KEPT_BYTES`], and otherwise computed again for every batch, a group of channels
//! at a time (about an eighth of the arithmetic of one text, shared by all texts of the batch).

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use rayon::prelude::*;
use rustfft::num_complex::Complex32;

use super::filter::{FilterFeatures, ImplicitFilter, KernelRows};
use super::long_conv::{LongConv, LongConvScratch, lay_out, spectra_len, transform_size};
use crate::nn::TILE_ROWS;

/// Channels whose filters are computed together: whole register tiles of the multiplication.
pub(crate) const GROUP: usize = 2 * TILE_ROWS;
/// The most bytes of spectra a model keeps: enough for all layers of a 2k model.
const KEPT_BYTES: usize = 320 << 20;

/// The spectra of one layer: of all channels, or what they are computed from.
#[derive(Debug)]
pub(crate) enum LayerSpectra {
    /// `[channels, spectra]`.
    Kept(Arc<Vec<Complex32>>),
    /// What all channels share, for both filters.
    Fresh(Box<[FilterFeatures; 2]>),
}

/// Memory of one group of channels.
#[derive(Debug, Default)]
pub(crate) struct KernelScratch {
    pub(crate) rows: [KernelRows; 2],
    pub(crate) conv: LongConvScratch,
    spectra: Vec<Complex32>,
}

impl LayerSpectra {
    /// Calls `work(channel, spectra, scratch)` for each of `channels`.
    pub(crate) fn for_each(
        &self,
        filters: &[ImplicitFilter; 2],
        conv: &LongConv,
        channels: Range<usize>,
        scratch: &mut KernelScratch,
        mut work: impl FnMut(usize, &[Complex32], &mut LongConvScratch),
    ) {
        let len = spectra_len(conv.length());
        match self {
            Self::Kept(spectra) => {
                for channel in channels {
                    work(channel, &spectra[channel * len..][..len], &mut scratch.conv);
                }
            }
            Self::Fresh(features) => {
                let KernelScratch { rows, conv: conv_scratch, spectra } = scratch;
                spectra.resize(len, Complex32::ZERO);
                for ((filter, features), rows) in
                    filters.iter().zip(features.iter()).zip(rows.iter_mut())
                {
                    filter.kernels(features, channels.clone(), rows);
                }
                for (at, channel) in channels.enumerate() {
                    let kernel = |which: usize| {
                        rows[which].kernel(at, conv.length(), filters[which].bias(channel))
                    };
                    conv.spectra([kernel(0), kernel(1)], spectra, conv_scratch);
                    work(channel, spectra, conv_scratch);
                }
            }
        }
    }

    /// Computes the spectra of all channels, on all threads of the pool this runs in.
    fn keep(
        features: [FilterFeatures; 2],
        filters: &[ImplicitFilter; 2],
        conv: &LongConv,
        channels: usize,
    ) -> Self {
        let len = spectra_len(conv.length());
        let fresh = Self::Fresh(Box::new(features));
        let mut kept = vec![Complex32::ZERO; channels * len];
        kept.par_chunks_mut(GROUP * len).enumerate().for_each_init(
            KernelScratch::default,
            |scratch, (group, out)| {
                let first = group * GROUP;
                let group = first..first + out.len() / len;
                fresh.for_each(filters, conv, group, scratch, |channel, spectra, _| {
                    out[(channel - first) * len..][..len].copy_from_slice(spectra);
                });
            },
        );
        Self::Kept(Arc::new(kept))
    }
}

/// Returns both filters of all channels for texts of `length` tokens as circular ones, `[channels, size]`: what
/// [`DeviceFilters`](crate::DeviceFilters) gives a device. Runs on all threads of the pool this runs in.
pub(crate) fn circular_filters(
    filters: &[ImplicitFilter; 2],
    length: usize,
    channels: usize,
) -> Vec<[f32; 2]> {
    let [first, second] = filters;
    let (first, second) = rayon::join(|| first.features(length), || second.features(length));
    let features = [first, second];
    let size = transform_size(length);
    let mut circular = vec![[0.0; 2]; channels * size];
    circular.par_chunks_mut(GROUP * size).enumerate().for_each_init(
        <[KernelRows; 2]>::default,
        |rows, (group, out)| {
            let start = group * GROUP;
            let group = start..start + out.len() / size;
            for ((filter, features), rows) in filters.iter().zip(&features).zip(rows.iter_mut()) {
                filter.kernels(features, group.clone(), rows);
            }
            for (at, (channel, out)) in group.zip(out.chunks_exact_mut(size)).enumerate() {
                let kernel =
                    |which: usize| rows[which].kernel(at, length, filters[which].bias(channel));
                lay_out([kernel(0), kernel(1)], out, |a, b| [a, b]);
            }
        },
    );
    circular
}

/// The spectra that are kept, by layer and length.
#[derive(Debug, Default)]
pub(crate) struct KeptSpectra(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    lengths: HashSet<usize>,
    spectra: HashMap<(usize, usize), Arc<Vec<Complex32>>>,
}

impl KeptSpectra {
    /// Whether the spectra of `filters` pairs of filters, a layer's channels times its layers, are
    /// kept for texts of this length. The first lengths that fit are.
    pub(crate) fn keeps(&self, length: usize, filters: usize) -> bool {
        let bytes = spectra_len(length) * size_of::<Complex32>() * filters;
        let mut kept = self.0.lock();
        if !kept.lengths.contains(&length) {
            if kept.bytes + bytes > KEPT_BYTES {
                return false;
            }
            kept.bytes += bytes;
            kept.lengths.insert(length);
        }
        true
    }

    /// Leaves no room for lengths that are not kept yet.
    #[cfg(test)]
    pub(crate) fn fill(&self) {
        self.0.lock().bytes = KEPT_BYTES;
    }

    /// The spectra of the layer at `index`: kept ones, newly computed ones that will be kept if
    /// `keep` says so, or what they are computed from.
    pub(crate) fn of_layer(
        &self,
        index: usize,
        filters: &[ImplicitFilter; 2],
        conv: &LongConv,
        (keep, channels): (bool, usize),
    ) -> LayerSpectra {
        let key = (index, conv.length());
        if let Some(spectra) = self.0.lock().spectra.get(&key) {
            return LayerSpectra::Kept(Arc::clone(spectra));
        }
        let [first, second] = filters;
        let (first, second) =
            rayon::join(|| first.features(conv.length()), || second.features(conv.length()));
        if !keep {
            return LayerSpectra::Fresh(Box::new([first, second]));
        }
        // Computed outside the lock: two calls may do so at once, and get the same.
        let spectra = LayerSpectra::keep([first, second], filters, conv, channels);
        if let LayerSpectra::Kept(spectra) = &spectra {
            self.0.lock().spectra.insert(key, Arc::clone(spectra));
        }
        spectra
    }
}
