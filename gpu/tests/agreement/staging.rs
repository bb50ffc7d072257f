//! Copies pass through slots that are used again when, and only when, their last copy has ended.
//!
//! The device is the host, which does what it is asked for as late as it may.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use bigrain_binarize::{ListCentroids, Rotation};
use bigrain_emulation::Emulated;
use bigrain_gpu::{Backend, DeviceBuffer, GpuCentroids, GpuError};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::Numbers;

const SLOT: usize = 64;

fn late() -> Emulated {
    Emulated::open().unwrap().late().with_slots_of(SLOT)
}

fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    (0..count).map(|_| numbers.below(256) as u8).collect()
}

fn read(device: &dyn Backend, buffer: &DeviceBuffer) -> Vec<u8> {
    let mut bytes = vec![0; buffer.bytes()];
    device.read(buffer, 0, &mut bytes).unwrap();
    bytes
}

#[test]
fn no_slot_is_written_again_before_its_copy_has_ended() {
    let device = late();
    // As much as all rings hold, and more; not whole slots.
    let expected = bytes(1, 2 * device.staging().max_bytes() + 7);
    let buffer = device.allocate("bytes", expected.len()).unwrap();
    device.send(&buffer, 0, &expected).unwrap();
    assert_eq!(read(&device, &buffer), expected);
    let again = bytes(2, expected.len());
    for (part, at) in again.chunks(SLOT / 2).zip((0..).step_by(SLOT / 2)) {
        device.send(&buffer, at, part).unwrap();
    }
    assert_eq!(device.staging().bytes(), device.staging().max_bytes());
    assert_eq!(read(&device, &buffer), again);
    device.write(&buffer, 1, &expected[1..]).unwrap();
    assert_eq!(device.staging().bytes(), device.staging().max_bytes());
    assert_eq!(read(&device, &buffer)[1..], expected[1..]);
}

#[test]
fn one_caller_who_waits_uses_one_ring_again_and_again() {
    let device = late();
    let buffer = device.allocate("bytes", 9 * SLOT).unwrap();
    for seed in 0..20 {
        let expected = bytes(seed, 9 * SLOT);
        device.write(&buffer, 0, &expected).unwrap();
        assert_eq!(read(&device, &buffer), expected);
    }
    assert_eq!(16 * device.staging().bytes(), device.staging().max_bytes());
}

#[test]
fn bytes_may_change_once_they_were_sent() {
    let device = late();
    let mut sent = bytes(3, 5 * SLOT);
    let expected = sent.clone();
    let buffer = device.allocate("bytes", sent.len()).unwrap();
    device.send(&buffer, 0, &sent).unwrap();
    sent.fill(0);
    assert_eq!(read(&device, &buffer), expected);
}

#[test]
fn copies_past_the_end_are_refused_and_copy_nothing() {
    let device = late();
    let buffer = device.allocate("bytes", 10).unwrap();
    for refused in [
        device.send(&buffer, 8, &[1; 3]),
        device.write(&buffer, usize::MAX, &[1; 3]),
        device.read(&buffer, 1, &mut [1; 10]),
    ] {
        assert!(matches!(refused, Err(GpuError::Shape(_))), "{refused:?}");
    }
    assert_eq!(read(&device, &buffer), [0; 10]);
    device.send(&buffer, 10, &[]).unwrap();
}

#[test]
fn more_threads_than_rings_share_them() {
    const THREADS: usize = 24;
    let device = late();
    let all = Barrier::new(THREADS);
    thread::scope(|scope| {
        for seed in 0..THREADS as u64 {
            let (device, all) = (&device, &all);
            scope.spawn(move || {
                let expected = bytes(seed, 23 * SLOT + 5);
                all.wait();
                let buffer = device.allocate("bytes", expected.len()).unwrap();
                for _ in 0..5 {
                    device.send(&buffer, 0, &expected).unwrap();
                    assert_eq!(read(device, &buffer), expected);
                }
            });
        }
    });
    assert!(device.staging().bytes() <= device.staging().max_bytes());
}

