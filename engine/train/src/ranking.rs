//! Where the right document comes, by codes or by floats; and the nearest ones.

use bigrain_binarize::{Binarizer, Crossing, Factors, QueryCode, QueryWidth, Translation};
use bigrain_kernels::{
    BlockTable, Scored, TopK, block_bytes, dot, pack_blocks, scan, scan_blocks, score_one,
};
use bigrain_types::CodeSpaceId;
use rayon::prelude::*;

use crate::TrainError;

/// Rows coded or scored at a time.
const CHUNK: usize = 4096;

/// Candidates by signs for each result by all levels.
const OVERSAMPLING: usize = 4;

/// A document that codes found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortlisted {
    /// Which.
    pub document: u32,
    /// The similarity that its code says.
    pub code: f32,
}

/// Returns where the right document of each query comes in its shortlist when `score` orders it, of equals in
/// the order of their numbers; `u32::MAX` where the shortlist lacks it. `score` takes a query's number
/// and a place in its shortlist.
pub fn ranks_among(
    shortlists: &[Vec<Shortlisted>],
    right: &[u32],
    score: impl Fn(usize, usize) -> f32 + Sync,
) -> Vec<u32> {
    let queries = shortlists.par_iter().zip(right).enumerate();
    let rank_of = |(query, (shortlist, right)): (usize, (&Vec<Shortlisted>, &u32))| {
        let place = shortlist.binary_search_by_key(right, |one| one.document);
        let Ok(place) = place else { return u32::MAX };
        let scores: Vec<f32> = (0..shortlist.len()).map(|at| score(query, at)).collect();
        rank(&scores, place as u32)
    };
    queries.map(rank_of).collect()
}

/// The codes of documents, all in memory, and their binarizer; and that of queries, which may be a later
/// version.
#[derive(Debug)]
pub struct DocumentCodes<'a> {
    binarizer: &'a Binarizer,
    asking: &'a Binarizer,
    planes: Vec<Vec<u64>>,
    factors: Vec<Factors>,
    /// The signs in blocks.
    blocks: Vec<u8>,
}

impl<'a> DocumentCodes<'a> {
    /// Codes the rows on the current thread pool.
    ///
    /// # Panics
    ///
    /// When `rows` is not a whole number of vectors.
    #[must_use]
    pub fn new(binarizer: &'a Binarizer, rows: &[f32]) -> Self {
        let levels = binarizer.layout().levels().count();
        let parts: Vec<(Vec<Vec<u64>>, Vec<Factors>)> = rows
            .par_chunks(CHUNK * binarizer.dims())
            .map(|rows| {
                let (mut planes, mut factors) = (vec![Vec::new(); levels], Vec::new());
                binarizer.encode_many(rows, &mut planes, &mut factors);
                (planes, factors)
            })
            .collect();
        let (mut planes, mut factors) = (vec![Vec::new(); levels], Vec::new());
        for (part, part_factors) in parts {
            planes.iter_mut().zip(part).for_each(|(to, from)| to.extend(from));
            factors.extend(part_factors);
        }
        let layout = binarizer.layout();
        let count = factors.len().div_ceil(bigrain_kernels::BLOCK_ROWS);
        let mut blocks = vec![0; count * block_bytes(layout.dims())];
        if let Some(signs) = planes.first() {
            pack_blocks(signs, layout.words_per_plane(), &mut blocks);
        }
        Self { binarizer, asking: binarizer, planes, factors, blocks }
    }

    /// Returns the space of the codes.
    #[must_use]
    pub fn space(&self) -> CodeSpaceId {
        self.binarizer.id()
    }

    /// Compares them with queries of another version, whose codes are of the same shape; their scores are what was
    /// fitted where the codes' version is its declared parent.
    #[must_use]
    pub fn asked_by(self, asking: &'a Binarizer) -> Self {
        Self { asking, ..self }
    }

    fn prepare(&self, query: &[f32], width: QueryWidth) -> Result<QueryCode, TrainError> {
        let code = self.asking.prepare_query(query, width)?;
        let crossing = match (self.asking.recurrent(), self.binarizer.recurrent()) {
            (Some(asking), Some(coding)) => Crossing::declared(asking, coding),
            _ => None,
        };
        Ok(crossing.into_iter().fold(code, QueryCode::crossed))
    }

