//! How much of the truth was found.

use serde::{Deserialize, Serialize};

/// Shares of the true neighbours found, means over the queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// At the number of results asked for.
    #[serde(rename = "recall")]
    pub at_limit: f64,
    /// Of the nearest.
    #[serde(rename = "recall_at_1", skip_serializing_if = "Option::is_none")]
    pub at_1: Option<f64>,
    /// Of the nearest ten, where as many were asked for.
    #[serde(rename = "recall_at_10", skip_serializing_if = "Option::is_none")]
    pub at_10: Option<f64>,
    /// Of the nearest hundred, where as many were asked for.
    #[serde(rename = "recall_at_100", skip_serializing_if = "Option::is_none")]
    pub at_100: Option<f64>,
}

impl Recall {
    /// Measures at the depths that `limit` reaches; `share` is the mean share found of the nearest
    /// so many.
    pub fn measure(limit: usize, share: impl Fn(usize) -> f64) -> Self {
        let at = |depth| (depth <= limit).then(|| share(depth));
        Self { at_limit: share(limit), at_1: at(1), at_10: at(10), at_100: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_reported() {
        let recall = Recall::measure(20, |depth| 1.0 / depth as f64);
        assert_eq!((recall.at_1, recall.at_10, recall.at_100), (Some(1.0), Some(0.1), None));
        let json = serde_json::to_string(&recall).unwrap();
        assert_eq!(json, r#"{"recall":0.05,"recall_at_1":1.0,"recall_at_10":0.1}"#);
    }
}
