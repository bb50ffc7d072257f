//! The codes of one field of a segment, on a device or not.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use bigrain_binarize::LoadedCodes as _;
use bigrain_index::RowMask;
use bigrain_index::candidates::device_scan;
use bigrain_index::codes::ResidentCodes;
use parking_lot::Mutex;
use roaring::RoaringBitmap;

use super::together::Together;
use super::{Device, WhyHost};

/// Whether codes are on a device.
#[derive(Debug, Default)]
pub(crate) struct OnDevice {
    place: Mutex<Place>,
    /// Held while they are copied.
    copying: Mutex<()>,
    /// The rows that were not deleted when it was last asked, and of which set of deleted ones.
    live: Mutex<Option<(Weak<RoaringBitmap>, Arc<RowMask>)>>,
}

#[derive(Debug, Default)]
enum Place {
    /// Nobody has tried.
    #[default]
    Unknown,
    There(Arc<Loaded>),
    /// Refused; not before codes have gone more often than this, or never, is it worth another try.
    Refused {
        why: WhyHost,
        frees: Option<u64>,
    },
}

/// Codes in the memory of a device, which has it back when nobody searches them any more.
#[derive(Debug)]
pub(crate) struct Loaded {
    // Dropped first: whoever is told that there is room finds it.
    pub codes: Together,
    _freed: Freed,
}

/// Tells the device that codes have gone.
#[derive(Debug)]
struct Freed(Arc<Device>);

impl Drop for Freed {
    fn drop(&mut self) {
        self.0.frees.fetch_add(1, Ordering::Release);
    }
}

impl OnDevice {
    /// Returns the codes on a device, after copying them if nobody has; or why they are not there.
    ///
    /// Whoever comes while they are copied does not wait. Copies of different codes wait for each other.
    pub fn get(&self, device: &Arc<Device>, codes: &ResidentCodes) -> Result<Arc<Loaded>, WhyHost> {
        if let Some(failure) = device.failure() {
            return Err(WhyHost::Failed(Arc::clone(failure)));
        }
        if let Some(known) = self.known(device) {
            return known;
        }
        let Some(_copying) = self.copying.try_lock() else { return Err(WhyHost::Copying) };
        // Whoever held it before may have brought them.
        if let Some(known) = self.known(device) {
            return known;
        }
        let _loading = device.loading.lock();
        // Asked before: codes that go meanwhile are worth another try.
        let frees = device.frees();
        let loaded = device_scan::load(&*device.scanner, codes);
        let (place, got) = match loaded {
            Ok(codes) => {
                let (codes, freed) = (Together::new(codes), Freed(Arc::clone(device)));
                let loaded = Arc::new(Loaded { codes, _freed: freed });
                (Place::There(Arc::clone(&loaded)), Ok(loaded))
            }
            Err(error) => {
                let why = device.refused(&error);
                let (device, rows) = (device.name(), codes.rows());
                tracing::warn!(device, rows, %error, "codes of a segment stay with the CPU");
                let frees = matches!(why, WhyHost::DoesNotFit(_)).then_some(frees);
                (Place::Refused { why: why.clone(), frees }, Err(why))
            }
        };
        *self.place.lock() = place;
        got
    }

    /// Returns the bytes that the codes take on the device, if they are there.
    pub fn bytes(&self) -> Option<u64> {
        match &*self.place.lock() {
            Place::There(loaded) => Some(loaded.codes.memory_bytes()),
            Place::Unknown | Place::Refused { .. } => None,
        }
    }

    /// Returns a mask of what is not deleted, as `make` makes it unless it is known.
    pub fn live<E>(
        &self,
        deleted: &Arc<RoaringBitmap>,
        make: impl FnOnce() -> Result<RowMask, E>,
    ) -> Result<Arc<RowMask>, E> {
        // A weak reference keeps the address from being used again, and writers from copying the set.
        if let Some((of, live)) = &*self.live.lock()
            && std::ptr::eq(Weak::as_ptr(of), Arc::as_ptr(deleted))
        {
            return Ok(Arc::clone(live));
        }
        let live = Arc::new(make()?);
        *self.live.lock() = Some((Arc::downgrade(deleted), Arc::clone(&live)));
        Ok(live)
    }

    /// Returns what is known of the codes, unless that asks for a try.
    fn known(&self, device: &Device) -> Option<Result<Arc<Loaded>, WhyHost>> {
        match &*self.place.lock() {
            Place::There(loaded) => Some(Ok(Arc::clone(loaded))),
            Place::Refused { why, frees } => {
                let is_final = frees.is_none_or(|frees| frees == device.frees());
                is_final.then(|| Err(why.clone()))
            }
            Place::Unknown => None,
        }
    }
}
