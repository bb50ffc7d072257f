//! What copies pass through: memory that a device copies from and to by itself, in rings that are used again.
//!
//! ```text
//!  rows, queries, codes ──memcpy──> slot 0 | slot 1 | slot 2 | slot 3 ──device──> its memory
//!                                     ▲                          each slot with the event of its last copy
//!                                     └── used again when that has ended
//! ```
//!
//! A driver copies what lies anywhere in a program by copying it twice, and waits for that. From page-locked memory the
//! device copies while the caller goes on: bytes are put into a slot, and that is all that the caller waits for, unless
//! the slot's last copy has not ended.
//!
//! Whoever copies has a ring to itself meanwhile, and gives it back with its copies at work. There are 16 rings at most,
//! made as they are needed; whoever finds none waits for one. Nobody who has one asks for another, so nobody waits for
//! ever.
//!
//! *Turns* are for work that is cut into chunks. Chunks alternate between two turns, each with buffers of its own, and a
//! ring has two streams for their copies beside the thread's own:
//!
//! ```text
//!  to the device    rows 0 | rows 1 | rows 2  | ..
//!  thread's own            | work 0 | work 1  | work 2  | ..
//!  from the device                  | found 0 | found 1 | found 2 ..
//! ```

#![expect(unsafe_code, reason = "copies are at work after calls have returned")]

use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::backend::check_range;
use crate::{Backend, DeviceBuffer, Event, GpuError, HostMemory, Stream, Transfer};

/// Chunks at work at a time: one is copied while another is worked on.
pub(crate) const TURNS: usize = 2;

/// Slots of a ring: each turn has one on its way to the device, and one from it.
const SLOTS: usize = 2 * TURNS;

/// Rings at most.
const MAX_RINGS: usize = 16;

/// Bytes of a slot. Not measured on a GPU: a bus moves as many in some tens of microseconds, by far more than it takes to
/// ask for it.
const SLOT_BYTES: usize = 1 << 20;

/// The rings of a device.
#[derive(Debug)]
pub struct Staging {
    slot_bytes: usize,
    rings: Mutex<Rings>,
    given_back: Condvar,
    /// Page-locked memory was refused.
    is_pageable: AtomicBool,
}

#[derive(Debug, Default)]
struct Rings {
    idle: VecDeque<Ring>,
    made: usize,
}

/// Slots that take turns.
#[derive(Debug)]
struct Ring {
    slots: Vec<Slot>,
    next: usize,
    to_device: Stream,
    from_device: Stream,
    /// Of each turn, what the thread's own stream did last.
    worked: Vec<Event>,
}

#[derive(Debug)]
struct Slot {
    memory: HostMemory,
    /// Of the last copy.
    ended: Event,
}

impl Default for Staging {
    fn default() -> Self {
        Self::with_slots_of(SLOT_BYTES)
    }
}

impl Staging {
    /// Rings of slots of so many bytes, one at least; others than the default are for tests.
    #[must_use]
    pub fn with_slots_of(bytes: usize) -> Self {
        Self {
            slot_bytes: bytes.max(1),
            rings: Mutex::default(),
            given_back: Condvar::new(),
            is_pageable: AtomicBool::new(false),
        }
    }

