//! `bigrain train demo --later-model`: codes of one encoder, the next version for another one, and a collection of both.

use std::sync::Arc;

use anyhow::Context;
use bigrain_binarize::{Binarizer, QueryWidth, Recurrent, Translation};
use bigrain_engine::Levels;
use bigrain_kernels::dot;
use bigrain_train::{DocumentCodes, Shortlisted, ranks_among};
use serde::Serialize;

use super::comparison::{CANDIDATES, LIMITS, Ranks, mean, over_seeds};
use super::demo::Demo;
use crate::fusing::{Interval, mean_difference};
use crate::learning::{Ancestor, Former, hits_at};
use crate::matrix::Matrix;
use crate::session::Session;
use crate::{human, table};

/// Which queries are asked, and by what documents are found.
const KINDS: [&str; 5] = [
    "old encoder and codes",
    "new queries, old documents",
    "new queries, documents of both in turn",
    "new queries, new documents",
    "new encoder and codes without a parent",
];

/// A row of the table.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    /// Recall at 10 by codes alone, in the mean over queries and seeds; and of each seed.
    codes: f64,
    seeds: Vec<f64>,
    /// After verification.
    verified: f64,
    /// Against the old encoder, by codes alone and verified.
    over_old: Option<[Option<Interval>; 2]>,
}

/// What the comparison found.
#[derive(Debug, Serialize)]
struct Encoders {
    dims: [usize; 2],
    queries: usize,
    rows: Vec<Row>,
}

/// Trains codes of the old encoder, and of the new one with and without these as the parent, and compares.
pub(super) fn run(
    old: &Demo<'_>,
    new: &Demo<'_>,
    former: &Former,
    json: bool,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let held = former.held_out_documents();
    let mut found: [Vec<[Vec<f64>; 2]>; 5] = Default::default();
    for seed in old.seeds() {
        let parent = old.train(Levels::TWO, seed, &old.training, None)?.0;
        let ancestor = Ancestor { recurrent: &parent, former: Some([&former.documents, &held]) };
        let next = new.train(Levels::TWO, seed, &new.training, Some(ancestor))?.0;
        let free = new.train(Levels::TWO, seed, &new.training, None)?.0;
        let ranks = old.threads.install(|| ranks(old, new, [&parent, &next, &free]))?;
        for (kind, ranks) in found.iter_mut().zip(ranks) {
            let hits = |ranks: &[u32]| hits_at(ranks, LIMITS[1]);
            kind.push([hits(&ranks.codes), hits(&ranks.verified)]);
        }
        session.note(&format!("seed {seed} of encoders is done"));
    }
    let means: Vec<[Vec<f64>; 2]> = found
        .iter()
        .map(|seeds| [0, 1].map(|by| over_seeds(seeds.iter().map(|hits| hits[by].clone()))))
        .collect();
    let row = |kind: usize| Row {
        name: KINDS[kind],
        codes: mean(&means[kind][0]),
        seeds: found[kind].iter().map(|hits| mean(&hits[0])).collect(),
        verified: mean(&means[kind][1]),
        over_old: (kind > 0)
            .then(|| [0, 1].map(|by| mean_difference(&means[kind][by], &means[0][by]))),
    };
    let encoders = Encoders {
        dims: [old, new].map(|demo| demo.pairs.documents.dims()),
        queries: old.asked.1.len(),
        rows: (0..KINDS.len()).map(row).collect(),
    };
    if json { session.write_json(&encoders) } else { encoders.write(session) }
}

