//! Search results as people read them.

use std::time::Duration;

use bigrain_engine::{Payload, ScoredPoint, SearchStats};
use comfy_table::Table;
use serde_json::{Value, json};

use crate::{human, table};

/// Characters of a text that a table shows.
const EXCERPT: usize = 100;

/// Returns results as a table: rank, score, where the point comes from, and what it says.
#[must_use]
pub fn to_table(points: &[ScoredPoint]) -> Table {
    let mut table = table::plain(["#", "score", "point", ""]);
    for (index, point) in points.iter().enumerate() {
        table.add_row([
            (index + 1).to_string(),
            format!("{:.4}", point.score),
            place(point),
            what(&point.payload),
        ]);
    }
    table::align_right(&mut table, &[0, 1]);
    table
}

/// Returns results as JSON: id, score and payload of each.
#[must_use]
pub fn to_json(points: &[ScoredPoint]) -> Value {
    let point = |point: &ScoredPoint| json!({ "id": point.id, "score": point.score, "payload": point.payload });
    points.iter().map(point).collect()
}

/// Returns one line on what a search did and where its time went; `encode` is the time that the
/// query's text took.
#[must_use]
pub fn stats_line(stats: &SearchStats, encode: Duration) -> String {
    let times = &stats.times;
    let filter = match times.filter {
        Duration::ZERO => String::new(),
        filter => format!(" + filter {}", human::duration(filter)),
    };
    let scanned = match stats.components {
        0 => format!("{} codes scanned", human::count(stats.codes_scanned)),
        components => format!("{} components added up", human::count(components)),
    };
    format!(
        "{} = encode {} + prepare {}{filter} + candidates {} + verify {} + payload {}; {}, {scanned}, \
         {} candidates, {} vectors read",
        human::duration(encode + times.total()),
        human::duration(encode),
        human::duration(times.prepare),
        human::duration(times.candidates),
        human::duration(times.verify),
        human::duration(times.payload),
        human::counted(stats.lists, "list", "lists"),
        human::count(stats.candidates),
        human::count(stats.rows_read),
    )
}

/// Returns crate, file and line for a function, the id for anything else.
fn place(point: &ScoredPoint) -> String {
    let payload = &point.payload;
    match (payload.text("crate"), payload.text("file"), payload.get("line")) {
        (Some(krate), Some(file), Some(line)) => format!("{krate}/{file}:{line}"),
        _ => point.id.to_string(),
    }
}

/// The payload fields that are shown, and that a cross-encoder reads.
pub const TEXT_FIELDS: [&str; 4] = ["title", "signature", "doc", "text"];

/// Returns the texts of a payload, a line each, or `None` if it has none.
#[must_use]
pub fn passage(payload: &Payload) -> Option<String> {
    let texts: Vec<&str> = texts(payload).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn texts(payload: &Payload) -> impl Iterator<Item = &str> {
    let texts = TEXT_FIELDS.into_iter().filter_map(|field| payload.text(field));
    texts.filter(|text| !text.trim().is_empty())
}

/// Returns what a payload says: title and text, signature and documentation, or else all of it.
fn what(payload: &Payload) -> String {
    let texts: Vec<String> =
        texts(payload).take(2).map(|text| human::excerpt(text, EXCERPT)).collect();
    if texts.is_empty() && !payload.is_empty() {
        let json = payload.to_json().unwrap_or_default();
        return human::excerpt(&String::from_utf8_lossy(&json), EXCERPT);
    }
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use bigrain_engine::PointId;

    use super::*;

    fn point(payload: Payload) -> ScoredPoint {
        ScoredPoint { id: PointId::parse("d1").unwrap(), score: 0.5, payload }
    }

    #[test]
    fn functions_are_shown_by_file_and_line() {
        let payload = Payload::new()
            .with("crate", "tokio-1.0")
            .with("file", "src/a.rs")
            .with("line", 12)
            .with("signature", "fn wait()")
            .with("doc", "Waits.");
        let text = to_table(&[point(payload)]).to_string();
        assert!(text.contains("tokio-1.0/src/a.rs:12") && text.contains("0.5000"), "{text}");
        assert!(text.contains("fn wait()") && text.contains("Waits."), "{text}");
    }

    #[test]
    fn other_points_are_shown_by_id_with_their_text_or_payload() {
        let text = to_table(&[
            point(Payload::new().with("title", "Wings").with("text", "x".repeat(500))),
            point(Payload::new().with("year", 1958)),
            point(Payload::new()),
        ])
        .to_string();
        assert!(text.contains("d1") && text.contains("Wings") && text.contains('…'), "{text}");
        assert!(text.contains(r#"{"year":1958}"#), "{text}");
    }

    #[test]
    fn the_time_is_split_by_stage() {
        let mut stats = SearchStats { lists: 1, codes_scanned: 6000, ..SearchStats::default() };
        stats.times.verify = Duration::from_millis(2);
        let line = stats_line(&stats, Duration::from_millis(3));
        assert!(line.starts_with("5.00 ms = encode 3.00 ms + prepare 0 µs"), "{line}");
        assert!(line.contains("verify 2.00 ms") && line.contains("1 list, 6,000 codes"), "{line}");
    }
}
