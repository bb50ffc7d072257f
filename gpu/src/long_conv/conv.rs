//! Convolutions of texts of one length.

use half::f16;

use super::LongConvPlan;
use crate::backend::{download, upload};
use crate::start::start;
use crate::{Arg, Backend, DeviceBuffer, GpuError, Kernel};

/// Bytes that lie between two passes at a time: fewer than the caches of devices with fast memory hold (A100 40 MB, H100 50 MB).
const BETWEEN_PASSES: usize = 32 << 20;
/// Signals at a time at most: what the second dimension of a grid holds.
const MAX_SIGNALS: usize = 32_768;

/// A plan with what its transforms take on a device.
#[derive(Debug)]
pub(crate) struct LongConv {
    plan: LongConvPlan,
    /// `e^(-2πi t / n)` at `n + t`, for every power of two `n` up to the size.
    roots: DeviceBuffer,
}

/// What is convolved with what. Channels follow each other, in each the texts, in each its tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution<'a> {
    /// Two halves of each token: the signals of both convolutions.
    pub(crate) signals: &'a DeviceBuffer,
    /// Of all channels, from [`LongConv::load_filters`].
    pub(crate) spectra: &'a DeviceBuffer,
    /// A half of each token: what the first result is multiplied by before the second is added. The sum replaces it.
    pub(crate) gate: &'a DeviceBuffer,
    /// Of [`LongConv::scratch_bytes`].
    pub(crate) scratch: &'a DeviceBuffer,
    pub(crate) channels: usize,
    pub(crate) texts: usize,
}

impl LongConv {
    pub(crate) fn new(backend: &dyn Backend, plan: LongConvPlan) -> Result<Self, GpuError> {
        Ok(Self { plan, roots: upload(backend, "roots of transforms", &roots(plan.size()))? })
    }

    /// Returns the bytes that a call takes beside what it is given, for this many signals: channels times texts.
    pub(crate) fn scratch_bytes(&self, signals: usize) -> usize {
        match self.plan.is_in_block() {
            true => 0,
            false => self.at_a_time().min(signals) * self.plan.signal_bytes(),
        }
    }

    /// Computes spectra of filters, `[channels, size]`, both filters of a channel beside each other and laid out as circular
    /// ones. It may not have ended when this returns.
    pub(crate) fn load_filters(
        &self,
        backend: &dyn Backend,
        filters: &[[f32; 2]],
        spectra: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        let Self { plan, roots } = self;
        let at_a_time = self.at_a_time().min(filters.len() / plan.size());
        let bytes = at_a_time * plan.signal_bytes();
        let some = backend.allocate("filters of a model", bytes)?;
        let scratch = backend.allocate("filters of a model", bytes)?;
        for (part, filters) in filters.chunks(at_a_time * plan.size()).enumerate() {
            backend.send(&some, 0, bytemuck::cast_slice(filters))?;
            let channels = filters.len() / plan.size();
            self.transform_columns(
                backend,
                (Arg::Null, Arg::Buffer(&some)),
                (0, channels),
                plan.size(),
                &scratch,
            )?;
            let args = [
                Arg::Buffer(&scratch),
                Arg::Buffer(roots),
                Arg::I32(plan.rows() as i32),
                Arg::I32(plan.width() as i32),
                Arg::U32((part * at_a_time) as u32),
                Arg::Buffer(spectra),
            ];
            start(backend, Kernel::FilterRows, plan.row_pairs(channels), &args)?;
        }
        Ok(())
    }

    /// Has both convolutions of every channel and text computed.
    pub(crate) fn convolve(
        &self,
        backend: &dyn Backend,
        what: &Convolution<'_>,
    ) -> Result<(), GpuError> {
        let signals = what.channels * what.texts;
        if self.plan.is_in_block() {
            return self.convolve_in_block(backend, what);
        }
        for first in (0..signals).step_by(self.at_a_time()) {
            let count = self.at_a_time().min(signals - first);
            self.convolve_in_passes(backend, what, (first, count))?;
        }
        Ok(())
    }

    fn convolve_in_block(
        &self,
        backend: &dyn Backend,
        what: &Convolution<'_>,
    ) -> Result<(), GpuError> {
        let Self { plan, roots } = self;
        let args = [
            Arg::Buffer(what.signals),
            Arg::Buffer(what.spectra),
            Arg::Buffer(roots),
            Arg::I32(plan.length() as i32),
            Arg::I32(plan.size() as i32),
            Arg::U32(what.texts as u32),
            Arg::Buffer(what.gate),
        ];
        start(backend, Kernel::ConvolveTexts, plan.whole(what.channels * what.texts), &args)
    }

