//! Training of a dense adapter: queries learn to tell apart the documents that codes take for near.
//!
//! ```text
//!  query  --map-->  a(q)  --.
//!                            } contrast over the documents of the batch  ->  gradient of the map
//!  documents, as stored  ---'
//! ```

use bigrain_binarize::{AdapterParts, Champion};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::adam::{Adam, falling};
use crate::locality::{Batches, Neighbourhood};
use crate::loss::Contrast;
use crate::map::{Map, MapGradient};
use crate::matrix::Matrix;
use crate::random::normal;
use crate::trainer::{Examples, Size, StepReport, check_descent};
use crate::{DocumentCodes, TrainError};

/// How to train an adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// How large the map is. Default linear.
    pub size: Size,
    /// Decides batches and hidden layers.
    pub seed: u64,
    /// Batches. Default 1500.
    pub steps: u32,
    /// Queries of each. Default 512.
    pub batch: usize,
    /// Adam's rate, which falls to a tenth along a half cosine. Default 0.0003.
    pub rate: f32,
    /// What cosines are divided by. Default 0.05.
    pub temperature: f32,
    /// How the queries of a batch are drawn. Default a walk.
    pub batches: Batches,
    /// Documents near each query that its negatives are drawn from; as many behind them say which
    /// queries are its neighbours. Default 200.
    pub near: usize,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self {
            size: Size::Linear,
            seed: 1,
            steps: 1500,
            batch: 512,
            rate: 3e-4,
            temperature: 0.05,
            batches: Batches::Walk,
            near: 200,
        }
    }
}

impl AdapterConfig {
    fn validate(&self) -> Result<(), TrainError> {
        check_descent(self.batch, self.steps, self.rate, self.temperature)?;
        if self.near == 0 {
            return Err(TrainError::setting("near", "1 or more", &self.near));
        }
        Ok(())
    }
}

/// A training of an adapter, between two steps.
#[derive(Debug)]
pub struct AdapterTrainer<'a> {
    config: AdapterConfig,
    examples: Examples<'a>,
    neighbourhood: Neighbourhood,
    map: Map,
    adam: Adam,
    step: u32,
}

impl<'a> AdapterTrainer<'a> {
    /// Begins at queries as they are. Looks for the documents near each query by `codes`, which are those
    /// of the examples' documents, on the current thread pool.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for settings out of range, examples that do not fit together, or none.
    pub fn new(
        config: AdapterConfig,
        examples: Examples<'a>,
        codes: &DocumentCodes<'_>,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        examples.check(1)?;
        if examples.queries.is_empty() {
            return Err(TrainError::Input(
                "an adapter learns from pairs, and there are none".into(),
            ));
        }
        let documents = examples.document_count();
        let nearest = (2 * config.near).min(documents - 1);
        let nearest = codes.nearest(examples.queries, examples.right, nearest)?;
        let dims = examples.dims;
        let mut identity = Matrix::zeros(dims, dims);
        (0..dims).for_each(|at| identity.row_mut(at)[at] = 1.0);
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        let map = Map::new(identity, config.size.units(dims), &mut || normal(&mut random));
        let adam = Adam::new(map.tensors().into_iter().map(<[f32]>::len));
        let neighbourhood = Neighbourhood::new(nearest, documents);
        Ok(Self { config, examples, neighbourhood, map, adam, step: 0 })
    }

