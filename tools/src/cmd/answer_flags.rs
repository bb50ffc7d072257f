//! Flags that say what of the results comes back.

use bigrain_engine::{Diversity, GroupBy, GroupOutput, SearchParams, SearchParamsError};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Usage;
use crate::hits;
use crate::session::Session;

/// Which results come back, and in which groups.
#[derive(Args, Clone, Debug)]
pub struct AnswerFlags {
    /// Leave out results that score worse: below X, or above it where scores are distances
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    score_threshold: Option<f32>,
    /// Results that are not all alike: how much unlikeness counts against nearness, 0 to 1
    #[arg(long, value_name = "WEIGHT")]
    diversity: Option<f32>,
    /// Group results by the values of this payload field; --limit counts groups
    #[arg(long, value_name = "FIELD", conflicts_with = "diversity")]
    group_by: Option<String>,
    /// Results of each group
    #[arg(long, value_name = "N", default_value_t = 3, requires = "group_by")]
    per_group: usize,
}

impl AnswerFlags {
    /// Adds what was asked for to some parameters.
    ///
    /// # Errors
    ///
    /// When a number is out of range.
    pub fn params(&self, mut params: SearchParams) -> anyhow::Result<SearchParams> {
        let usage = |error: SearchParamsError| Usage::new(error.to_string());
        if let Some(threshold) = self.score_threshold {
            params = params.with_score_threshold(threshold).map_err(usage)?;
        }
        let diversity = self.diversity.map(Diversity::new).transpose().map_err(usage)?;
        Ok(params.with_diversity(diversity))
    }

    /// Returns by what results are grouped, if they are.
    ///
    /// # Errors
    ///
    /// When the field is no path, or the number out of range.
    pub fn group_by(&self) -> anyhow::Result<Option<GroupBy>> {
        let by = |field: &String| GroupBy::new(field)?.with_per_group(self.per_group);
        let by = self.group_by.as_ref().map(by).transpose();
        Ok(by.map_err(|error| Usage::new(error.to_string()))?)
    }
}

/// Writes groups as people read them: a heading and a table each.
pub(super) fn write_groups(found: &GroupOutput, session: &mut Session<'_>) -> anyhow::Result<()> {
    if found.groups.is_empty() {
        writeln!(session.out, "no group matches\n")?;
    }
    for group in &found.groups {
        writeln!(session.out, "{}", group.value.to_json())?;
        writeln!(session.out, "{}\n", hits::to_table(&group.points).trim_fmt())?;
    }
    Ok(())
}

/// Returns groups as JSON.
pub(super) fn groups_json(found: &GroupOutput) -> Value {
    let group = |group: &bigrain_engine::Group| json!({ "value": group.value.to_json(), "points": hits::to_json(&group.points) });
    found.groups.iter().map(group).collect()
}