/// Returns the ranks of right documents, for each of [`KINDS`].
fn ranks(
    old: &Demo<'_>,
    new: &Demo<'_>,
    [parent, next, free]: [&Recurrent; 3],
) -> anyhow::Result<[Ranks; 5]> {
    let translation = next.parts().provenance.parent.as_ref();
    let translation = translation.and_then(|parent| parent.translation.as_ref());
    let translation = translation.context("the next version has no translation")?;
    let [parent, next, free] =
        [parent, next, free].map(|each| Binarizer::new_recurrent(Arc::new(each.clone())));
    let (old_rows, new_rows) = (&old.pairs.documents, &new.pairs.documents);
    let (asked, right, width) = (&new.asked.0, &new.asked.1, QueryWidth::DEFAULT);
    let old_codes = DocumentCodes::new(&parent, old_rows.values());
    let before = by_floats(&old_codes, old_rows, &old.asked)?;
    let old_codes = old_codes.asked_by(&next);
    let new_codes = DocumentCodes::new(&next, new_rows.values());
    let is_new = |row: u32| row.is_multiple_of(2);
    let crossed = old_codes.shortlists(asked.values(), width, CANDIDATES)?;
    let own = new_codes.shortlists(asked.values(), width, CANDIDATES)?;
    let both: Vec<Vec<Shortlisted>> = crossed
        .iter()
        .zip(&own)
        .map(|(old, new)| {
            let old = old.iter().filter(|one| !is_new(one.document));
            let new = new.iter().filter(|one| is_new(one.document));
            best(old.chain(new).copied().collect())
        })
        .collect();
    let translated = Translated::new(translation, old_rows, asked)?;
    let floats = |query: usize, row: u32| dot(asked.row(query), new_rows.row(row as usize));
    let mixed = |query: usize, row: u32| match is_new(row) {
        true => floats(query, row),
        false => translated.similarity(query, row),
    };
    Ok([
        before,
        Ranks {
            codes: old_codes.ranks(asked.values(), right, width)?,
            verified: ranks_among(&crossed, right, |query, at| {
                translated.similarity(query, crossed[query][at].document)
            }),
        },
        Ranks {
            codes: old_codes.mixed_ranks(&new_codes, is_new, asked.values(), right)?,
            verified: ranks_among(&both, right, |query, at| mixed(query, both[query][at].document)),
        },
        by_floats(&new_codes, new_rows, &new.asked)?,
        by_floats(&DocumentCodes::new(&free, new_rows.values()), new_rows, &new.asked)?,
    ])
}

/// Returns ranks where queries and documents are of one encoder.
fn by_floats(
    codes: &DocumentCodes<'_>,
    rows: &Matrix,
    (asked, right): &(Matrix, Vec<u32>),
) -> anyhow::Result<Ranks> {
    let (asked, width) = (asked.values(), QueryWidth::DEFAULT);
    Ok(Ranks {
        codes: codes.ranks(asked, right, width)?,
        verified: codes.verified_ranks(rows.values(), asked, right, width, CANDIDATES)?,
    })
}

/// Leaves as many as are verified, those that codes call nearest, in the order of their numbers.
fn best(mut shortlist: Vec<Shortlisted>) -> Vec<Shortlisted> {
    shortlist.sort_by(|a, b| b.code.total_cmp(&a.code));
    shortlist.truncate(CANDIDATES);
    shortlist.sort_unstable_by_key(|one| one.document);
    shortlist
}

/// Queries beside vectors of the old encoder.
struct Translated<'a> {
    translation: &'a Translation,
    rows: &'a Matrix,
    queries: Vec<Vec<f32>>,
}

impl<'a> Translated<'a> {
    fn new(translation: &'a Translation, rows: &'a Matrix, asked: &Matrix) -> anyhow::Result<Self> {
        let translated = |query| translation.translate(query).context("a query is lost");
        Ok(Self {
            translation,
            rows,
            queries: asked.rows().map(translated).collect::<Result<_, _>>()?,
        })
    }

    fn similarity(&self, query: usize, row: u32) -> f32 {
        self.translation.similarity(dot(&self.queries[query], self.rows.row(row as usize)))
    }
}

impl Encoders {
    fn write(&self, session: &mut Session<'_>) -> anyhow::Result<()> {
        let mut shown =
            table::plain(["", "R@10 by codes", "by seed", "over old", "R@10 verified", "over old"]);
        let points =
            |interval: Option<Interval>| interval.map(Interval::in_points).unwrap_or_default();
        for row in &self.rows {
            let seeds: Vec<String> = row.seeds.iter().map(|seed| format!("{seed:.4}")).collect();
            let [codes, verified] = row.over_old.unwrap_or_default().map(points);
            shown.add_row([
                row.name.to_owned(),
                format!("{:.4}", row.codes),
                seeds.join(" "),
                codes,
                format!("{:.4}", row.verified),
                verified,
            ]);
        }
        table::align_right(&mut shown, &[1, 4]);
        let [old, new] = self.dims;
        writeln!(
            session.out,
            "2 levels; the old encoder has {old} dimensions, the new one {new}; {} queries; verified: {CANDIDATES} \
             candidates, old documents through the learned translation\n\n{}",
            human::count(self.queries as u64),
            shown.trim_fmt(),
        )?;
        Ok(())
    }
}
