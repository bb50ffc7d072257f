//! Changing a part of a point: read it, change it, and write it on the condition that it is still
//! what was read.
//!
//! A point that changed in between is read again. After a few rounds writers wait for one: the last
//! round reads and writes under the commit lock. So an update is an upsert like any other, whose
//! row leaves its segment for the head with vectors and payload in one batch; and no segment ever
//! holds a payload that is not the point's.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bigrain_index::multi::round;
use bigrain_storage::Batch;
use bigrain_types::{Filter, PointId, SeqNo};

use super::Collection;
use super::handle::Shared;
use super::read::{Moment, no_segment};
use super::writer::{Operation, at_point, check_not_empty};
use crate::config::check_batch;
use crate::encoded_points::EncodedPoints;
use crate::field::Fields;
use crate::scroll::PointParts;
use crate::{
    Condition, Conditions, Error, ErrorKind, MatchingPoints, MultiPointVector, PayloadUpdate,
    Point, PointVector, Result, SparsePointVector, StoredMultiVector, StoredPoint,
    StoredSparseVector, StoredVector, UpdateOutput,
};

/// Points that match a filter and are changed by one commit.
const MATCHING_BATCH: usize = 2048;

/// Rounds that may find a point changed before writers wait for one.
const MAX_ROUNDS: usize = 4;

impl Collection {
    /// Changes the payloads of points and leaves their vectors; ids that do not exist are not an
    /// error. When this returns, the changes are on disk and every later search sees them.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for more than [`MAX_POINTS_PER_BATCH`](crate::MAX_POINTS_PER_BATCH) ids
    /// or a payload that becomes too large; and as [`upsert`](Self::upsert).
    pub fn update_payload(&self, ids: &[PointId], update: &PayloadUpdate) -> Result<UpdateOutput> {
        self.update_payload_if(ids, update, &Conditions::default())
    }

    /// Changes the payloads of points if conditions hold, and else changes nothing.
    ///
    /// # Errors
    ///
    /// `Aborted` when a condition does not hold, naming the point; and as
    /// [`update_payload`](Self::update_payload).
    pub fn update_payload_if(
        &self,
        ids: &[PointId],
        update: &PayloadUpdate,
        conditions: &Conditions,
    ) -> Result<UpdateOutput> {
        let shared = &*self.0;
        shared.run("update", || {
            check_batch(ids.len())?;
            let mut seen = HashSet::new();
            let ids: Vec<PointId> = ids.iter().filter(|id| seen.insert(*id)).cloned().collect();
            shared.rewrite(&Rewrite {
                ids: &ids,
                only: None,
                conditions,
                edit: &|_, stored| stored.update(update),
            })
        })
    }

    /// Changes the payloads of the points that match a filter at one moment, and still match when
    /// each is changed. Points are changed some thousand at a time; after an error some may be.
    ///
    /// # Errors
    ///
    /// As [`update_payload`](Self::update_payload) and [`matching`](Self::matching).
    pub fn update_payload_matching(
        &self,
        filter: &Filter,
        update: &PayloadUpdate,
    ) -> Result<UpdateOutput> {
        let MatchingPoints { ids, seq } = self.matching(filter)?;
        let mut all = UpdateOutput { seq, updated: 0, missing: 0 };
        let shared = &*self.0;
        for ids in ids.chunks(MATCHING_BATCH) {
            let output = shared.run("update", || {
                shared.rewrite(&Rewrite {
                    ids,
                    only: Some(filter),
                    conditions: &Conditions::default(),
                    edit: &|_, stored| stored.update(update),
                })
            })?;
            all = UpdateOutput { seq: output.seq, updated: all.updated + output.updated, ..all };
        }
        Ok(all)
    }

    /// Replaces vectors of points and leaves their payloads and their vectors in other fields; an empty
    /// sparse vector removes what the field had. Ids that do not exist are not an error. When this
    /// returns, the changes are on disk and every later search sees them.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a point that has a payload; and as [`upsert`](Self::upsert).
    pub fn update_vectors(&self, points: &[Point]) -> Result<UpdateOutput> {
        self.update_vectors_if(points, &Conditions::default())
    }

