//! What a check found.

use serde::Serialize;

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

    fn note(&mut self, kind: FindingKind, problem: String) {
        if self.list.len() < MAX_FINDINGS {
            let collection = self.collection.clone();
            self.list.push(Finding { kind, collection, problem });
        }
    }
}
