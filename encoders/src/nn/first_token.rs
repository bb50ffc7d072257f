//! What the first token of each text attends to.

use super::attention::Attention;

/// Returns how much the first token of each text attends to each token: probabilities, their mean
/// over heads, one value a token of the batch.
///
/// `qkv` and `bounds` are as in [`Attention::forward`]. For models that are asked what they look
/// at; the forward pass does not keep probabilities.
pub(crate) fn first_token_attention(shape: &Attention, qkv: &[f32], bounds: &[usize]) -> Vec<f32> {
    let (heads, dims) = (shape.heads, shape.head_dims);
    let hidden = heads * dims;
    let scale = 1.0 / (dims as f32).sqrt();
    let mut attention = vec![0.0; qkv.len() / (3 * hidden)];
    let mut scores = Vec::new();
    for text in bounds.windows(2) {
        let rows = &qkv[text[0] * 3 * hidden..text[1] * 3 * hidden];
        let attention = &mut attention[text[0]..text[1]];
        for head in 0..heads {
            let query = &rows[head * dims..][..dims];
            scores.clear();
            for row in rows.chunks_exact(3 * hidden) {
                let key = &row[hidden + head * dims..][..dims];
                scores.push(query.iter().zip(key).map(|(q, k)| q * k).sum::<f32>());
            }
            if let Some(bias) = &shape.bias {
                for (score, bias) in scores.iter_mut().zip(bias.row(head, 0)) {
                    *score += bias;
                }
            }
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            scores.iter_mut().for_each(|score| *score = ((*score - most) * scale).exp());
            let share = 1.0 / (heads as f32 * scores.iter().sum::<f32>());
            for (sum, score) in attention.iter_mut().zip(&scores) {
                *sum += score * share;
            }
        }
    }
    attention
}
