//! The settings that a curve is measured at.

use std::fmt;
use std::str::FromStr;

use bigrain_engine::{SearchParams, SearchParamsError};
use serde::Serialize;

/// One setting of how hard to look.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Setting {
    /// The share of true neighbours to aim at.
    Target(f32),
    /// Lists to probe.
    Probes(usize),
}

impl Setting {
    /// Returns what is set: `target` or `probes`.
    #[must_use]
    pub fn knob(self) -> &'static str {
        match self {
            Self::Target(_) => "target",
            Self::Probes(_) => "probes",
        }
    }

    /// Returns the target recall, if that is what is set.
    #[must_use]
    pub fn target_recall(self) -> Option<f32> {
        match self {
            Self::Target(target) => Some(target),
            Self::Probes(_) => None,
        }
    }

    /// Applies it to the parameters of a search.
    ///
    /// # Errors
    ///
    /// [`SearchParamsError`] for a value out of range.
    pub fn apply(self, params: SearchParams) -> Result<SearchParams, SearchParamsError> {
        match self {
            Self::Target(target) => params.with_target_recall(target),
            Self::Probes(probes) => params.with_probes(probes),
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(target) => write!(f, "{target}"),
            Self::Probes(probes) => write!(f, "{probes}"),
        }
    }
}

/// Settings to measure one after the other, written `target=0.8,0.9` or `probes=1,2,4`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep(Vec<Setting>);

impl Sweep {
    /// Returns the targets that show a whole curve.
    #[must_use]
    pub fn targets(targets: &[f32]) -> Self {
        Self(targets.iter().map(|&target| Setting::Target(target)).collect())
    }

    /// Returns the settings in the order given, at least one.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.0
    }

    /// Returns what is swept.
    #[must_use]
    pub fn knob(&self) -> &'static str {
        self.0.first().map_or("target", |setting| setting.knob())
    }
}

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let setting: fn(&str) -> Option<Setting> = match text.split_once('=') {
            Some(("target", _)) => |value| value.parse().ok().map(Setting::Target),
            Some(("probes", _)) => |value| value.parse().ok().map(Setting::Probes),
            _ => return Err(format!("expected target=0.8,0.9,.. or probes=1,2,.., got {text:?}")),
        };
        let (_, values) = text.split_once('=').unwrap_or_default();
        let params = SearchParams::new(1).map_err(|error| error.to_string())?;
        let parse = |value: &str| {
            let setting =
                setting(value).ok_or_else(|| format!("{value:?} is no value to sweep"))?;
            setting.apply(params).map_err(|error| error.to_string())?;
            Ok(setting)
        };
        values.split(',').map(|value| parse(value.trim())).collect::<Result<_, String>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_are_read_in_order() {
        let sweep: Sweep = "probes=1, 2,64".parse().unwrap();
        let probes = [1, 2, 64].map(Setting::Probes);
        assert_eq!((sweep.settings(), sweep.knob()), (&probes[..], "probes"));
        assert_eq!("target=0.9,1".parse::<Sweep>().unwrap(), Sweep::targets(&[0.9, 1.0]));
    }

    #[test]
    fn refusals_name_the_value() {
        for (text, expected) in [
            ("0.9", "expected target="),
            ("lists=3", "expected target="),
            ("target=", "\"\" is no value"),
            ("target=0.9,,1", "\"\" is no value"),
            ("probes=1.5", "\"1.5\" is no value"),
            ("target=1.5", "target recall out of range"),
            ("target=nan", "target recall out of range"),
            ("probes=0", "probes out of range"),
        ] {
            let error = text.parse::<Sweep>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn json_has_plain_numbers() {
        let json = serde_json::to_string(&[Setting::Target(0.9), Setting::Probes(8)]).unwrap();
        assert_eq!(json, "[0.9,8]");
    }
}
