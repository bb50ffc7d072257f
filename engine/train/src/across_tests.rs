use std::sync::Arc;

use bigrain_binarize::{Binarizer, QueryWidth};

use super::*;
use crate::matrix::As;
use crate::support::random;
use crate::{DocumentCodes, fit_across, fit_scores};

const FORMER: usize = 64;
const LATER: usize = 80;

/// Documents and a query of each, by two encoders.
struct Toy {
    former: [Matrix; 2],
    later: [Matrix; 2],
    right: Vec<u32>,
}

impl Toy {
    /// By the former encoder half of the components tell documents apart, and the others nothing. The later one
    /// mixes them, and adds something of its own.
    fn new(count: usize, seed: u64) -> Self {
        let (meaning, mixing) = (random(count, FORMER, seed), random(LATER, FORMER, 5));
        let seen = |noise: u64| {
            let (loud, own) = (random(count, FORMER, noise), random(count, LATER, noise + 1));
            let mut former = meaning.clone();
            for row in 0..count {
                former.row_mut(row)[FORMER / 2..].copy_from_slice(&loud.row(row)[FORMER / 2..]);
            }
            let mut later = Matrix::product(&former, As::Is, &mixing, As::Transposed, 1.0);
            later.add_scaled(&own, 0.5);
            former.normalize_rows();
            later.normalize_rows();
            (former, later)
        };
        let (documents, queries) = (seen(seed + 10), seen(seed + 20));
        Self {
            former: [documents.0, queries.0],
            later: [documents.1, queries.1],
            right: (0..count as u32).collect(),
        }
    }

    fn examples<'a>(&'a self, [documents, queries]: &'a [Matrix; 2]) -> Examples<'a> {
        let (dims, right) = (documents.cols, &self.right[..]);
        Examples { dims, documents: &documents.values, queries: &queries.values, right }
    }

    fn former_documents(&self) -> FormerVectors<'_> {
        FormerVectors { dims: FORMER, documents: &self.former[0].values }
    }
}

fn config(steps: u32, seed: u64) -> TrainConfig {
    let mine_every = 20;
    TrainConfig { steps, seed, batch: 64, mine_every, mined: 3, rate: 3e-3, ..Default::default() }
}

fn finished(mut trainer: Trainer<'_>) -> Recurrent {
    while !trainer.is_done() {
        trainer.advance().unwrap();
    }
    trainer.export().unwrap()
}

/// The right documents that queries of one binarizer find among codes of another one.
fn hits(asking: &Binarizer, coding: &Binarizer, queries: &Matrix, documents: &Matrix) -> usize {
    let right: Vec<u32> = (0..queries.rows as u32).collect();
    let codes = DocumentCodes::new(coding, &documents.values).asked_by(asking);
    let ranks = codes.ranks(&queries.values, &right, QueryWidth::DEFAULT).unwrap();
    ranks.iter().filter(|&&rank| rank < 10).count()
}

#[test]
fn queries_of_a_later_encoder_find_documents_by_codes_of_the_former_one_and_of_both() {
    let (toy, held) = (Toy::new(600, 1), Toy::new(400, 77));
    let parent = finished(Trainer::new(config(60, 1), toy.examples(&toy.former)).unwrap());
    let parent = fit_scores(&parent, &held.former[0].values, 1).unwrap();
    let examples = toy.examples(&toy.later);
    let trainer = Trainer::across(config(60, 2), examples, &parent, toy.former_documents());
    let trainer = trainer.unwrap();
    assert_eq!(trainer.parent(), Some(parent.id()));
    let map = trainer.translation().unwrap().to_vec();
    let child = fit_scores(&finished(trainer), &held.later[0].values, 1).unwrap();
    let later = &held.later[0].values;
    let child = fit_across(&child, &parent, &map, later, held.former_documents(), 1).unwrap();
    let translation = child.parts().provenance.parent.clone().unwrap().translation.unwrap();
    assert_eq!((translation.dims, &translation.map), (FORMER, &map));
    let shape = TrainConfig { code_dims: Some(FORMER), ..config(60, 2) };
    let stranger = finished(Trainer::new(shape, examples).unwrap());

    let [old, new, stranger] =
        [parent, child, stranger].map(|each| Binarizer::new_recurrent(Arc::new(each)));
    let before = hits(&old, &old, &held.former[1], &held.former[0]);
    let crossed = hits(&new, &old, &held.later[1], &held.former[0]);
    let after = hits(&new, &new, &held.later[1], &held.later[0]);
    let undeclared = hits(&stranger, &old, &held.later[1], &held.former[0]);
    let old_codes = DocumentCodes::new(&old, &held.former[0].values).asked_by(&new);
    let new_codes = DocumentCodes::new(&new, later);
    let queries = &held.later[1].values;
    let mixed = old_codes.mixed_ranks(&new_codes, |row| row % 2 == 0, queries, &held.right);
    let mixed = mixed.unwrap().iter().filter(|&&rank| rank < 10).count();
    let figures = format!("{before}, {crossed} crossed, {mixed} mixed, {after}, {undeclared} not");
    assert!(before > 100 && 10 * crossed > 9 * before && 10 * mixed > 9 * before, "{figures}");
    assert!(10 * after > 9 * before && 3 * undeclared < before, "{figures}");

    // What a translated query says of the former vectors is near what the later encoder says.
    let (mut squared, mut spread) = (0.0_f32, 0.0_f32);
    for query in 0..100 {
        let translated = translation.translate(held.later[1].row(query)).unwrap();
        for row in 0..100 {
            let cosine = bigrain_kernels::dot(&translated, held.former[0].row(row));
            let truth = bigrain_kernels::dot(held.later[1].row(query), held.later[0].row(row));
            squared += (truth - translation.similarity(cosine)).powi(2);
            spread += truth * truth;
        }
    }
    assert!(squared < 0.5 * spread, "{squared} of {spread}");
}

#[test]
fn what_does_not_fit_is_named() {
    let toy = Toy::new(200, 1);
    let parent = finished(Trainer::new(config(1, 1), toy.examples(&toy.former)).unwrap());
    let error = |config, former| {
        let examples = toy.examples(&toy.later);
        Trainer::across(config, examples, &parent, former).unwrap_err().to_string()
    };
    let levels = bigrain_types::Levels::ONE;
    let shape = error(TrainConfig { levels, ..config(1, 1) }, toy.former_documents());
    assert!(shape.contains("64 dimensions of 2 level(s), those of the new one 64 of 1"), "{shape}");
    let few =
        FormerVectors { documents: &toy.former[0].values[FORMER..], ..toy.former_documents() };
    let few = error(config(1, 1), few);
    assert!(few.contains("takes 200 documents of 64 components"), "{few}");
    let wide = FormerVectors { dims: LATER, documents: &toy.later[0].values };
    assert!(error(config(1, 1), wide).contains("64 components"));
}
