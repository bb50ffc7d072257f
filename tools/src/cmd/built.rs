//! What `bigrain build` says at its end, of the rows of a file and of the files of a folder alike.

use bigrain_engine::Collection;
use serde::Serialize;

use crate::footprint::Footprint;
use crate::session::Session;
use crate::{human, table};

/// What came of a build, as lines.
pub(super) struct Built<'a> {
    /// One line on the files, where there are several.
    pub files: Option<String>,
    /// One line on the points.
    pub points: String,
    /// One line on the speed.
    pub speed: String,
    /// What else is to be said.
    pub remarks: Vec<String>,
    /// What was passed over, as far as it is listed.
    pub skipped: &'a [String],
    /// How much was passed over.
    pub skipped_in_all: u64,
    /// What one more of these is called, and several.
    pub more: [&'static str; 2],
}

impl Built<'_> {
    /// Writes it, or all of the report as JSON.
    pub(super) fn write(
        self,
        report: &impl Serialize,
        json: bool,
        collection: &Collection,
        session: &mut Session<'_>,
    ) -> anyhow::Result<()> {
        let footprint = Footprint::of(&collection.info());
        if json {
            return session.write_json(&serde_json::json!({
                "collection": collection.name(),
                "report": report,
                "footprint": footprint,
            }));
        }
        let place = format!("{} in {}", collection.name(), session.data_dir().display());
        let mut facts = vec![("collection", place)];
        facts.extend(self.files.map(|files| ("files", files)));
        let points = format!("{} ({})", human::count(footprint.points), self.points);
        facts.extend([
            ("points", points),
            ("speed", self.speed),
            ("codes in memory", footprint.describe(footprint.code_bytes)),
            ("segments on disk", footprint.describe(footprint.disk_bytes)),
        ]);
        writeln!(session.out, "{}", table::facts(facts).trim_fmt())?;
        for remark in &self.remarks {
            writeln!(session.out, "{remark}")?;
        }
        for skipped in self.skipped {
            writeln!(session.out, "skipped {skipped}")?;
        }
        let unlisted = self.skipped_in_all - self.skipped.len() as u64;
        if unlisted > 0 {
            let [one, several] = self.more;
            writeln!(session.out, "skipped {}", human::counted(unlisted, one, several))?;
        }
        Ok(())
    }
}
