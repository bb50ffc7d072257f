//! What a search by vector did, for people.

use bigrain_index::candidates::ivf::Reach;
use bigrain_types::CodeSpaceId;
use roaring::RoaringBitmap;

use super::VectorSearch;
use super::view::View;
use crate::collection::matching::live_slots;
use crate::collection::state::FieldView;
use crate::memtable::Memtable;
use crate::plan::{SearchPlan, SourcePlan};

impl VectorSearch<'_> {
    fn index_plan(&self, exact: bool, view: &FieldView) -> String {
        let lists = match view.files.lists.resident() {
            Ok(lists) if !exact => lists,
            Ok(_) | Err(_) => return "exact scan".into(),
        };
        let Reach { probes, epsilon } = self.reach(&lists);
        let probes = probes.min(lists.layout.len());
        format!("{probes} of {} lists, bounds of {:.1} sigma", lists.layout.len(), epsilon.full)
    }

    /// Says which version of a learned binarizer made codes.
    fn version(&self, space: CodeSpaceId) -> Option<String> {
        self.field.config.binarizer.is_some().then(|| space.to_string())
    }

    /// Says where vectors of a segment are verified; an exact scan goes through the map.
    fn reads(&self, exact: bool, view: &FieldView) -> Option<&'static str> {
        match (exact, self.params.verify()) {
            (true, _) => Some("map"),
            (false, true) => Some(self.shared.resources.row_io.describe(view.files.dense.file())),
            (false, false) => None,
        }
    }

    /// Says how the search went about it.
    pub fn plan(&self, view: &View) -> SearchPlan {
        let (exact, filtered) = (self.params.exact(), &view.filtered);
        let device = self.shared.resources.device.as_ref();
        let scanned_by = |source: usize| Some(view.scanned_by[source].get()?.describe(device?));
        let mut sources: Vec<SourcePlan> = view
            .segments
            .iter()
            .enumerate()
            .map(|(source, view)| SourcePlan {
                source: format!("segment {}", view.segment.id),
                index: self.index_plan(exact, view),
                reads: self.reads(exact, view).map(str::to_owned),
                filter: filtered.get(source).map(|filtered| filtered.explain(exact)),
                version: self.version(view.files.codes.space()),
                scanned_by: scanned_by(source),
                rows: view.files.rows(),
                deleted: view.deleted_rows(),
            })
            .collect();
        let frozen = view.frozen.iter();
        sources.extend(frozen.map(|frozen| self.memtable_plan(&frozen.table, &frozen.dead)));
        sources.extend(view.active_plan.clone());
        SearchPlan {
            method: match (exact, self.params.verify(), &self.query.adapter) {
                (_, _, Some(adapter)) => {
                    let (count, weight) = (self.params.limit(), adapter.code_weight());
                    format!("codes, then an adapter of {count} with {weight} of what codes say")
                }
                (true, _, None) => "exact".into(),
                (false, true, None) => "codes, then verify".into(),
                (false, false, None) => "codes alone".into(),
            },
            field: self.field.name.to_string(),
            levels: self.field.config.levels.get(),
            query_bits: self.code.own().width() as u8,
            max_candidates: self.max_candidates,
            sources,
            parts: Vec::new(),
        }
    }

    /// Says how a memtable was searched.
    pub fn memtable_plan(&self, table: &Memtable, dead: &RoaringBitmap) -> SourcePlan {
        let column = table.column(self.field.id);
        let matching = self.filter.as_ref().map(|filter| live_slots(table, dead, filter).len());
        SourcePlan {
            source: "memtable".into(),
            index: "flat scan".into(),
            reads: None,
            filter: matching.map(|count| format!("{count} match, by their payloads")),
            version: column.and_then(|column| self.version(column.field().binarizer.id())),
            scanned_by: if self.params.exact() {
                None
            } else {
                self.shared.resources.scanned_here("codes of recent writes are not on the device")
            },
            rows: column.map_or(0, |column| column.len() as u64),
            deleted: column.map_or(0, |column| column.count_in(dead)),
        }
    }
}