/// Counts warnings.
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == tracing::Level::WARN {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn without_page_locked_memory_copies_are_the_same_and_the_log_says_so_once() {
    let warnings = Arc::new(AtomicUsize::new(0));
    tracing::subscriber::with_default(Warnings(Arc::clone(&warnings)), || {
        for (device, expected) in [(late(), 0), (late().without_page_locked(), 1)] {
            let sent = bytes(4, 2 * device.staging().max_bytes());
            let buffer = device.allocate("bytes", sent.len()).unwrap();
            for part in [0..sent.len() / 2, sent.len() / 2..sent.len()] {
                device.send(&buffer, part.start, &sent[part]).unwrap();
            }
            assert_eq!(read(&device, &buffer), sent);
            assert_eq!(device.staging().is_pageable(), expected == 1);
            assert_eq!(warnings.load(Ordering::Relaxed), expected);
        }
    });
}

#[test]
fn rows_are_copied_while_those_before_them_are_compared() {
    let rotation = Rotation::new(3, 1).unwrap();
    let dims = rotation.rotated_dims();
    let vectors = Numbers(5).floats(9 * dims);
    let norms: Vec<f32> = vectors.chunks(dims).map(|v| v.iter().map(|x| x * x).sum()).collect();
    let centroids =
        ListCentroids { vectors: &vectors, dims, norms_squared: &norms, penalties: &[] };
    let nearest_of = |device: Emulated, rows: usize| {
        let device = Arc::new(device);
        let backend: Arc<dyn Backend> = Arc::clone(&device) as _;
        let loaded = GpuCentroids::load(backend, &centroids, Some(&rotation)).unwrap();
        let numbers = Numbers(6).floats(3 * rows);
        let mut rotated = vec![0.0; rows * dims];
        let found = loaded.rotate_and_find(&numbers, &mut rotated).unwrap();
        let overlapped = device.overlapped();
        assert_eq!(loaded.nearest(&rotated).unwrap(), found);
        (found, rotated, overlapped, device.overlapped() - overlapped)
    };
    let slot = 10 * (8 + 4 * dims);
    let late = || Emulated::open().unwrap().late().with_slots_of(slot);
    let (_, _, rotating, finding) = nearest_of(late(), 10);
    assert_eq!((rotating, finding), (0, 0), "there is one chunk");
    let (found, rotated, rotating, finding) = nearest_of(late(), 57);
    // Two kernels of each of six chunks, but for the last; and as many chunks of rotated rows, without a rotation.
    assert!(rotating >= 10 && finding >= 4, "{rotating} and {finding}");
    // Whether copies are made early or late, none is of other rows, or of what was not found yet.
    let hurrying = Emulated::open().unwrap().hurrying_beside().with_slots_of(slot);
    for device in [Emulated::open().unwrap(), hurrying] {
        let (expected, as_rotated, ..) = nearest_of(device, 57);
        assert_eq!(found, expected);
        assert_eq!(rotated, as_rotated);
    }
}

#[test]
fn rows_that_no_slot_holds_are_refused_by_their_dimensions() {
    let vectors = [0.5_f32; 32];
    let centroids =
        ListCentroids { vectors: &vectors, dims: 32, norms_squared: &[8.0], penalties: &[] };
    let loaded = GpuCentroids::load(Arc::new(late()), &centroids, None).unwrap();
    let error = loaded.nearest(&[0.0; 64]).unwrap_err();
    assert!(matches!(error, GpuError::Shape(_)), "{error}");
    assert_eq!(error.to_string(), "rows of 32 dimensions pass 64 bytes");
}

#[test]
fn a_device_that_fails_on_the_way_leaves_no_copy_at_work() {
    // Memory for the rows of both turns, and not for the keys of many chunks.
    let vectors = Numbers(7).floats(16);
    let norms = [1.0_f32; 4];
    let centroids =
        ListCentroids { vectors: &vectors, dims: 4, norms_squared: &norms, penalties: &[] };
    let rows = Numbers(8).floats(400);
    for spare in (0..=208).step_by(16) {
        let device = late().with_memory(64 + 16 + spare);
        let loaded = GpuCentroids::load(Arc::new(device), &centroids, None).unwrap();
        for _ in 0..2 {
            match loaded.nearest(&rows) {
                Ok(found) => assert_eq!(found.len(), 100),
                Err(error) => assert!(matches!(error, GpuError::OutOfMemory { .. }), "{error}"),
            }
        }
    }
}
