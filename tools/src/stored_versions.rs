//! What a collection has of the files it was built from.

use std::collections::HashMap;

use bigrain_engine::{Collection, ScrollParams};

/// Returns the version of each file (`version` of the payload) by its path (`path`), from the points that
/// `params` go through, page by page.
pub(crate) fn stored_versions(
    collection: &Collection,
    mut params: ScrollParams,
) -> anyhow::Result<HashMap<String, String>> {
    let mut stored = HashMap::new();
    loop {
        let page = collection.scroll_page(&params)?;
        for point in &page.points {
            let field = |name| point.payload.text(name).unwrap_or_default().to_owned();
            stored.insert(field("path"), field("version"));
        }
        let Some(next) = page.next else { return Ok(stored) };
        params = params.from_cursor(next);
    }
}
