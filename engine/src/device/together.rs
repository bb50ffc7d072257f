//! Scans that come while the device is at one go to it together.
//!
//! ```text
//!  scan 1 ──────────────> device at work ──────> answered
//!  scan 2 ──> waiting ─┐
//!  scan 3 ──> waiting ─┴───────────────────────> one call of the device ──> both answered
//! ```
//!
//! Searches of a batch, and those that happen to run at once, meet here where they scan the same codes. Whoever finds
//! the device idle asks it at once; the others leave their requests, and the first of them to find it idle again asks
//! for all. Nobody waits for more scans than the one at work and its own.

use std::collections::HashMap;
use std::sync::Arc;

use bigrain_binarize::{DeviceError, LoadedCodes, ScanRequest, ScannedList, ScoredCode};
use bigrain_kernels::QueryPlanes;
use parking_lot::{Condvar, Mutex};

type Answer = Result<Vec<Vec<ScoredCode>>, DeviceError>;

/// Codes on a device that several scans ask at a time.
#[derive(Debug)]
pub(crate) struct Together {
    codes: Box<dyn LoadedCodes>,
    state: Mutex<State>,
    /// A scan has ended.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether somebody's scan is at work.
    is_busy: bool,
    waiting: Vec<Waiting>,
    answers: HashMap<u64, Answer>,
    /// The number of the next scan that waits.
    next: u64,
}

/// A scan that waits, with all that its requests have.
#[derive(Debug)]
struct Waiting {
    number: u64,
    requests: Vec<Request>,
}

/// A request that borrows nothing from whoever waits for it.
#[derive(Debug)]
struct Request {
    planes: Vec<u64>,
    dims: usize,
    lists: Vec<ScannedList>,
    mask: Option<Arc<Mask>>,
    limit: usize,
    floor: f32,
}

/// A mask, and where it was copied from: there it stays for as long as its request waits.
#[derive(Debug)]
struct Mask {
    from: usize,
    words: Vec<u32>,
}

impl Together {
    pub fn new(codes: Box<dyn LoadedCodes>) -> Self {
        Self { codes, state: Mutex::default(), ended: Condvar::new() }
    }

    /// Scans for all that wait. The device is idle, and the caller has said that it is busy.
    fn scan_for_all(&self, waiting: &[Waiting]) -> Vec<(u64, Answer)> {
        let requests: Vec<&Request> = waiting.iter().flat_map(|scan| &scan.requests).collect();
        let borrowed: Option<Vec<ScanRequest<'_>>> =
            requests.iter().map(|request| request.borrow()).collect();
        let answer = match borrowed {
            Some(requests) => self.codes.scan(&requests),
            None => Err(DeviceError::Unsupported("planes of a query lost their shape".into())),
        };
        let mut found = match answer {
            Ok(found) if found.len() == requests.len() => found.into_iter(),
            Ok(found) => {
                let (answers, requests) = (found.len(), requests.len());
                let reason = format!("{answers} answers to {requests} requests");
                return to_all(waiting, &DeviceError::Unsupported(reason));
            }
            Err(error) => return to_all(waiting, &error),
        };
        let own =
            |scan: &Waiting| (scan.number, Ok(found.by_ref().take(scan.requests.len()).collect()));
        waiting.iter().map(own).collect()
    }

    /// Lets the next ones at the device, also when a scan panics.
    fn busy(&self) -> Busy<'_> {
        Busy(self)
    }
}

/// Somebody's scan is at work.
struct Busy<'a>(&'a Together);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state.lock().is_busy = false;
        self.0.ended.notify_all();
    }
}

impl LoadedCodes for Together {
    fn memory_bytes(&self) -> u64 {
        self.codes.memory_bytes()
    }

    fn scan(&self, requests: &[ScanRequest<'_>]) -> Answer {
        let mut state = self.state.lock();
        if !state.is_busy {
            state.is_busy = true;
            drop(state);
            let _busy = self.busy();
            return self.codes.scan(requests);
        }
        let number = state.next;
        state.next += 1;
        let requests = requests.iter().map(|request| Request::new(request, &state)).collect();
        state.waiting.push(Waiting { number, requests });
        loop {
            if let Some(answer) = state.answers.remove(&number) {
                return answer;
            }
            if state.is_busy {
                self.ended.wait(&mut state);
                continue;
            }
            let waiting = std::mem::take(&mut state.waiting);
            if !waiting.iter().any(|scan| scan.number == number) {
                // Whoever took it along has panicked.
                state.waiting = waiting;
                return Err(DeviceError::Failed("a scan beside this one broke off".into()));
            }
            state.is_busy = true;
            drop(state);
            let busy = self.busy();
            let answers = self.scan_for_all(&waiting);
            self.state.lock().answers.extend(answers);
            drop(busy);
            state = self.state.lock();
        }
    }
}

impl Request {
    /// Copies a request; a mask that another one has brought already is shared.
    fn new(request: &ScanRequest<'_>, state: &State) -> Self {
        let ScanRequest { query, lists, mask, limit, floor } = *request;
        let known = |words: &[u32]| {
            let from = words.as_ptr().addr();
            let others = state.waiting.iter().flat_map(|scan| &scan.requests);
            let same = |mask: &&Arc<Mask>| mask.from == from && mask.words.len() == words.len();
            let shared = others.filter_map(|other| other.mask.as_ref()).find(same).cloned();
            shared.unwrap_or_else(|| Arc::new(Mask { from, words: words.to_vec() }))
        };
        let planes = (0..query.width()).flat_map(|plane| query.plane(plane)).copied().collect();
        let (dims, lists, mask) = (query.dims(), lists.to_vec(), mask.map(known));
        Self { planes, dims, lists, mask, limit, floor }
    }

