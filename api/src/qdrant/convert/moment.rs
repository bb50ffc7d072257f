//! Times.

use bigrain_engine::filter::Moment;
use tonic::Status;

use crate::qdrant::error::wrong;

/// Reads a time as messages have it.
pub(in crate::qdrant) fn moment_of(time: &prost_types::Timestamp) -> Result<Moment, Status> {
    let text = time.to_string();
    Moment::parse(&text).ok_or_else(|| wrong(format!("time out of range: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_the_same_instants() {
        let time = "2024-02-29T12:00:00+02:00".parse::<prost_types::Timestamp>().unwrap();
        assert_eq!(moment_of(&time).unwrap(), Moment::parse("2024-02-29T10:00:00Z").unwrap());
    }
}