    /// Returns what makes similarities of these codes those of the queries' encoder, where that is another one.
    fn translation(&self) -> Option<&'a Translation> {
        let parent = self.asking.recurrent()?.parts().provenance.parent.as_ref()?;
        if parent.space == self.space() { parent.translation.as_ref() } else { None }
    }

    /// Returns for each query how many documents score better than its right one by codes, or as well
    /// and come before it. `right` names a document for each query.
    ///
    /// # Errors
    ///
    /// [`TrainError::Query`] for a query that cannot be one.
    pub fn ranks(
        &self,
        queries: &[f32],
        right: &[u32],
        width: QueryWidth,
    ) -> Result<Vec<u32>, TrainError> {
        let queries = queries.par_chunks(self.asking.dims()).zip(right);
        queries
            .map_init(Vec::new, |scores, (query, &right)| {
                self.score(&self.prepare(query, width)?, scores);
                Ok(rank(scores, right))
            })
            .collect()
    }

    /// As [`DocumentCodes::ranks`], where some documents have the codes of `other` in place of these: a
    /// collection of two versions. Both are asked by the same binarizer.
    ///
    /// # Errors
    ///
    /// [`TrainError::Query`] for a query that cannot be one.
    pub fn mixed_ranks(
        &self,
        other: &Self,
        is_other: impl Fn(u32) -> bool + Sync,
        queries: &[f32],
        right: &[u32],
    ) -> Result<Vec<u32>, TrainError> {
        let (dims, width) = (self.asking.dims(), QueryWidth::DEFAULT);
        queries
            .par_chunks(dims)
            .zip(right)
            .map_init(Default::default, |(scores, others): &mut (Vec<f32>, Vec<f32>), one| {
                let (query, &right) = one;
                self.score(&self.prepare(query, width)?, scores);
                other.score(&other.prepare(query, width)?, others);
                for ((row, score), &other) in (0..).zip(&mut *scores).zip(&*others) {
                    *score = if is_other(row) { other } else { *score };
                }
                Ok(rank(scores, right))
            })
            .collect()
    }

    /// As [`DocumentCodes::ranks`], after the `candidates` documents that are nearest by codes were ordered by
    /// the dot products of the embeddings, `rows`. A right document that is no candidate has the rank
    /// `u32::MAX`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Query`] for a query that cannot be one.
    pub fn verified_ranks(
        &self,
        rows: &[f32],
        queries: &[f32],
        right: &[u32],
        width: QueryWidth,
        candidates: usize,
    ) -> Result<Vec<u32>, TrainError> {
        let dims = self.binarizer.dims();
        let shortlists = self.shortlists(queries, width, candidates)?;
        let row = |at: u32| &rows[at as usize * dims..(at as usize + 1) * dims];
        let query = |at: usize| &queries[at * dims..(at + 1) * dims];
        Ok(ranks_among(&shortlists, right, |at, place| {
            dot(query(at), row(shortlists[at][place].document))
        }))
    }

    /// Returns the documents that are nearest to each query by codes, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// [`TrainError::Query`] for a query that cannot be one.
    pub fn shortlists(
        &self,
        queries: &[f32],
        width: QueryWidth,
        candidates: usize,
    ) -> Result<Vec<Vec<Shortlisted>>, TrainError> {
        queries
            .par_chunks(self.asking.dims())
            .map_init(Vec::new, |scores, vector| {
                self.score(&self.prepare(vector, width)?, scores);
                let mut best = TopK::new(candidates);
                for (row, &score) in scores.iter().enumerate() {
                    best.push(score, row as u32);
                }
                let best = best.into_sorted().into_iter();
                let one = |found: Scored| Shortlisted { document: found.offset, code: found.score };
                let mut shortlist: Vec<Shortlisted> = best.map(one).collect();
                shortlist.sort_unstable_by_key(|one| one.document);
                Ok(shortlist)
            })
            .collect()
    }

    /// Writes what codes say of each document's similarity.
    fn score(&self, query: &QueryCode, similarities: &mut Vec<f32>) {
        let mut scores = [0; CHUNK];
        let words = self.binarizer.layout().words_per_plane();
        let terms = query.terms();
        similarities.clear();
        for (chunk, factors) in self.factors.chunks(CHUNK).enumerate() {
            let from = chunk * CHUNK * words;
            let to = from + factors.len() * words;
            let planes: Vec<&[u64]> = self.planes.iter().map(|plane| &plane[from..to]).collect();
            let scores = &mut scores[..factors.len()];
            scan(&planes, query.planes(), scores);
            let pairs = scores.iter().zip(factors);
            similarities.extend(pairs.map(|(&s, &f)| terms.estimate(s, f).similarity));
        }
        if let Some(translation) = self.translation() {
            similarities.iter_mut().for_each(|one| *one = translation.similarity(*one));
        }
    }

    /// Returns the `limit` nearest documents of each query as codes have it, nearest first, without the one
    /// that `except` names: signs find candidates, all levels order them.
    ///
    /// # Errors
    ///
    /// [`TrainError::Query`] for a query that cannot be one.
    pub fn nearest(
        &self,
        queries: &[f32],
        except: &[u32],
        limit: usize,
    ) -> Result<Vec<Vec<u32>>, TrainError> {
        let queries = queries.par_chunks(self.asking.dims()).zip(except);
        queries
            .map_init(
                || (BlockTable::default(), Vec::new()),
                |(table, scores), (query, &except)| {
                    let query = self.prepare(query, QueryWidth::DEFAULT)?;
                    Ok(self.nearest_to(&query, except, limit, table, scores))
                },
            )
            .collect()
    }

    fn nearest_to(
        &self,
        query: &QueryCode,
        except: u32,
        limit: usize,
        table: &mut BlockTable,
        scores: &mut Vec<i32>,
    ) -> Vec<u32> {
        table.rebuild(query.planes());
        scores.resize(self.factors.len().next_multiple_of(bigrain_kernels::BLOCK_ROWS), 0);
        scan_blocks(&self.blocks, table, scores);
        let mut best = TopK::new(OVERSAMPLING * limit);
        for (row, &score) in scores[..self.factors.len()].iter().enumerate() {
            best.push(score as f32, row as u32);
        }
        let (terms, words) = (query.terms(), self.binarizer.layout().words_per_plane());
        let mut nearest = TopK::new(limit);
        for row in best.into_sorted().into_iter().map(|scored| scored.offset) {
            if row != except {
                let at = row as usize * words;
                let code: Vec<&[u64]> =
                    self.planes.iter().map(|plane| &plane[at..at + words]).collect();
                let score = score_one(&code, query.planes());
                let estimate = terms.estimate(score, self.factors[row as usize]);
                nearest.push(estimate.similarity, row);
            }
        }
        nearest.into_sorted().into_iter().map(|scored| scored.offset).collect()
    }
}

