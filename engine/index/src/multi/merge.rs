//! Tokens that say about the same become one.

use bigrain_kernels::dot;

/// Lloyd's iterations at most.
const ITERATIONS: usize = 8;

/// Merges tokens (`dims` components each, one after another) until at most `limit` are left: each has the
/// direction of the mean of those that went into it, and their mean length. So a token is not thought
/// shorter for what it was merged with, which measured better than the mean itself. Fewer tokens are
/// left as they are.
///
/// Spherical k-means: a token belongs to the mean that it makes the largest angle's cosine with. It
/// begins with the token nearest to the mean of all, and then the token that is farthest from those
/// chosen, again and again; so the same tokens give the same result.
#[must_use]
pub fn merge_tokens(tokens: &[f32], dims: usize, limit: usize) -> Vec<f32> {
    let count = tokens.len() / dims;
    if count <= limit {
        return tokens.to_vec();
    }
    let mut merging = Merging::new(tokens, dims, limit);
    for _ in 0..ITERATIONS {
        if !merging.assign() {
            break;
        }
        merging.average();
    }
    merging.lengthened()
}

struct Merging<'a> {
    tokens: &'a [f32],
    dims: usize,
    /// Of each token.
    lengths: Vec<f32>,
    /// Of each mean.
    means: Vec<f32>,
    /// One over the length of each mean.
    inverse: Vec<f32>,
    /// The mean of each token.
    assigned: Vec<usize>,
}

impl<'a> Merging<'a> {
    /// Chooses the tokens to begin with.
    fn new(tokens: &'a [f32], dims: usize, limit: usize) -> Self {
        let count = tokens.len() / dims;
        let lengths: Vec<f32> = tokens.chunks_exact(dims).map(length).collect();
        let mut all = vec![0.0; dims];
        tokens.chunks_exact(dims).for_each(|token| add(&mut all, token));
        let token = |at: usize| &tokens[at * dims..][..dims];
        let cosine =
            |at: usize, to: &[f32], length: f32| dot(token(at), to) / (lengths[at] * length);
        let towards: Vec<f32> = (0..count).map(|at| cosine(at, &all, 1.0)).collect();
        let mut chosen = vec![largest(&towards)];
        let mut nearness = vec![f32::NEG_INFINITY; count];
        while chosen.len() < limit {
            let last = chosen[chosen.len() - 1];
            for (at, nearness) in nearness.iter_mut().enumerate() {
                *nearness = nearness.max(cosine(at, token(last), lengths[last]));
            }
            let far: Vec<f32> = nearness.iter().map(|nearness| -nearness).collect();
            chosen.push(largest(&far));
        }
        let means: Vec<f32> = chosen.iter().flat_map(|&at| token(at)).copied().collect();
        let inverse = means.chunks_exact(dims).map(|mean| 1.0 / length(mean)).collect();
        Self { tokens, dims, lengths, means, inverse, assigned: vec![usize::MAX; count] }
    }

    /// Finds the mean of every token; returns whether any has changed.
    fn assign(&mut self) -> bool {
        let mut changed = false;
        let tokens = self.tokens.chunks_exact(self.dims);
        for (token, assigned) in tokens.zip(&mut self.assigned) {
            let means = self.means.chunks_exact(self.dims).zip(&self.inverse);
            let cosines: Vec<f32> =
                means.map(|(mean, inverse)| dot(token, mean) * inverse).collect();
            let nearest = largest(&cosines);
            changed |= nearest != *assigned;
            *assigned = nearest;
        }
        changed
    }

    /// Makes each mean that of its tokens; one without tokens stays where it is.
    fn average(&mut self) {
        let dims = self.dims;
        let mut counts = vec![0_usize; self.inverse.len()];
        self.assigned.iter().for_each(|&mean| counts[mean] += 1);
        for (mean, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let to = &mut self.means[mean * dims..][..dims];
            to.fill(0.0);
            let tokens = self.tokens.chunks_exact(dims).zip(&self.assigned);
            let own = tokens.filter(|(_, assigned)| **assigned == mean);
            own.for_each(|(token, _)| add(to, token));
            to.iter_mut().for_each(|value| *value /= *count as f32);
            self.inverse[mean] = 1.0 / length(to);
        }
    }

    /// Returns the means, each as long as its tokens are on average.
    fn lengthened(self) -> Vec<f32> {
        let mut lengths = vec![(0.0_f32, 0_usize); self.inverse.len()];
        for (&mean, length) in self.assigned.iter().zip(&self.lengths) {
            lengths[mean] = (lengths[mean].0 + length, lengths[mean].1 + 1);
        }
        let mut means = self.means;
        for ((mean, (sum, count)), inverse) in
            means.chunks_exact_mut(self.dims).zip(lengths).zip(self.inverse)
        {
            let length = inverse * sum / count.max(1) as f32;
            mean.iter_mut().for_each(|value| *value *= length);
        }
        means
    }
}

/// Returns the length of a vector; of one without, the least that can be divided by.
fn length(vector: &[f32]) -> f32 {
    dot(vector, vector).sqrt().max(f32::MIN_POSITIVE)
}

fn add(to: &mut [f32], values: &[f32]) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to += value);
}

/// Returns where the largest value is; of equal ones the first.
fn largest(values: &[f32]) -> usize {
    let mut best = (f32::NEG_INFINITY, 0);
    for (at, &value) in values.iter().enumerate() {
        if value > best.0 {
            best = (value, at);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_few_directions_become_those() {
        let directions = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.0, 0.8]];
        let tokens: Vec<f32> = (0..30).flat_map(|at| directions[at % 3]).collect();
        let merged = merge_tokens(&tokens, 3, 3);
        assert_eq!(merged.len(), 9);
        for direction in directions {
            let found = merged.chunks(3).any(|mean| dot(mean, &direction) > 0.9999);
            assert!(found, "{direction:?} is not in {merged:?}");
        }
    }

    #[test]
    fn few_tokens_stay_and_degenerate_ones_are_merged_all_the_same() {
        assert_eq!(merge_tokens(&[1.0, 2.0, 3.0, 4.0], 2, 2), [1.0, 2.0, 3.0, 4.0]);
        for tokens in [vec![0.0; 40], vec![1.0; 40], vec![1e-30; 40]] {
            let merged = merge_tokens(&tokens, 2, 3);
            assert_eq!(merged.len(), 6);
            assert!(merged.iter().all(|value| value.is_finite()));
        }
    }
}
