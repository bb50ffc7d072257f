//! A run that goes on where it was.
//!
//! ```text
//!  | "bigrnTRN" | version: u32 | step: u32 | 16 B of the BLAKE3 hash of settings and examples |
//!  | weights, running statistics, both means of Adam, the averaged weights: f32 each |
//!  | 16 B of the BLAKE3 hash of all before |
//! ```
//!
//! Mined documents are not kept: a checkpoint is kept before they are looked for again.

use crate::network::Network;
use crate::{TrainError, Trainer};

const MAGIC: [u8; 8] = *b"bigrnTRN";
const VERSION: u32 = 1;
const HEADER: usize = 32;
const CHECK: usize = 16;

impl Trainer<'_> {
    /// Returns the training as bytes; kept after a step that [`settled`](crate::StepReport::settled),
    /// it goes on to the same weights.
    #[must_use]
    pub fn checkpoint(&mut self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.step().to_le_bytes());
        bytes.extend_from_slice(&self.fingerprint());
        for tensor in self.kept() {
            tensor.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        }
        let check = hash(&bytes);
        bytes.extend_from_slice(&check);
        bytes
    }

    /// Goes on from a checkpoint of the same training.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] for bytes of another training, or none.
    pub fn resume(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        let refuse = |reason: &str| Err(TrainError::Checkpoint(reason.to_owned()));
        let numbers: usize = self.kept().iter().map(|tensor| tensor.len()).sum();
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
        if bytes[16..HEADER] != self.fingerprint() || body.len() != HEADER + 4 * numbers {
            return refuse("of another training: settings or examples differ");
        }
        let (values, _) = body[HEADER..].as_chunks::<4>();
        let mut values = values.iter().map(|&bytes| f32::from_le_bytes(bytes));
        for tensor in self.kept() {
            tensor.iter_mut().zip(&mut values).for_each(|(to, value)| *to = value);
        }
        self.step = word(12);
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

    fn fingerprint(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{:?} {:?} {:?}", self.config, self.shape, self.parent()).as_bytes());
        self.examples().hash_into(&mut hasher);
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        id
    }
}

fn hash(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&blake3::hash(bytes).as_bytes()[..CHECK]);
    check
}