    /// Replaces vectors of points if conditions hold, and else changes nothing.
    ///
    /// # Errors
    ///
    /// `Aborted` when a condition does not hold, naming the point; and as
    /// [`update_vectors`](Self::update_vectors).
    pub fn update_vectors_if(
        &self,
        points: &[Point],
        conditions: &Conditions,
    ) -> Result<UpdateOutput> {
        let shared = &*self.0;
        shared.run("update", || {
            check_batch(points.len())?;
            let fields = shared.fields();
            let mut seen = HashSet::new();
            for point in points {
                check_vector_update(&fields, point).map_err(|error| at_point(&point.id, &error))?;
                if !seen.insert(&point.id) {
                    return Err(Error::invalid(format!("duplicate id {} in one batch", point.id)));
                }
            }
            let ids: Vec<PointId> = points.iter().map(|point| point.id.clone()).collect();
            let edit = |at: usize, stored: &mut Stored| {
                for PointVector { field, values, .. } in &points[at].vectors {
                    stored.put(field.as_deref(), values)?;
                }
                points[at].sparse.iter().try_for_each(|vector| stored.put_sparse(vector))?;
                points[at].multi.iter().try_for_each(|vector| stored.put_multi(vector))?;
                Ok(())
            };
            shared.rewrite(&Rewrite { ids: &ids, only: None, conditions, edit: &edit })
        })
    }
}

/// A change of points that exist.
struct Rewrite<'a> {
    /// Each once.
    ids: &'a [PointId],
    /// Others are left as they are.
    only: Option<&'a Filter>,
    conditions: &'a Conditions,
    /// Changes the point at a position of `ids`.
    edit: &'a dyn Fn(usize, &mut Stored) -> Result<()>,
}

/// A stored point, and the fields of its collection when it was read.
struct Stored {
    point: StoredPoint,
    fields: Fields,
}

impl Stored {
    /// Changes the payload.
    fn update(&mut self, update: &PayloadUpdate) -> Result<()> {
        let payload = &mut self.point.payload;
        *payload = update.apply(std::mem::take(payload));
        Ok(())
    }

    /// Puts a vector in place of the one in a field, or adds it where there is none.
    fn put(&mut self, field: Option<&str>, values: &[f32]) -> Result<()> {
        // The field may be another one than was checked, under the same name.
        let field = self.fields.named(field)?;
        field.check(values, None).map_err(|error| self.fields.at(field, error))?;
        let mut values = values.to_vec();
        field.normalize(&mut values);
        let (name, before) = (Arc::clone(&field.name), self.fields.before(field));
        let is_before = |name: &Arc<str>| before.is_some_and(|before| before.name == *name);
        let stays = |vector: &StoredVector| vector.field != name && !is_before(&vector.field);
        self.point.vectors.retain(stays);
        self.point.vectors.push(StoredVector { field: name, values });
        Ok(())
    }

    /// The same of a sparse vector.
    fn put_sparse(&mut self, vector: &SparsePointVector) -> Result<()> {
        let field = Arc::clone(&self.fields.named_sparse(Some(&vector.field))?.name);
        self.point.sparse.retain(|stored| stored.field != field);
        let vector = vector.vector.clone();
        self.point.sparse.push(StoredSparseVector { field, vector });
        Ok(())
    }

    /// The same of a multi-vector.
    fn put_multi(&mut self, vector: &MultiPointVector) -> Result<()> {
        let field = self.fields.named_multi(Some(&vector.field))?;
        let checked = field.config.check(&vector.vector, vector.space);
        checked.map_err(|error| self.fields.at_name(&field.name, error))?;
        let mut tokens = vector.vector.clone();
        field.normalize_stored(&mut tokens);
        let field = Arc::clone(&field.name);
        self.point.multi.retain(|stored| stored.field != field);
        self.point.multi.push(StoredMultiVector { field, vector: tokens });
        Ok(())
    }
}

/// A change that is worked out.
struct Prepared {
    operation: Operation,
    /// That every point still is what was read.
    unchanged: Conditions,
    output: UpdateOutput,
}

impl Shared {
    fn rewrite(&self, rewrite: &Rewrite<'_>) -> Result<UpdateOutput> {
        drop(self.make_room(0)?);
        let output = self.rewrite_in_rounds(rewrite)?;
        self.flush_if_full();
        Ok(output)
    }

    fn rewrite_in_rounds(&self, rewrite: &Rewrite<'_>) -> Result<UpdateOutput> {
        for _ in 0..MAX_ROUNDS {
            let Prepared { operation, unchanged, output } =
                self.read(|moment| self.prepare_rewrite(moment, rewrite))?;
            if output.updated == 0 {
                return Ok(output);
            }
            match self.write(operation, unchanged) {
                Ok(applied) => return Ok(UpdateOutput { seq: applied.seq, ..output }),
                Err(error) if error.kind() == ErrorKind::Aborted => {}
                Err(error) => return Err(error),
            }
        }
        let mut commit = self.commit.lock();
        let prepared = self.prepare_rewrite(&self.moment(), rewrite)?.ok_or_else(no_segment)?;
        let Prepared { operation, output, .. } = prepared;
        if output.updated == 0 {
            return Ok(output);
        }
        let applied = self.write_locked(&mut commit, operation)?;
        Ok(UpdateOutput { seq: applied.seq, ..output })
    }

