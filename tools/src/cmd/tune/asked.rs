//! The queries of a tuning.

use std::path::Path;

use anyhow::bail;
use bigrain_engine::{Cancel, Collection, PointId, Query};

use crate::curve::Found;
use crate::failure::Usage;
use crate::human;
use crate::input::{Role, VectorFile};
use crate::sampling::sampled_points;

/// Queries, and which stored points they are, if they are stored points.
#[derive(Debug)]
pub(super) struct Asked {
    source: String,
    queries: Vec<Query>,
    /// One for each query, or none at all.
    themselves: Vec<PointId>,
}

impl Asked {
    /// Reads the vectors of a file.
    pub fn read(path: &Path, collection: &Collection, cancel: &Cancel) -> anyhow::Result<Self> {
        let file = VectorFile::open(path, Role::Queries)?;
        let (has, asks) = (collection.config().field(None)?.dims, file.shape().dims);
        if has != asks {
            let (name, path) = (collection.name(), path.display());
            let line =
                format!("dimension mismatch: collection {name:?} has {has}, {path} has {asks}");
            return Err(Usage::new(line).into());
        }
        let query = |row: &[f32]| Query::new(row.to_vec()).with_cancel(cancel.clone());
        let queries = file.to_matrix()?.rows().map(query).collect();
        Ok(Self { source: path.display().to_string(), queries, themselves: Vec::new() })
    }

    /// Takes stored points, evenly spaced in the order of their ids.
    pub fn sample(collection: &Collection, wanted: usize, cancel: &Cancel) -> anyhow::Result<Self> {
        let count = collection.count();
        if count < 2 {
            let (name, points) = (collection.name(), human::counted(count, "point", "points"));
            bail!("collection {name:?} holds {points}: there is nothing to find");
        }
        let field = collection.config().field(None)?.name.clone();
        let (mut queries, mut themselves) = (Vec::new(), Vec::new());
        for mut point in sampled_points(collection, wanted, cancel)? {
            let vector = point.vectors.iter_mut().find(|vector| *vector.field == *field);
            if let Some(vector) = vector {
                let vector = std::mem::take(&mut vector.values);
                queries.push(Query::new(vector).with_cancel(cancel.clone()));
                themselves.push(point.id);
            }
        }
        if queries.is_empty() {
            bail!("no sampled point of {:?} has a vector in field {field:?}", collection.name());
        }
        Ok(Self { source: "stored points".to_owned(), queries, themselves })
    }

    /// Returns where the queries come from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the queries.
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// Whether each query is a point that it finds itself.
    pub fn of_stored_points(&self) -> bool {
        !self.themselves.is_empty()
    }

    /// Returns the first `limit` results of each query, the point itself not among them.
    pub fn without_themselves(&self, found: &[Vec<Found>], limit: usize) -> Vec<Vec<Found>> {
        let others = |(query, found): (usize, &Vec<Found>)| {
            let itself = self.themselves.get(query);
            let others = found.iter().filter(|found| Some(&found.id) != itself);
            others.take(limit).cloned().collect()
        };
        found.iter().enumerate().map(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_not_its_own_result() {
        let found = |id: u64| Found { id: id.into(), score: 0.5 };
        let mut asked =
            Asked { source: String::new(), queries: Vec::new(), themselves: vec![2.into()] };
        let results = [vec![found(2), found(1), found(3)]];
        assert_eq!(asked.without_themselves(&results, 2), [[found(1), found(3)]]);
        asked.themselves.clear();
        assert_eq!(asked.without_themselves(&results, 2), [[found(2), found(1)]]);
    }
}