    /// Whether all steps are done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.step >= self.config.steps
    }

    /// Takes one step, on the current thread pool.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diverged`] when the loss is no longer finite.
    pub fn advance(&mut self) -> Result<StepReport, TrainError> {
        let mut random = ChaCha8Rng::seed_from_u64(self.config.seed);
        random.set_stream(u64::from(self.step) + 1);
        let AdapterConfig { batches, batch, temperature, .. } = self.config;
        let drawn = self.neighbourhood.draw(batches, batch, &mut random);
        let chosen: Vec<usize> = drawn.iter().map(|one| one.0).collect();
        let of_query: Vec<u32> = chosen.iter().map(|&query| self.examples.right[query]).collect();
        let negatives = drawn.iter().filter_map(|one| one.1);
        let documents: Vec<u32> = of_query.iter().copied().chain(negatives).collect();
        let rows = self.examples.documents(&documents);
        let contrast = Contrast {
            temperature,
            hardest: None,
            of_query: &of_query,
            documents: &documents,
            learned: 0,
        };
        let (value, gradient) = self.pass(self.examples.queries(&chosen), &rows, &contrast);
        self.step += 1;
        if !value.is_finite() {
            return Err(TrainError::Diverged { step: self.step });
        }
        let rate = falling(self.config.rate, self.step, self.config.steps);
        let tensors = self.map.tensors_mut().into_iter().zip(&gradient.0).enumerate();
        for (index, (tensor, gradient)) in tensors {
            self.adam.step(index, tensor, gradient, rate, self.step);
        }
        Ok(StepReport { step: self.step, loss: value, settled: false })
    }

    /// Forward, loss, backward.
    fn pass(
        &mut self,
        queries: Matrix,
        documents: &Matrix,
        contrast: &Contrast<'_>,
    ) -> (f64, MapGradient) {
        let (mut adapted, passed) = self.map.forward(queries);
        let lengths = adapted.normalize_rows();
        let loss = contrast.loss(&adapted, documents);
        let mut gradient = loss.queries;
        gradient.normalize_backward(&adapted, &lengths);
        let mut gradients = MapGradient::zeros(&self.map);
        self.map.backward(&passed, &gradient, &mut gradients);
        (loss.value, gradients)
    }

    /// Returns the parts of an adapter whose codes weigh nothing yet, and of which nothing is known.
    #[must_use]
    pub fn parts(&self, codes: &DocumentCodes<'_>, shortlist: usize) -> AdapterParts {
        AdapterParts {
            dims: self.examples.dims,
            map: self.map.export(),
            code_weight: 0.0,
            shortlist,
            codes: codes.space(),
            training_seed: self.config.seed,
            steps: self.step,
            champion: Champion::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{check_gradient, random};

    #[test]
    fn the_gradient_through_map_length_and_contrast_is_that_of_finite_differences() {
        let unit = |rows: usize, seed: u64| {
            let mut matrix = random(rows, 6, seed);
            matrix.normalize_rows();
            matrix
        };
        let (queries, documents) = (unit(5, 1), unit(8, 2));
        let (of_query, all) = ([0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 9, 8, 1]);
        let contrast = Contrast {
            temperature: 0.5,
            hardest: None,
            of_query: &of_query,
            documents: &all,
            learned: 0,
        };
        let binarizer = crate::support::rotation(6);
        let codes = DocumentCodes::new(&binarizer, &documents.values);
        let right = [0, 1, 2, 3, 4];
        let examples = Examples {
            dims: 6,
            documents: &documents.values,
            queries: &queries.values,
            right: &right,
        };
        // Hidden layers have kinks, and a test of their own.
        let config = AdapterConfig { near: 3, ..AdapterConfig::default() };
        let mut trainer = AdapterTrainer::new(config, examples, &codes).unwrap();
        let mut numbers = random(1, 64, 5).values.into_iter().cycle();
        for tensor in trainer.map.tensors_mut() {
            tensor.iter_mut().for_each(|x| *x += 0.2 * numbers.next().unwrap());
        }
        let stated = trainer.pass(queries.clone(), &documents, &contrast).1;
        for (tensor, stated) in stated.0.iter().enumerate() {
            let values = trainer.map.tensors()[tensor].to_vec();
            check_gradient(&values, stated, |moved| {
                let mut map = trainer.map.clone();
                moved.clone_into(map.tensors_mut()[tensor]);
                let (mut adapted, _) = map.forward(queries.clone());
                adapted.normalize_rows();
                contrast.loss(&adapted, &documents).value
            });
        }
    }

    #[test]
    fn a_trained_adapter_orders_what_codes_find_better_than_floats() {
        use crate::{fit_code_weight, ranks_among};
        use bigrain_binarize::{Adapter, QueryWidth};
        use bigrain_kernels::dot;

        // The second half of the components is loud and tells nothing.
        const DIMS: usize = 64;
        let (meaning, loud) = (random(600, DIMS, 1), random(1200, DIMS, 2));
        let side = |from: usize| {
            let row = |at: usize| {
                let value = |dim: usize| match dim < DIMS / 2 {
                    true => meaning.row(at)[dim],
                    false => 1.5 * loud.row(from + at)[dim],
                };
                (0..DIMS).map(value).collect::<Vec<f32>>()
            };
            let values = (0..600).flat_map(row).collect();
            let mut matrix = Matrix { rows: 600, cols: DIMS, values };
            matrix.normalize_rows();
            matrix.values
        };
        let (documents, queries) = (side(0), side(600));
        let right: Vec<u32> = (0..600).collect();
        let binarizer = crate::support::rotation(DIMS);
        let codes = DocumentCodes::new(&binarizer, &documents);
        // The last hundred queries are not learned from.
        let learned = 500 * DIMS;
        let examples = Examples {
            dims: DIMS,
            documents: &documents,
            queries: &queries[..learned],
            right: &right[..500],
        };
        let (asked, wanted) = (&queries[learned..], &right[500..]);
        let lists = codes.shortlists(asked, QueryWidth::DEFAULT, 200).unwrap();
        let row = |at: u32| &documents[at as usize * DIMS..][..DIMS];
        let query = |at: usize| &asked[at * DIMS..][..DIMS];
        let hits = |ranks: Vec<u32>| ranks.iter().filter(|&&rank| rank < 10).count();
        let document = |at: usize, place: usize| row(lists[at][place].document);
        let floats =
            hits(ranks_among(&lists, wanted, |at, place| dot(query(at), document(at, place))));
        for batches in [Batches::Random, Batches::Walk, Batches::Snowball] {
            let config = AdapterConfig {
                steps: 200,
                batch: 64,
                rate: 3e-3,
                near: 20,
                batches,
                ..AdapterConfig::default()
            };
            let mut trainer = AdapterTrainer::new(config, examples, &codes).unwrap();
            while !trainer.is_done() {
                trainer.advance().unwrap();
            }
            let adapter = Adapter::new(trainer.parts(&codes, 200)).unwrap();
            let adapted: Vec<Vec<f32>> = (0..100).map(|at| adapter.adapt(query(at))).collect();
            let score = |at: usize, place: usize| dot(&adapted[at], document(at, place));
            let found = hits(ranks_among(&lists, wanted, score));
            assert!(found > floats + 3, "{batches:?}: {found}, floats {floats}");
            // Codes of the rotation say nothing that floats do not.
            let dense: Vec<Vec<f32>> = (0..100)
                .map(|at| (0..lists[at].len()).map(|place| score(at, place)).collect())
                .collect();
            let weight = fit_code_weight(&lists, &dense, wanted);
            assert!(weight <= 0.6, "{batches:?}: {weight}");
        }
    }
}