/// As [`DocumentCodes::ranks`], by the dot products of the embeddings themselves.
#[must_use]
pub fn float_ranks(dims: usize, rows: &[f32], queries: &[f32], right: &[u32]) -> Vec<u32> {
    let queries = queries.par_chunks(dims).zip(right);
    let ranks = queries.map_init(Vec::new, |scores, (query, &right)| {
        scores.clear();
        scores.extend(rows.chunks_exact(dims).map(|row| dot(row, query)));
        rank(scores, right)
    });
    ranks.collect()
}

fn rank(scores: &[f32], right: u32) -> u32 {
    let right = right as usize;
    let own = scores[right];
    let before = scores[..right].iter().filter(|&&score| score >= own).count();
    let behind = scores[right + 1..].iter().filter(|&&score| score > own).count();
    (before + behind) as u32
}

#[cfg(test)]
mod tests {
    use bigrain_types::{Levels, Metric};

    use super::*;
    use crate::support::random;

    #[test]
    fn ties_come_in_the_order_of_documents() {
        assert_eq!(rank(&[0.5, 0.9, 0.5, 0.5], 2), 2);
        assert_eq!(rank(&[0.5, 0.9, 0.5, 0.5], 1), 0);
    }

    #[test]
    fn documents_find_themselves_and_their_nearest_are_those_of_a_full_scan() {
        let mut rows = random(300, 64, 1);
        rows.normalize_rows();
        let binarizer = Binarizer::new_rotation(64, Levels::TWO, Metric::Cosine, 3).unwrap();
        let codes = DocumentCodes::new(&binarizer, &rows.values);
        let own: Vec<u32> = (0..300).collect();
        let ranks = codes.ranks(&rows.values, &own, QueryWidth::DEFAULT).unwrap();
        assert_eq!(ranks, vec![0; 300]);
        assert_eq!(float_ranks(64, &rows.values, &rows.values, &own), vec![0; 300]);
        // Among all documents verification is the order of floats, among one that of codes.
        let other: Vec<u32> = (0..300).map(|row| (row + 1) % 300).collect();
        let verified = |candidates| {
            let width = QueryWidth::DEFAULT;
            codes.verified_ranks(&rows.values, &rows.values, &other, width, candidates).unwrap()
        };
        assert_eq!(verified(300), float_ranks(64, &rows.values, &rows.values, &other));
        assert_eq!(verified(1), vec![u32::MAX; 300]);
        let nearest = codes.nearest(&rows.values[..640], &own[..10], 75).unwrap();
        let mut scores = Vec::new();
        for (query, nearest) in nearest.iter().enumerate() {
            let code = binarizer.prepare_query(rows.row(query), QueryWidth::DEFAULT).unwrap();
            codes.score(&code, &mut scores);
            let mut all: Vec<u32> = (0..300).filter(|&row| row as usize != query).collect();
            all.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
            assert_eq!(nearest[..], all[..75], "four times 75 are all documents");
        }
    }
}