    /// Returns how many bytes a slot has.
    pub(crate) fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// Returns how many bytes it may take at most, of the host's memory.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        MAX_RINGS * SLOTS * self.slot_bytes
    }

    /// Returns how many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().made * SLOTS * self.slot_bytes
    }

    /// Whether page-locked memory was refused, so that copies pass through memory that is not.
    #[must_use]
    pub fn is_pageable(&self) -> bool {
        self.is_pageable.load(Ordering::Relaxed)
    }

    /// Has bytes copied to a device in the thread's own stream. They may change as soon as this returns.
    pub(crate) fn send<B: Backend + ?Sized>(
        &self,
        backend: &B,
        (buffer, at): (&DeviceBuffer, usize),
        bytes: &[u8],
    ) -> Result<(), GpuError> {
        check_range(buffer.bytes(), at, bytes.len())?;
        if bytes.is_empty() {
            return Ok(());
        }
        let mut lease = self.lease(backend)?;
        for (part, from) in bytes.chunks(self.slot_bytes).zip((at..).step_by(self.slot_bytes)) {
            lease.put(Lane::Thread, (buffer, from), part)?;
        }
        Ok(())
    }

    /// Copies bytes from a device after all that the thread's own stream was asked for, and waits for them.
    pub(crate) fn read<B: Backend + ?Sized>(
        &self,
        backend: &B,
        (buffer, at): (&DeviceBuffer, usize),
        bytes: &mut [u8],
    ) -> Result<(), GpuError> {
        check_range(buffer.bytes(), at, bytes.len())?;
        if bytes.is_empty() {
            return Ok(());
        }
        let mut lease = self.lease(backend)?;
        let mut pending: VecDeque<(usize, &mut [u8])> = VecDeque::new();
        let parts = bytes.chunks_mut(self.slot_bytes).zip((at..).step_by(self.slot_bytes));
        for (part, from) in parts {
            if pending.len() == SLOTS
                && let Some((slot, part)) = pending.pop_front()
            {
                lease.taken(slot, |bytes| part.copy_from_slice(&bytes[..part.len()]))?;
            }
            let slot = lease.get(Lane::Thread, &[(buffer, from..from + part.len())])?;
            pending.push_back((slot, part));
        }
        for (slot, part) in pending {
            lease.taken(slot, |bytes| part.copy_from_slice(&bytes[..part.len()]))?;
        }
        Ok(())
    }

    /// Takes a ring for as long as the lease lives. Who has one must not ask for another.
    pub(crate) fn lease<'a, B: Backend + ?Sized>(
        &'a self,
        backend: &'a B,
    ) -> Result<Lease<'a, B>, GpuError> {
        let leased = |ring| {
            Ok(Lease { staging: self, backend, ring: ManuallyDrop::new(ring), is_beside: false })
        };
        let mut rings = self.lock();
        loop {
            if let Some(at) = free_ring(backend, &rings.idle)?
                && let Some(ring) = rings.idle.remove(at)
            {
                return leased(ring);
            }
            if rings.made < MAX_RINGS {
                rings.made += 1;
                break;
            }
            // All have copies at work. Those of the one that was given back first end first, most likely.
            if let Some(ring) = rings.idle.pop_front() {
                return leased(ring);
            }
            rings = self.given_back.wait(rings).unwrap_or_else(PoisonError::into_inner);
        }
        drop(rings);
        match self.make(backend) {
            Ok(ring) => leased(ring),
            Err(error) => {
                self.lock().made -= 1;
                self.given_back.notify_one();
                Err(error)
            }
        }
    }

    fn make<B: Backend + ?Sized>(&self, backend: &B) -> Result<Ring, GpuError> {
        let slots = (0..SLOTS)
            .map(|_| Ok(Slot { memory: self.memory(backend), ended: backend.new_event()? }));
        Ok(Ring {
            slots: slots.collect::<Result<_, GpuError>>()?,
            next: 0,
            to_device: backend.new_stream()?,
            from_device: backend.new_stream()?,
            worked: (0..TURNS).map(|_| backend.new_event()).collect::<Result<_, _>>()?,
        })
    }

    /// Returns memory of a slot: page-locked, unless that was refused, which is told once.
    fn memory<B: Backend + ?Sized>(&self, backend: &B) -> HostMemory {
        if !self.is_pageable() {
            match backend.page_locked(self.slot_bytes) {
                Ok(memory) => return memory,
                Err(error) if !self.is_pageable.swap(true, Ordering::Relaxed) => {
                    let (device, bytes) = (backend.name(), self.slot_bytes);
                    tracing::warn!(device, bytes, %error, "no page-locked memory, copies to the device take longer");
                }
                Err(_) => {}
            }
        }
        HostMemory::pageable(self.slot_bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Rings> {
        // Rings are taken out and put back whole.
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the place of a ring whose next slot has no copy at work.
fn free_ring<B: Backend + ?Sized>(
    backend: &B,
    idle: &VecDeque<Ring>,
) -> Result<Option<usize>, GpuError> {
    for (at, ring) in idle.iter().enumerate() {
        if backend.has_ended(&ring.slots[ring.next].ended)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Which stream a copy is asked of.
#[derive(Clone, Copy)]
enum Lane {
    /// The thread's own.
    Thread,
    /// The ring's.
    Beside,
}

impl Lane {
    /// Returns the stream; nothing is the thread's own.
    fn stream(self, beside: &Stream) -> Option<&Stream> {
        match self {
            Self::Thread => None,
            Self::Beside => Some(beside),
        }
    }
}

/// A ring that is the holder's until this is dropped.
pub(crate) struct Lease<'a, B: Backend + ?Sized> {
    staging: &'a Staging,
    backend: &'a B,
    ring: ManuallyDrop<Ring>,
    /// Whether the ring's own streams were used.
    is_beside: bool,
}

impl<B: Backend + ?Sized> Lease<'_, B> {
    /// Begins work in turns, on buffers that were reserved by this thread before.
    ///
    /// They must be reserved before the lease is taken, so that they go after it: it waits for its copies when dropped.
    pub fn begin_turns(&mut self) -> Result<(), GpuError> {
        self.is_beside = true;
        (0..TURNS).try_for_each(|turn| self.worked(turn))
    }

    /// Has bytes copied into a buffer of a turn when the turn's last work has ended, and has this thread's stream wait
    /// for them.
    pub fn bring(
        &mut self,
        turn: usize,
        buffer: &DeviceBuffer,
        bytes: &[u8],
    ) -> Result<(), GpuError> {
        self.backend.wait(Some(&self.ring.to_device), &self.ring.worked[turn])?;
        let slot = self.put(Lane::Beside, (buffer, 0), bytes)?;
        self.backend.wait(None, &self.ring.slots[slot].ended)
    }

    /// Notes that this thread's stream has been asked for all the work of a turn.
    pub fn worked(&mut self, turn: usize) -> Result<(), GpuError> {
        self.backend.record(None, &self.ring.worked[turn])
    }

    /// Has buffers copied one behind the other, when the turn's work has ended; returns where [`Lease::taken`] finds
    /// them.
    pub fn fetch(
        &mut self,
        turn: usize,
        buffers: &[(&DeviceBuffer, Range<usize>)],
    ) -> Result<usize, GpuError> {
        self.backend.wait(Some(&self.ring.from_device), &self.ring.worked[turn])?;
        self.get(Lane::Beside, buffers)
    }

    /// Waits for the copy of a slot and hands over what came.
    pub fn taken<T>(&mut self, slot: usize, take: impl FnOnce(&[u8]) -> T) -> Result<T, GpuError> {
        let slot = &self.ring.slots[slot];
        self.backend.wait_here(&slot.ended)?;
        // SAFETY: its last copy has ended, and who has the ring begins no other one meanwhile.
        Ok(take(unsafe { slot.memory.first(slot.memory.bytes()) }))
    }

    /// Puts bytes into the next slot and has them copied to the device.
    fn put(
        &mut self,
        lane: Lane,
        (device, device_at): (&DeviceBuffer, usize),
        bytes: &[u8],
    ) -> Result<usize, GpuError> {
        let index = self.free_slot()?;
        let Ring { slots, to_device, .. } = &mut *self.ring;
        let stream = lane.stream(to_device);
        let slot = &mut slots[index];
        // SAFETY: its last copy has ended.
        unsafe { slot.memory.first_mut(bytes.len()) }.copy_from_slice(bytes);
        let host = &slot.memory;
        let transfer = Transfer { host, host_at: 0, device, device_at, bytes: bytes.len() };
        // SAFETY: the slot is written again when the event has come, and the buffer goes in the order of the thread's
        // own stream, or after a lease that has waited.
        unsafe { self.backend.copy_in(stream, &transfer) }?;
        self.backend.record(stream, &slot.ended)?;
        Ok(index)
    }

    /// Has bytes copied from the device into the next slot, one range behind the other.
    fn get(
        &mut self,
        lane: Lane,
        ranges: &[(&DeviceBuffer, Range<usize>)],
    ) -> Result<usize, GpuError> {
        let index = self.free_slot()?;
        let stream = lane.stream(&self.ring.from_device);
        let slot = &self.ring.slots[index];
        let mut host_at = 0;
        for (device, range) in ranges {
            let (device_at, bytes) = (range.start, range.len());
            let transfer = Transfer { host: &slot.memory, host_at, device, device_at, bytes };
            // SAFETY: as in `put`; the slot is read when the event has come.
            unsafe { self.backend.copy_out(stream, &transfer) }?;
            host_at += bytes;
        }
        self.backend.record(stream, &slot.ended)?;
        Ok(index)
    }

    /// Returns the next slot, once its last copy has ended.
    fn free_slot(&mut self) -> Result<usize, GpuError> {
        let index = self.ring.next;
        self.ring.next = (index + 1) % SLOTS;
        self.backend.wait_here(&self.ring.slots[index].ended)?;
        Ok(index)
    }
}

impl<B: Backend + ?Sized> Drop for Lease<'_, B> {
    fn drop(&mut self) {
        if self.is_beside {
            // Copies beside the thread's stream may be at work on its buffers, where an error came between. What fails
            // here has failed before, and whoever uses the device next is told.
            for slot in &self.ring.slots {
                let _ = self.backend.wait_here(&slot.ended);
            }
        }
        // SAFETY: a lease is dropped once, and nothing looks at its ring after that.
        let ring = unsafe { ManuallyDrop::take(&mut self.ring) };
        self.staging.lock().idle.push_back(ring);
        self.staging.given_back.notify_one();
    }
}

impl<B: Backend + ?Sized> fmt::Debug for Lease<'_, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("ring", &self.ring).finish_non_exhaustive()
    }
}
