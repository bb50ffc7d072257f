//! What was found in code: file and line, and the block.

use std::io::{self, Write};

use bigrain_engine::{GroupOutput, Payload};
use serde_json::{Value, json};

use super::points::is_test;
use crate::hits;

/// Lines of a block that are shown.
const LINES_SHOWN: usize = 8;
/// Characters of a line that are shown.
const WIDTH: usize = 110;

/// Writes snippets, each with the blocks of it that were found, best first.
///
/// # Errors
///
/// When the output is closed.
pub fn write_groups(found: &GroupOutput, out: &mut dyn Write) -> io::Result<()> {
    for (rank, group) in found.groups.iter().enumerate() {
        for (index, point) in group.points.iter().enumerate() {
            let payload = &point.payload;
            let path = payload.text("path").unwrap_or_default();
            let (line, end) = (number(payload, "line"), number(payload, "end_line"));
            if index == 0 {
                let mut what: Vec<&str> =
                    ["kind", "name"].iter().filter_map(|field| payload.text(field)).collect();
                if is_test(payload) {
                    what.insert(0, "test:");
                }
                let (rank, what) = (rank + 1, what.join(" "));
                writeln!(out, "{rank}. {path}:{line}-{end}  {:.4}  {what}", point.score)?;
                if let Some(doc) = payload.text("doc") {
                    writeln!(out, "   {}", crate::human::excerpt(doc, WIDTH))?;
                }
                write_block(payload, line, out)?;
            } else {
                writeln!(out, "   also {path}:{line}-{end}  {:.4}", point.score)?;
            }
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Writes the first lines of a block with their numbers.
fn write_block(payload: &Payload, line: u64, out: &mut dyn Write) -> io::Result<()> {
    let text = payload.text("text").unwrap_or_default();
    let visible: Vec<(u64, &str)> = (line..).zip(text.lines()).collect();
    for (number, text) in visible.iter().take(LINES_SHOWN) {
        let text: String = text.trim_end().chars().take(WIDTH).collect();
        writeln!(out, "{number:>6} | {text}")?;
    }
    if visible.len() > LINES_SHOWN {
        writeln!(out, "       | … {} more lines", visible.len() - LINES_SHOWN)?;
    }
    Ok(())
}

fn number(payload: &Payload, field: &str) -> u64 {
    payload.get(field).and_then(Value::as_u64).unwrap_or_default()
}

/// Returns snippets as JSON.
#[must_use]
pub fn groups_json(found: &GroupOutput) -> Value {
    let group = |group: &bigrain_engine::Group| json!({ "snippet": group.value.to_json(), "blocks": hits::to_json(&group.points) });
    found.groups.iter().map(group).collect()
}