    fn convolve_in_passes(
        &self,
        backend: &dyn Backend,
        what: &Convolution<'_>,
        (first, count): (usize, usize),
    ) -> Result<(), GpuError> {
        let Self { plan, roots } = self;
        let source = (Arg::Buffer(what.signals), Arg::Null);
        self.transform_columns(backend, source, (first, count), plan.length(), what.scratch)?;
        let (rows, width) = (Arg::I32(plan.rows() as i32), Arg::I32(plan.width() as i32));
        let (scratch, roots) = (Arg::Buffer(what.scratch), Arg::Buffer(roots));
        let first = Arg::U32(first as u32);
        let texts = Arg::U32(what.texts as u32);
        let args = [scratch, Arg::Buffer(what.spectra), roots, rows, width, first, texts];
        start(backend, Kernel::ConvolveRows, plan.row_pairs(count), &args)?;
        let length = Arg::I32(plan.length() as i32);
        let args = [scratch, roots, length, rows, width, first, Arg::Buffer(what.gate)];
        start(backend, Kernel::RestoreColumns, plan.columns(count), &args)
    }

    /// `length` values of each signal, or of filters, from `first` on.
    fn transform_columns(
        &self,
        backend: &dyn Backend,
        (signals, filters): (Arg<'_>, Arg<'_>),
        (first, count): (usize, usize),
        length: usize,
        scratch: &DeviceBuffer,
    ) -> Result<(), GpuError> {
        let Self { plan, roots } = self;
        let args = [
            signals,
            filters,
            Arg::Buffer(roots),
            Arg::I32(length as i32),
            Arg::I32(plan.rows() as i32),
            Arg::I32(plan.width() as i32),
            Arg::U32(first as u32),
            Arg::Buffer(scratch),
        ];
        start(backend, Kernel::TransformColumns, plan.columns(count), &args)
    }

    /// How many signals go through the passes together.
    fn at_a_time(&self) -> usize {
        (BETWEEN_PASSES / self.plan.signal_bytes()).clamp(1, MAX_SIGNALS)
    }
}

fn roots(size: usize) -> Vec<[f32; 2]> {
    let mut roots = vec![[0.0; 2]; 2 * size];
    for n in (0..=size.ilog2()).map(|bits| 1_usize << bits) {
        for (t, root) in roots[n..2 * n].iter_mut().enumerate() {
            let (sine, cosine) = (-std::f64::consts::TAU * t as f64 / n as f64).sin_cos();
            *root = [cosine as f32, sine as f32];
        }
    }
    roots
}

/// Convolves texts on a device, two convolutions of each channel at once: `y = (k₁ * a) gate + k₂ * b`.
///
/// `filters` is `[channels, size]`, the values of `k₁` and `k₂` by distance modulo the plan's size; `signals`, of `a` and
/// `b`, and `gate` are `[channels, texts, length]`. Both are rounded to halves, as is what is returned, of the shape of
/// `gate`; transforms run in floats.
///
/// # Errors
///
/// [`GpuError::Shape`] for filters, signals or a gate that are not whole; what the device reports.
pub fn long_convolutions(
    backend: &dyn Backend,
    plan: LongConvPlan,
    filters: &[[f32; 2]],
    signals: &[[f32; 2]],
    gate: &[f32],
) -> Result<Vec<f32>, GpuError> {
    let channels = filters.len() / plan.size();
    let texts = signals.len() / (channels * plan.length()).max(1);
    let whole = (channels * plan.size(), channels * texts * plan.length());
    if whole != (filters.len(), signals.len()) || gate.len() != signals.len() || texts == 0 {
        let (filters, signals, gate) = (filters.len(), signals.len(), gate.len());
        return Err(GpuError::Shape(format!(
            "{filters} values of filters, {signals} of signals and {gate} of a gate for texts of {} tokens",
            plan.length()
        )));
    }
    let conv = LongConv::new(backend, plan)?;
    let half = |number: f32| f16::from_f32(number).to_bits();
    let signals: Vec<[u16; 2]> = signals.iter().map(|&[a, b]| [half(a), half(b)]).collect();
    let halves: Vec<u16> = gate.iter().map(|&number| half(number)).collect();
    let spectra = backend.allocate("spectra of filters", channels * plan.spectra_bytes())?;
    conv.load_filters(backend, filters, &spectra)?;
    let signals = upload(backend, "signals", &signals)?;
    let gate = upload(backend, "gate", &halves)?;
    let scratch_bytes = conv.scratch_bytes(channels * texts).max(1);
    let scratch = backend.allocate("memory of transforms", scratch_bytes)?;
    let (signals, spectra, gate, scratch) = (&signals, &spectra, &gate, &scratch);
    let what = Convolution { signals, spectra, gate, scratch, channels, texts };
    conv.convolve(backend, &what)?;
    let results: Vec<u16> = download(backend, gate, halves.len())?;
    Ok(results.into_iter().map(|bits| f16::from_bits(bits).to_f32()).collect())
}
