//! Values of flags that several commands take.

use bigrain_engine::Levels;

/// Reads how many levels codes have.
///
/// # Errors
///
/// When it is no number from 1 to 4.
pub fn parse_levels(text: &str) -> Result<Levels, String> {
    let levels: u8 = text.parse().map_err(|_| format!("expected 1 to 4, got {text:?}"))?;
    Levels::new(levels).map_err(|error| error.to_string())
}
