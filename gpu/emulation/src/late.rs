//! Streams whose work is done as late as events allow.
//!
//! A device may have done what it was asked for at once, or not before somebody waits for it. What is right in the one
//! case only shows in the other: a slot that is written again too early, an event that nobody waits for, memory that
//! goes while a copy is at work on it.

use std::collections::{HashMap, VecDeque};
use std::thread::ThreadId;

use bigrain_gpu::GpuError;

use crate::work::Work;

/// Whose work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A thread's own stream.
    Thread(ThreadId),
    /// A further stream, by its number.
    Stream(u64),
}

/// A place in the work of a stream: the so manieth time that an event was recorded.
#[derive(Clone, Copy, Debug)]
struct Place {
    event: u64,
    times: u64,
    owner: Owner,
}

#[derive(Debug)]
enum Item {
    Work(Work),
    Record(Place),
    Wait(Place),
    /// Memory that nobody uses after this.
    Free(Vec<u64>),
}

/// What has been asked for and not been done.
#[derive(Debug, Default)]
pub(crate) struct Late {
    streams: HashMap<Owner, VecDeque<Item>>,
    /// Of each event, where it was recorded last, and how often it has come.
    recorded: HashMap<u64, Place>,
    come: HashMap<u64, u64>,
    /// What went wrong where nobody could be told.
    problem: Option<String>,
    /// Kernels that ran while a copy could be made beside them.
    overlapped: u64,
    /// Whether further streams do their work as early as events allow.
    hurries_beside: bool,
}

impl Late {
    /// Does as early as it may what others than threads' own streams are asked for.
    pub fn hurrying_beside() -> Self {
        Self { hurries_beside: true, ..Self::default() }
    }

    pub fn ask(&mut self, owner: Owner, work: Work, doing: &Doing<'_>) -> Result<(), GpuError> {
        self.add(owner, Item::Work(work), doing)
    }

    pub fn record(&mut self, owner: Owner, event: u64, doing: &Doing<'_>) -> Result<(), GpuError> {
        let times = self.recorded.get(&event).map_or(0, |place| place.times) + 1;
        let place = Place { event, times, owner };
        self.recorded.insert(event, place);
        self.add(owner, Item::Record(place), doing)
    }

    pub fn wait(&mut self, owner: Owner, event: u64, doing: &Doing<'_>) -> Result<(), GpuError> {
        match self.recorded.get(&event) {
            Some(place) => self.add(owner, Item::Wait(*place), doing),
            None => Ok(()),
        }
    }

    /// Whether an event has come as often as it was recorded.
    pub fn has_come(&self, event: u64) -> bool {
        self.recorded.get(&event).is_none_or(|place| self.is_past(place))
    }

    /// Returns how many kernels ran while a further stream could have made a copy.
    pub fn overlapped(&self) -> u64 {
        self.overlapped
    }

    /// Does what comes before an event, and no more.
    pub fn wait_here(&mut self, event: u64, doing: &Doing<'_>) -> Result<(), GpuError> {
        if let Some(place) = self.recorded.get(&event).copied() {
            self.until(place, doing)?;
        }
        self.hurry(doing)
    }

    /// Does all that was asked of a stream.
    pub fn finish(&mut self, owner: Owner, doing: &Doing<'_>) -> Result<(), GpuError> {
        while let Some(item) = self.next(owner, doing)? {
            self.perform(item, doing)?;
        }
        self.told()
    }

    /// Does all that was asked for.
    pub fn finish_all(&mut self, doing: &Doing<'_>) -> Result<(), GpuError> {
        let owners: Vec<Owner> = self.streams.keys().copied().collect();
        owners.into_iter().try_for_each(|owner| self.finish(owner, doing))
    }

    /// Takes memory that goes in the order of a thread's own stream: no other one may be about to use it.
    pub fn free(&mut self, owner: Owner, words: Vec<u64>) {
        let (at, bytes) = (words.as_ptr() as usize, 8 * words.len());
        let others = self.streams.iter().filter(|(other, _)| **other != owner);
        let mut items = others.flat_map(|(_, items)| items);
        let in_use = |item: &Item| matches!(item, Item::Work(work) if work.touches(at, bytes));
        if let Some(item) = items.find(|item| in_use(item)) {
            self.problem = Some(format!("memory goes before it was used: {item:?}"));
        }
        self.streams.entry(owner).or_default().push_back(Item::Free(words));
    }

    fn add(&mut self, owner: Owner, item: Item, doing: &Doing<'_>) -> Result<(), GpuError> {
        self.streams.entry(owner).or_default().push_back(item);
        self.hurry(doing)
    }

    /// Does what further streams can do already, where they are to hurry.
    fn hurry(&mut self, doing: &Doing<'_>) -> Result<(), GpuError> {
        while self.hurries_beside {
            let ready = self.streams.iter().find(|(owner, items)| {
                let is_kept = |item: &Item| matches!(item, Item::Wait(at) if !self.is_past(at));
                is_further(owner) && items.front().is_some_and(|item| !is_kept(item))
            });
            let Some((&owner, _)) = ready else { break };
            if let Some(item) = self.next(owner, doing)? {
                self.perform(item, doing)?;
            }
        }
        Ok(())
    }

    fn until(&mut self, place: Place, doing: &Doing<'_>) -> Result<(), GpuError> {
        while !self.is_past(&place) {
            let Some(item) = self.next(place.owner, doing)? else {
                return Err(problem(format!("{place:?} never comes")));
            };
            self.perform(item, doing)?;
        }
        self.told()
    }

    fn perform(&mut self, item: Item, doing: &Doing<'_>) -> Result<(), GpuError> {
        match item {
            Item::Work(work) => {
                if matches!(work, Work::Launch { .. }) && self.could_copy() {
                    self.overlapped += 1;
                }
                doing(&work)
            }
            Item::Wait(_) => Ok(()),
            Item::Free(words) => {
                drop(words);
                Ok(())
            }
            Item::Record(place) => {
                self.come.insert(place.event, place.times);
                Ok(())
            }
        }
    }

    /// Whether the next thing that a further stream does is a copy, and nothing keeps it from it.
    fn could_copy(&self) -> bool {
        let waits = |item: &&Item| matches!(item, Item::Wait(place) if self.is_past(place));
        let next = |items: &VecDeque<Item>| {
            let next = items.iter().find(|item| !waits(item));
            matches!(next, Some(Item::Work(Work::Copy { .. })))
        };
        self.streams.iter().any(|(owner, items)| is_further(owner) && next(items))
    }

    /// Takes what a stream does next. It stays where it is for as long as the stream waits for another one.
    fn next(&mut self, owner: Owner, doing: &Doing<'_>) -> Result<Option<Item>, GpuError> {
        let Some(items) = self.streams.get(&owner) else { return Ok(None) };
        if let Some(&Item::Wait(place)) = items.front() {
            self.until(place, doing)?;
        }
        Ok(self.streams.get_mut(&owner).and_then(VecDeque::pop_front))
    }

    fn is_past(&self, place: &Place) -> bool {
        self.come.get(&place.event).is_some_and(|&times| times >= place.times)
    }

    fn told(&self) -> Result<(), GpuError> {
        self.problem.clone().map_or(Ok(()), |told| Err(problem(told)))
    }
}

/// Whether a stream is no thread's own.
fn is_further(owner: &Owner) -> bool {
    matches!(owner, Owner::Stream(_))
}

/// What does a piece of work.
pub(crate) type Doing<'a> = dyn Fn(&Work) -> Result<(), GpuError> + 'a;

fn problem(reason: String) -> GpuError {
    GpuError::Device { doing: "emulate streams", reason }
}
