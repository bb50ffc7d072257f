//! What a check found.

use serde::Serialize;

use super::CollectionCheck;
use crate::{Error, ErrorKind, Result};

/// How many findings are kept; the others are only counted.
pub const MAX_FINDINGS: usize = 1000;

/// What kind of thing a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FindingKind {
    /// Something is lost or wrong.
    Damage,
    /// Something that nobody needs any more takes room.
    Orphan,
    /// A collection, or a segment of one, that a newer program wrote was not looked at: what is there is
    /// not known.
    Unchecked,
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The collection it is in; none for the folder as a whole.
    pub collection: Option<String>,
    /// Where it is, and what is wrong there.
    pub problem: String,
}

/// Findings as they come in.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub list: Vec<Finding>,
    pub damage: u64,
    pub orphans: u64,
    pub unchecked: u64,
    collection: Option<String>,
}

impl Findings {
    /// Says which collection the next findings are in.
    pub fn of(&mut self, collection: Option<&str>) -> &mut Self {
        self.collection = collection.map(str::to_owned);
        self
    }

    /// Notes damage.
    #[expect(clippy::needless_pass_by_value, reason = "callers have errors and words to give away")]
    pub fn damage(&mut self, problem: impl ToString) {
        self.damage += 1;
        self.note(FindingKind::Damage, problem.to_string());
    }

    /// Notes an orphan.
    #[expect(clippy::needless_pass_by_value, reason = "callers have errors and words to give away")]
    pub fn orphan(&mut self, problem: impl ToString) {
        self.orphans += 1;
        self.note(FindingKind::Orphan, problem.to_string());
    }

    /// Notes a collection or a segment that this program cannot check.
    #[expect(clippy::needless_pass_by_value, reason = "as the others")]
    pub fn unchecked(&mut self, problem: impl ToString) {
        self.unchecked += 1;
        self.note(FindingKind::Unchecked, problem.to_string());
    }

    /// Notes why a segment could not be opened: a newer program wrote a file of it, or it is damaged.
    pub fn unopened(&mut self, error: Error) {
        if error.kind() == ErrorKind::FailedPrecondition {
            self.unchecked(error);
        } else {
            self.damage(error);
        }
    }

    /// Notes why a collection could not be checked, if the others can be: it is damaged, or a newer program
    /// wrote it.
    ///
    /// # Errors
    ///
    /// Any other error.
    pub fn broken(&mut self, name: String, error: Error) -> Result<CollectionCheck> {
        self.of(Some(&name));
        let mut check = CollectionCheck { name, ..CollectionCheck::default() };
        if error.kind() == ErrorKind::Corruption {
            self.damage(error);
            check.damage = 1;
        } else if error.kind() == ErrorKind::FailedPrecondition {
            self.unchecked(error);
        } else {
            return Err(error);
        }
        Ok(check)
    }

    fn note(&mut self, kind: FindingKind, problem: String) {
        if self.list.len() < MAX_FINDINGS {
            let collection = self.collection.clone();
            self.list.push(Finding { kind, collection, problem });
        }
    }
}
