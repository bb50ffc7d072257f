//! What an exported collection was like, beside its points: its shape and its fitted fusions.

use std::collections::BTreeMap;

use bigrain_engine::{Collection, CollectionConfig, HybridFit};
use serde::Serialize;
use serde_json::Value;

/// The keys of fits in the JSON object; all others are those of the shape.
const FIT: &str = "hybrid";
const NAMED_FITS: &str = "fits";

/// What an exported collection was like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportedShape {
    /// Its fields.
    #[serde(flatten)]
    pub config: CollectionConfig,
    /// The fusion that was fitted, if one was.
    #[serde(rename = "hybrid", skip_serializing_if = "Option::is_none")]
    pub fit: Option<HybridFit>,
    /// Those that were fitted under names.
    #[serde(rename = "fits", skip_serializing_if = "BTreeMap::is_empty")]
    pub named_fits: BTreeMap<String, HybridFit>,
}

impl ExportedShape {
    /// Returns what a collection is like.
    #[must_use]
    pub fn of(collection: &Collection) -> Self {
        let (config, fit) = (collection.config(), collection.hybrid_fit());
        Self { config, fit, named_fits: collection.named_hybrid_fits() }
    }

    /// Reads what was written as JSON.
    ///
    /// # Errors
    ///
    /// When it is something else.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut value: Value = serde_json::from_slice(json)?;
        let mut take = |key| value.as_object_mut().and_then(|object| object.remove(key));
        let (fit, named) = (take(FIT), take(NAMED_FITS));
        Ok(Self {
            fit: fit.map(serde_json::from_value).transpose()?,
            named_fits: named.map(serde_json::from_value).transpose()?.unwrap_or_default(),
            config: serde_json::from_value(value)?,
        })
    }

    /// Gives a collection of this shape the fusions that were fitted.
    ///
    /// # Errors
    ///
    /// When the engine refuses one.
    pub fn keep_fits(&self, collection: &Collection) -> bigrain_engine::Result<()> {
        if let Some(fit) = &self.fit {
            collection.set_hybrid_fit(Some(fit.clone()))?;
        }
        for (name, fit) in &self.named_fits {
            collection.set_named_hybrid_fit(name, Some(fit.clone()))?;
        }
        Ok(())
    }
}