    /// Reads the points and changes them; nothing when the moment lacks one of their segments.
    fn prepare_rewrite(
        &self,
        moment: &Moment<'_>,
        rewrite: &Rewrite<'_>,
    ) -> Result<Option<Prepared>> {
        let &Rewrite { ids, only, conditions, edit } = rewrite;
        let Some(stored) = moment.points(ids, PointParts::ALL)? else { return Ok(None) };
        let mut versions: HashMap<PointId, Option<SeqNo>> = moment.versions(conditions.named())?;
        let version = |point: &Option<StoredPoint>| point.as_ref().map(|point| point.seq);
        versions.extend(ids.iter().cloned().zip(stored.iter().map(version)));
        conditions.check(ids, |id| versions.get(id).copied().flatten())?;
        let unchanged = versions.into_iter().fold(Conditions::default(), |all, (id, version)| {
            all.with(id, version.map_or(Condition::Absent, Condition::Version))
        });
        let missing = stored.iter().filter(|point| point.is_none()).count() as u64;
        let (mut points, mut payloads) = (EncodedPoints::new(&moment.fields), Batch::new());
        for (at, point) in stored.into_iter().enumerate() {
            let Some(point) = point else { continue };
            if only.is_some_and(|filter| !filter.matches(&point.payload, &point.id)) {
                continue;
            }
            let mut stored = Stored { point, fields: moment.fields.clone() };
            edit(at, &mut stored).map_err(|error| at_point(&ids[at], &error))?;
            let point = stored.point;
            payloads.put_payload(self.key, &point.id, &point.payload);
            if let Some(reason) = payloads.refusal() {
                return Err(at_point(&point.id, &Error::invalid(reason)));
            }
            let slot = points.len() as u32;
            for StoredVector { field, values } in &point.vectors {
                let field = moment.fields.named(Some(field))?.id;
                points.column_mut(field).into_iter().for_each(|column| column.push(slot, values));
            }
            for StoredSparseVector { field, vector } in &point.sparse {
                let field = moment.fields.named_sparse(Some(field))?.id;
                points
                    .sparse_mut(field)
                    .into_iter()
                    .for_each(|rows| rows.push(slot, vector.view()));
            }
            for StoredMultiVector { field, vector } in &point.multi {
                let field = moment.fields.named_multi(Some(field))?.id;
                // Normalized already, and stored ones are rounded: both stay what they are.
                let tokens = Arc::new(round(vector));
                points.multi_mut(field).into_iter().for_each(|column| {
                    column.push(slot, Arc::clone(&tokens));
                });
            }
            points.push(point.id, point.payload);
        }
        let points = points.encoded();
        let updated = points.len() as u64;
        let output = UpdateOutput { seq: self.state.read().seq, updated, missing };
        Ok(Some(Prepared { operation: Operation::Upsert { points, payloads }, unchanged, output }))
    }
}

/// Refuses what an update of vectors cannot be, whatever is stored.
fn check_vector_update(fields: &Fields, point: &Point) -> Result<()> {
    if !point.payload.is_empty() {
        return Err(Error::invalid("expected no payload in an update of vectors"));
    }
    check_not_empty(point)?;
    let mut seen = HashSet::new();
    for PointVector { field, values, space } in &point.vectors {
        let field = fields.named(field.as_deref())?;
        field.check(values, *space).map_err(|error| fields.at(field, error))?;
        if !seen.insert(field.id) {
            return Err(Error::invalid(format!("two vectors in field {:?}", field.name)));
        }
    }
    for SparsePointVector { field, .. } in &point.sparse {
        let field = fields.named_sparse(Some(field))?;
        if !seen.insert(field.id) {
            return Err(Error::invalid(format!("two vectors in field {:?}", field.name)));
        }
    }
    for MultiPointVector { field, vector, space } in &point.multi {
        let field = fields.named_multi(Some(field))?;
        let checked = field.config.check(vector, *space);
        checked.map_err(|error| fields.at_name(&field.name, error))?;
        if !seen.insert(field.id) {
            return Err(Error::invalid(format!("two vectors in field {:?}", field.name)));
        }
    }
    Ok(())
}
