//! A kind of codes, as the command line says it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, bail};
use bigrain_binarize::{Binarizer, QueryWidth, Recurrent};
use bigrain_engine::{Levels, Metric};
use bigrain_train::{DocumentCodes, TrainConfig, float_ranks};

use crate::cmd::flags::parse_levels;
use crate::learning::read_binarizer;
use crate::matrix::Matrix;

/// What ranks documents.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Dot products of the embeddings.
    Floats,
    /// Codes of a random rotation.
    Rotation(Levels),
    /// Learned codes, one binarizer for each seed.
    Learned { name: String, seeds: Vec<Recurrent> },
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text == "floats" {
            return Ok(Self::Floats);
        }
        if let Some(levels) = text.strip_prefix("rotation:") {
            return Ok(Self::Rotation(parse_levels(levels).map_err(anyhow::Error::msg)?));
        }
        let (name, files) = text.split_once('=').unwrap_or_else(|| {
            let stem = Path::new(text).file_stem().and_then(|stem| stem.to_str());
            (stem.unwrap_or(text), text)
        });
        let read = |file: &str| read_binarizer(Path::new(file));
        let seeds = files.split(',').map(read).collect::<anyhow::Result<Vec<_>>>()?;
        let layouts = |each: &Recurrent| each.layout() == seeds[0].layout();
        if !seeds.iter().all(layouts) {
            bail!("binarizers of {name:?} have codes of different shapes");
        }
        Ok(Self::Learned { name: name.to_owned(), seeds })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Kind {
    /// Returns what it is called.
    pub fn name(&self) -> String {
        match self {
            Self::Floats => "floats".to_owned(),
            Self::Rotation(levels) => format!("rotation:{}", levels.get()),
            Self::Learned { name, .. } => name.clone(),
        }
    }

    /// Returns how many seeds it states.
    pub fn seeds(&self) -> usize {
        match self {
            Self::Floats | Self::Rotation(_) => 1,
            Self::Learned { seeds, .. } => seeds.len(),
        }
    }

    /// Returns the bits of a document.
    pub fn bits(&self, documents: &Matrix) -> usize {
        match self {
            Self::Floats => 32 * documents.dims(),
            Self::Rotation(levels) => documents.dims().next_multiple_of(64) * levels.count(),
            Self::Learned { seeds, .. } => {
                let layout = seeds.first().map(Recurrent::layout);
                layout.map_or(0, |layout| layout.dims() * layout.levels().count())
            }
        }
    }

    /// Returns where the right document of each query comes, for each seed: as many of the rotation as `seeds`
    /// says. On the current thread pool.
    pub fn ranks(
        &self,
        documents: &Matrix,
        queries: &Matrix,
        right: &[u32],
        seeds: usize,
    ) -> anyhow::Result<Vec<Vec<u32>>> {
        let (dims, rows, asked) = (documents.dims(), documents.values(), queries.values());
        let by_codes = |binarizer: Binarizer| -> anyhow::Result<Vec<u32>> {
            if binarizer.dims() != dims {
                bail!("it takes {} dims, documents have {dims}", binarizer.dims());
            }
            Ok(DocumentCodes::new(&binarizer, rows).ranks(asked, right, QueryWidth::DEFAULT)?)
        };
        match self {
            Self::Floats => Ok(vec![float_ranks(dims, rows, asked, right)]),
            Self::Rotation(levels) => {
                let first = TrainConfig::default().rotation_seed;
                let rotation = |seed: usize| {
                    let seed = first.wrapping_add(seed as u64);
                    Binarizer::new_rotation(dims, *levels, Metric::Cosine, seed)
                };
                (0..seeds).map(|seed| by_codes(rotation(seed).context("rotation")?)).collect()
            }
            Self::Learned { seeds, .. } => {
                let binarizer = |each: &Recurrent| Binarizer::new_recurrent(Arc::new(each.clone()));
                seeds.iter().map(|each| by_codes(binarizer(each))).collect()
            }
        }
    }
}
