//! Queries made of an image and a text.

use bigrain_types::normalize;

/// Returns `image + weight · text` at length one: "as in this image, but" (ALIGN, arXiv 2102.05918,
/// section 5.3). A negative weight leaves out what the text says. Both are embeddings of one space.
///
/// `None` if they differ in length, or nothing is left of them.
#[must_use]
pub fn compose(image: &[f32], text: &[f32], weight: f32) -> Option<Vec<f32>> {
    if image.len() != text.len() {
        return None;
    }
    let mut sum: Vec<f32> = image.iter().zip(text).map(|(x, y)| x + weight * y).collect();
    let is_something = sum.iter().any(|&value| value != 0.0) && sum.iter().all(|v| v.is_finite());
    normalize(&mut sum);
    is_something.then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composed_query_lies_between_its_parts() {
        let query = compose(&[1.0, 0.0], &[0.0, 1.0], 0.75).unwrap();
        assert!((query[0] - 0.8).abs() < 1e-6 && (query[1] - 0.6).abs() < 1e-6, "{query:?}");
        assert_eq!(compose(&[1.0, 0.0], &[1.0, 0.0], -1.0), None);
        assert_eq!(compose(&[1.0], &[1.0, 0.0], 1.0), None);
        assert_eq!(compose(&[1.0], &[1.0], f32::NAN), None);
    }
}
