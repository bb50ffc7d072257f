//! Who may do what: keys, and the one place where they are checked.
//!
//! ```text
//!  request ── guard ── handler ── lane ── Context::collection
//!             key?      Caller, task-local     in the key's scope?
//!             may it?   and along into the lane
//! ```
//!
//! A call that is not listed as a read is a write ([`Calls`]), so a new one is closed to read-only keys until
//! somebody says otherwise. In which collections a key works is checked where collections are looked up; work
//! that lost its caller on the way finds none and is refused.
//!
//! How much a key may do is counted where it comes in: requests at the door, points where they are written
//! ([`Context::admit_points`](crate::grpc::Context::admit_points)).

mod caller;
mod calls;
mod guard;
mod keys;
mod meter;
mod reservations;

pub(crate) use caller::Caller;
pub(crate) use calls::{Calls, Need};
pub(crate) use guard::{Policy, code, guard};
pub(crate) use keys::{Key, Keys};
pub use keys::{KeyAccess, KeySettings, Secret};
pub(crate) use reservations::{Outcome, Reservation, Reservations, Room};
