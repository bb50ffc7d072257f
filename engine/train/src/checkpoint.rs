//! A run that goes on where it was.
//!
//! ```text
//!  | "bigrnTRN" | version: u32 | step: u32 | 16 B of the BLAKE3 hash of settings and examples |
//!  | all numbers that a step changes: f32 each |
//!  | what else a training keeps |
//!  | 16 B of the BLAKE3 hash of all before |
//! ```
//!
//! Of a binarizer the numbers are weights, running statistics, both means of Adam and the averaged weights, and what
//! else is kept is its queue. Mined documents are not kept: a checkpoint is kept before they are looked
//! for again.

use crate::network::Network;
use crate::queue::Queue;
use crate::{TrainError, Trainer};

const MAGIC: [u8; 8] = *b"bigrnTRN";
const VERSION: u32 = 2;
const HEADER: usize = 32;
const CHECK: usize = 16;

/// What tells a training from others: a hash of its settings and examples.
pub(crate) type Fingerprint = [u8; 16];

/// A checkpoint whose hashes are right.
#[derive(Debug)]
pub(crate) struct Kept<'b> {
    /// Steps that were done.
    pub step: u32,
    numbers: &'b [[u8; 4]],
    /// What else the training kept.
    pub rest: &'b [u8],
}

/// Returns a training's hash.
pub(crate) fn fingerprint(
    settings: &str,
    hash_examples: impl FnOnce(&mut blake3::Hasher),
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(settings.as_bytes());
    hash_examples(&mut hasher);
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    id
}

/// Returns a training as bytes.
pub(crate) fn write(
    step: u32,
    fingerprint: Fingerprint,
    numbers: &[&mut Vec<f32>],
    rest: &[u8],
) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&step.to_le_bytes());
    bytes.extend_from_slice(&fingerprint);
    for tensor in numbers {
        tensor.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
    }
    bytes.extend_from_slice(rest);
    let check = hash(&bytes);
    bytes.extend_from_slice(&check);
    bytes
}

impl<'b> Kept<'b> {
    /// Reads the bytes of a training of so many numbers.
    pub fn read(
        bytes: &'b [u8],
        fingerprint: Fingerprint,
        numbers: usize,
    ) -> Result<Self, TrainError> {
        if !bytes.starts_with(&MAGIC) || bytes.len() < HEADER + CHECK {
            return refuse("not a checkpoint of a training");
        }
        let word =
            |at: usize| bytes[at..at + 4].iter().rev().fold(0, |w, &b| w << 8 | u32::from(b));
        if word(8) != VERSION {
            let version = word(8);
            return refuse(&format!("version {version}, this program reads version {VERSION}"));
        }
        let (body, check) = bytes.split_at(bytes.len() - CHECK);
        if hash(body) != check {
            return refuse("its hash does not match");
        }
        if bytes[16..HEADER] != fingerprint || body.len() < HEADER + 4 * numbers {
            return refuse("of another training: settings or examples differ");
        }
        let (numbers, rest) = body[HEADER..].split_at(4 * numbers);
        Ok(Self { step: word(12), numbers: numbers.as_chunks::<4>().0, rest })
    }

    /// Writes the numbers to where they came from.
    pub fn restore(&self, numbers: Vec<&mut Vec<f32>>) {
        let mut values = self.numbers.iter().map(|&bytes| f32::from_le_bytes(bytes));
        for tensor in numbers {
            tensor.iter_mut().zip(&mut values).for_each(|(to, value)| *to = value);
        }
    }
}

pub(crate) fn refuse<T>(reason: &str) -> Result<T, TrainError> {
    Err(TrainError::Checkpoint(reason.to_owned()))
}

impl Trainer<'_> {
    /// Returns the training as bytes; kept after a step that [`settled`](crate::StepReport::settled),
    /// it goes on to the same weights.
    #[must_use]
    pub fn checkpoint(&mut self) -> Vec<u8> {
        let (step, fingerprint) = (self.step(), self.fingerprint());
        let queue = self.queue.as_ref().map(Queue::to_bytes).unwrap_or_default();
        write(step, fingerprint, &self.kept(), &queue)
    }

    /// Goes on from a checkpoint of the same training.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] for bytes of another training, or none.
    pub fn resume(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        let numbers = self.kept().iter().map(|tensor| tensor.len()).sum();
        let kept = Kept::read(bytes, self.fingerprint(), numbers)?;
        let queue = self.queue.as_ref().map(|queue| queue.with_rows(kept.rest));
        match queue {
            Some(Some(queue)) => self.queue = Some(queue),
            None if kept.rest.is_empty() => {}
            Some(None) | None => return refuse("its queue is not one of this training"),
        }
        kept.restore(self.kept());
        self.step = kept.step;
        Ok(())
    }

    /// All numbers that a step changes.
    fn kept(&mut self) -> Vec<&mut Vec<f32>> {
        fn of(network: &mut Network) -> Vec<&mut Vec<f32>> {
            let mut all = Vec::new();
            for map in &mut network.maps {
                all.extend(map.kept_mut());
            }
            all
        }
        let mut kept = of(&mut self.network);
        kept.extend(&mut self.adam.first);
        kept.extend(&mut self.adam.second);
        kept.extend(self.averaged.as_mut().map(of).unwrap_or_default());
        kept
    }

    fn fingerprint(&self) -> Fingerprint {
        let settings = format!("{:?} {:?} {:?}", self.config, self.shape, self.parent());
        fingerprint(&settings, |hasher| self.examples().hash_into(hasher))
    }
}

fn hash(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECK]);
    check
}
