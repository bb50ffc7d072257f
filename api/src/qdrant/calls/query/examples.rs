//! Ranking by several examples.

use qdrant_client::qdrant as q;
use tonic::Status;

use super::nearest::average;
use super::scoring::{Likeness, scaled_sigmoid, sigmoid};
use super::{Level, Ranked, Scope};
use crate::qdrant::convert::{self, AnyVector};
use crate::qdrant::error::{missing, wrong};

/// How much nearer the positive example of a pair must be to count as nearer.
const MARGIN: f32 = f32::EPSILON;

/// Two examples: results should be nearer to the one than to the other.
struct Pair {
    positive: AnyVector,
    negative: AnyVector,
}

impl Scope<'_> {
    pub(super) fn recommended(
        &self,
        mut level: Level,
        input: q::RecommendInput,
    ) -> Result<Ranked, Status> {
        let strategy = input.strategy.unwrap_or_default();
        let strategy = q::RecommendStrategy::try_from(strategy).map_err(wrong)?;
        let positive = self.examples(&mut level, input.positive)?;
        let negative = self.examples(&mut level, input.negative)?;
        if strategy == q::RecommendStrategy::AverageVector {
            return self.near(&level, average(positive, negative)?);
        }
        if positive.is_empty() && negative.is_empty() {
            return Err(wrong("no positive or negative examples given"));
        }
        let likeness = self.likeness(&level.field())?;
        let (positive, negative) = (prepared(likeness, positive)?, prepared(likeness, negative)?);
        // Sparse vectors that share no dimension are not alike, and still compared.
        let alike =
            |example: &AnyVector, stored: &AnyVector| likeness.of(example, stored).unwrap_or(0.0);
        if strategy == q::RecommendStrategy::SumScores {
            return self.scan(&level, &|stored| {
                let sum = |examples: &[AnyVector]| -> Option<f32> {
                    let each = examples.iter().map(|example| alike(example, stored));
                    each.reduce(|sum, one| sum + one)
                };
                match (sum(&positive), sum(&negative)) {
                    (None, None) => None,
                    (liked, disliked) => Some(liked.unwrap_or(0.0) - disliked.unwrap_or(0.0)),
                }
            });
        }
        self.scan(&level, &|stored| {
            let best = |examples: &[AnyVector]| {
                let each = examples.iter().map(|example| alike(example, stored));
                each.reduce(f32::max)
            };
            match (best(&positive), best(&negative)) {
                (None, None) => None,
                (Some(liked), disliked) if disliked.is_none_or(|disliked| liked > disliked) => {
                    Some(scaled_sigmoid(liked))
                }
                (_, disliked) => disliked.map(|disliked| -scaled_sigmoid(disliked)),
            }
        })
    }

    /// Ranks by how many pairs a point is on the right side of, and then by how near it is to the target.
    pub(super) fn discovered(
        &self,
        mut level: Level,
        input: q::DiscoverInput,
    ) -> Result<Ranked, Status> {
        let target = input.target.ok_or_else(|| missing("target"))?;
        let target = self.vector_to_find(&mut level, target)?;
        let likeness = self.likeness(&level.field())?;
        let target = likeness.prepared(target)?;
        let pairs = self.pairs(&mut level, likeness, input.context.unwrap_or_default())?;
        self.scan(&level, &|stored| {
            let sides = pairs.iter().map(|pair| {
                let [positive, negative] = pair.of(likeness, stored);
                if positive > negative {
                    1.0
                } else if positive == negative {
                    0.0
                } else {
                    -1.0
                }
            });
            let side: f32 = sides.sum();
            Some(side + scaled_sigmoid(likeness.of(&target, stored)?))
        })
    }

    /// Ranks by how far a point is on the wrong side of pairs.
    pub(super) fn in_context(
        &self,
        mut level: Level,
        input: q::ContextInput,
    ) -> Result<Ranked, Status> {
        let likeness = self.likeness(&level.field())?;
        let pairs = self.pairs(&mut level, likeness, input)?;
        if pairs.is_empty() {
            return Err(wrong("context is empty: expected at least one pair"));
        }
        self.scan(&level, &|stored| {
            let losses = pairs.iter().map(|pair| {
                let [positive, negative] = pair.of(likeness, stored);
                sigmoid((positive - negative - MARGIN).min(0.0))
            });
            Some(losses.sum())
        })
    }

    /// Ranks by a target, moved by what another judge thought of some examples: each pair of which one was judged
    /// better than the other counts by how much better.
    pub(super) fn by_feedback(
        &self,
        mut level: Level,
        input: q::RelevanceFeedbackInput,
    ) -> Result<Ranked, Status> {
        let strategy = input.strategy.and_then(|strategy| strategy.variant);
        let Some(q::feedback_strategy::Variant::Naive(naive)) = strategy else {
            return Err(missing("strategy of relevance feedback"));
        };
        let q::NaiveFeedbackStrategy { a, b, c } = naive;
        let target = input.target.ok_or_else(|| missing("target"))?;
        let target = self.vector_to_find(&mut level, target)?;
        let likeness = self.likeness(&level.field())?;
        let target = likeness.prepared(target)?;
        let scores: Vec<f32> = input.feedback.iter().map(|item| item.score).collect();
        let examples = input
            .feedback
            .into_iter()
            .map(|item| item.example.ok_or_else(|| missing("example of relevance feedback")));
        let examples = self.examples(&mut level, examples.collect::<Result<_, _>>()?)?;
        let examples = prepared(likeness, examples)?;
        self.scan(&level, &|stored| {
            let alike: Vec<f32> = examples
                .iter()
                .map(|example| likeness.of(example, stored).unwrap_or(0.0))
                .collect();
            let mut score = a * likeness.of(&target, stored)?;
            for (better, judged) in scores.iter().enumerate() {
                for (worse, other) in scores.iter().enumerate() {
                    if judged > other {
                        score += (judged - other).powf(b) * c * (alike[better] - alike[worse]);
                    }
                }
            }
            Some(score)
        })
    }

    fn examples(
        &self,
        level: &mut Level,
        inputs: Vec<q::VectorInput>,
    ) -> Result<Vec<AnyVector>, Status> {
        let examples = inputs.into_iter().map(|input| convert::of_input(Some(input)));
        let examples = examples.collect::<Result<_, _>>()?;
        self.vectors_of(level, examples)
    }

    fn pairs(
        &self,
        level: &mut Level,
        likeness: Likeness,
        input: q::ContextInput,
    ) -> Result<Vec<Pair>, Status> {
        let mut inputs = Vec::new();
        for pair in input.pairs {
            inputs.push(pair.positive.ok_or_else(|| missing("positive of a context pair"))?);
            inputs.push(pair.negative.ok_or_else(|| missing("negative of a context pair"))?);
        }
        let mut vectors = prepared(likeness, self.examples(level, inputs)?)?.into_iter();
        let mut pairs = Vec::new();
        while let (Some(positive), Some(negative)) = (vectors.next(), vectors.next()) {
            pairs.push(Pair { positive, negative });
        }
        Ok(pairs)
    }
}

impl Pair {
    /// Returns how near a vector is to both; to what it cannot be compared with, not at all.
    fn of(&self, likeness: Likeness, stored: &AnyVector) -> [f32; 2] {
        let nothing = 0.0;
        [&self.positive, &self.negative]
            .map(|example| likeness.of(example, stored).unwrap_or(nothing))
    }
}

fn prepared(likeness: Likeness, examples: Vec<AnyVector>) -> Result<Vec<AnyVector>, Status> {
    examples.into_iter().map(|example| likeness.prepared(example)).collect()
}