    fn borrow(&self) -> Option<ScanRequest<'_>> {
        Some(ScanRequest {
            query: QueryPlanes::new(&self.planes, self.dims).ok()?,
            lists: &self.lists,
            mask: self.mask.as_ref().map(|mask| &mask.words[..]),
            limit: self.limit,
            floor: self.floor,
        })
    }
}

/// Gives the same refusal to all.
fn to_all(waiting: &[Waiting], error: &DeviceError) -> Vec<(u64, Answer)> {
    let again = || match error {
        DeviceError::DoesNotFit { needed, free } => {
            DeviceError::DoesNotFit { needed: *needed, free: *free }
        }
        DeviceError::Unsupported(reason) => DeviceError::Unsupported(reason.clone()),
        DeviceError::Failed(source) => DeviceError::Failed(source.to_string().into()),
        _ => DeviceError::Failed(error.to_string().into()),
    };
    waiting.iter().map(|scan| (scan.number, Err(again()))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    use super::*;

    /// The limit of each request of a scan, and where its mask lies.
    type Seen = Vec<(usize, Option<usize>)>;

    /// Answers each request with its limit as a row. Waits before that, each time, for a word to go on.
    #[derive(Debug)]
    struct Slow {
        begun: Mutex<Sender<Seen>>,
        go_on: Mutex<Receiver<bool>>,
    }

    impl LoadedCodes for Slow {
        fn memory_bytes(&self) -> u64 {
            1
        }

        fn scan(&self, requests: &[ScanRequest<'_>]) -> Answer {
            let address = |mask: &[u32]| mask.as_ptr().addr();
            let seen = |request: &ScanRequest<'_>| (request.limit, request.mask.map(address));
            self.begun.lock().send(requests.iter().map(seen).collect()).unwrap();
            if !self.go_on.lock().recv().unwrap() {
                return Err(DeviceError::DoesNotFit { needed: 7, free: 3 });
            }
            let row = |request: &ScanRequest<'_>| {
                vec![ScoredCode { row: request.limit as u32, score: request.lists.len() as i32 }]
            };
            Ok(requests.iter().map(row).collect())
        }
    }

    fn wait_for(together: &Together, waiting: usize) {
        while together.state.lock().waiting.len() < waiting {
            thread::yield_now();
        }
    }

    /// Lets a scan begin, then three others, and says whether they succeed; returns what the device was asked.
    fn run(succeed: bool) -> Vec<Seen> {
        let (begun, begins) = channel();
        let (tell, go_on) = channel();
        let slow = Slow { begun: Mutex::new(begun), go_on: Mutex::new(go_on) };
        let together = &Together::new(Box::new(slow));
        let planes = vec![5_u64; 2];
        let mask = [u32::MAX; 2];
        let scan = |limit: usize| {
            let query = QueryPlanes::new(&planes, 64).unwrap();
            let masked = (limit > 1).then_some(&mask[..]);
            let floor = f32::NEG_INFINITY;
            let request = ScanRequest { query, lists: &[], mask: masked, limit, floor };
            together.scan(&[request])
        };
        thread::scope(|scope| {
            let first = scope.spawn(|| scan(1));
            let mut asked = vec![begins.recv().unwrap()];
            let scan = &scan;
            let others: Vec<_> = (2..5)
                .map(|limit| {
                    let other = scope.spawn(move || scan(limit));
                    wait_for(together, limit - 1);
                    other
                })
                .collect();
            tell.send(true).unwrap();
            asked.push(begins.recv().unwrap());
            tell.send(succeed).unwrap();
            let of = |limit: u32| vec![vec![ScoredCode { row: limit, score: 0 }]];
            assert_eq!(first.join().unwrap().unwrap(), of(1));
            for (limit, other) in (2..).zip(others) {
                match other.join().unwrap() {
                    Ok(found) if succeed => assert_eq!(found, of(limit)),
                    Err(DeviceError::DoesNotFit { needed: 7, free: 3 }) if !succeed => {}
                    other => panic!("{other:?}"),
                }
            }
            assert!(together.state.lock().answers.is_empty());
            asked
        })
    }

    #[test]
    fn scans_that_come_while_one_is_at_work_go_together_and_share_their_mask() {
        let asked = run(true);
        let limits = |asked: &[(usize, Option<usize>)]| -> Vec<usize> {
            asked.iter().map(|(limit, _)| *limit).collect()
        };
        assert_eq!([limits(&asked[0]), limits(&asked[1])], [vec![1], vec![2, 3, 4]]);
        assert!(asked[1][0].1.is_some() && asked[1].iter().all(|one| one.1 == asked[1][0].1));
    }

    #[test]
    fn a_refusal_is_told_to_all_who_waited() {
        run(false);
    }
}
