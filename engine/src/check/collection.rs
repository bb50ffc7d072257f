//! Checks one collection.

use std::collections::HashMap;
use std::sync::Arc;

use bigrain_storage::{CountsRow, HeadRow, Location, RawRow, RowKind, SegmentRow};
use bigrain_types::{Offset, PointId, SegmentId};
use roaring::RoaringBitmap;

use super::rows::{Follower, RowSource};
use super::{CollectionCheck, Findings};
use crate::field::{FieldKind, Fields, Schema};
use crate::segment::Segment;
use crate::watch::Watch;
use crate::{ErrorKind, Result};

/// Rows after which progress is told.
const ROWS_PER_REPORT: u64 = 4096;

/// What is to be checked of one collection.
pub(crate) struct Subject<'a> {
    pub name: &'a str,
    pub schema: &'a Schema,
    pub fields: &'a Fields,
    pub counts: CountsRow,
    /// The segments that the manifest names; none for one that could not be opened, which is for the
    /// caller to note.
    pub segments: Vec<(SegmentRow, Option<Arc<Segment>>)>,
    pub rows: &'a dyn RowSource,
}

/// Checks everything about a collection. Fails only when the system refuses a read or the caller
/// gave up; everything else is a finding.
pub(crate) fn check_collection(
    subject: &Subject<'_>,
    findings: &mut Findings,
    watch: &mut Watch<'_>,
) -> Result<CollectionCheck> {
    let damage = findings.damage;
    findings.of(Some(subject.name));
    let report = CollectionCheck { name: subject.name.to_owned(), ..CollectionCheck::default() };
    let mut check = Check { subject, findings, watch, report, segments: HashMap::new() };
    check.files()?;
    if let Err(error) = check.rows() {
        if error.kind() != ErrorKind::Corruption {
            return Err(error);
        }
        // Rows behind it cannot be read, so nothing can be said about what they would agree with.
        check.findings.damage(format!("{error}; rows behind it were not checked"));
    }
    let mut report = check.report;
    report.damage = findings.damage - damage;
    findings.of(None);
    Ok(report)
}

struct Check<'c, 'a, 'w> {
    subject: &'c Subject<'a>,
    findings: &'c mut Findings,
    watch: &'c mut Watch<'w>,
    report: CollectionCheck,
    segments: HashMap<SegmentId, Rows>,
}

/// What is known about the rows of a segment.
struct Rows {
    count: u64,
    /// Whether the files are those of the manifest, damaged or not.
    opened: bool,
    /// None where ids cannot be read.
    segment: Option<Arc<Segment>>,
    live: RoaringBitmap,
    dead: RoaringBitmap,
}

impl Check<'_, '_, '_> {
    /// Checks every block of every file.
    fn files(&mut self) -> Result<()> {
        for (row, segment) in &self.subject.segments {
            let mut readable = segment.clone();
            for (_, file) in segment.iter().flat_map(|segment| segment.files()) {
                let (before, findings) = (self.findings.damage, &mut *self.findings);
                let (watch, length) = (&mut *self.watch, file.identity().length);
                file.scrub(|bytes| watch.advance(bytes), |error| findings.damage(error))?;
                if self.findings.damage > before {
                    readable = None;
                }
                self.report.files += 1;
                self.report.bytes += length;
            }
            self.report.segments += 1;
            if row.id >= self.subject.counts.next_segment {
                self.findings.damage(format!("segment {}: its id was never given out", row.id));
            }
            let (live, mut dead) = (RoaringBitmap::new(), RoaringBitmap::new());
            let opened = segment.is_some();
            if opened {
                // Points that have not moved here yet are alive where they were. The ids file has
                // shown that there are so many rows.
                dead.insert_range(row.arrived.min(row.rows) as u32..row.rows as u32);
            }
            let rows = Rows { count: row.rows, opened, segment: readable, live, dead };
            if self.segments.insert(row.id, rows).is_some() {
                self.findings.damage(format!("segment {}: the manifest names it twice", row.id));
            }
        }
        Ok(())
    }

    /// Checks every row of the store, and that rows and segments agree.
    fn rows(&mut self) -> Result<()> {
        let source = self.subject.rows;
        for row in source.rows(RowKind::Tombstone)? {
            let row = row?;
            self.count(&row)?;
            self.tombstone(&row);
        }
        let mut payloads = Follower::new(source, RowKind::Payload)?;
        let mut heads = Follower::new(source, RowKind::Head)?;
        for row in source.rows(RowKind::Location)? {
            let row = row?;
            self.count(&row)?;
            let payload = payloads.at(&row.key, |row| left_over(self.findings, row))?;
            let head = heads.at(&row.key, |row| left_over(self.findings, row))?;
            self.point(&row, payload.as_ref(), head.as_ref())?;
        }
        payloads.rest(|row| left_over(self.findings, row))?;
        heads.rest(|row| left_over(self.findings, row))?;
        self.totals();
        Ok(())
    }

    fn count(&mut self, row: &RawRow) -> Result<()> {
        let bytes = (row.key.len() + row.value.len()) as u64;
        self.report.bytes += bytes;
        if self.report.points.is_multiple_of(ROWS_PER_REPORT) {
            self.watch.advance(0)?;
        }
        Ok(())
    }

    fn tombstone(&mut self, row: &RawRow) {
        let (id, Offset(offset)) = match row.tombstone() {
            Ok(tombstone) => tombstone,
            Err(error) => return self.findings.damage(error),
        };
        match self.segments.get_mut(&id) {
            Some(rows) if u64::from(offset) < rows.count => drop(rows.dead.insert(offset)),
            Some(rows) => {
                let count = rows.count;
                self.findings.damage(format!("segment {id}: tombstone of row {offset} of {count}"));
            }
            None => self.findings.orphan(format!("tombstone of segment {id}, which is gone")),
        }
    }

    fn point(
        &mut self,
        row: &RawRow,
        payload: Option<&RawRow>,
        head: Option<&RawRow>,
    ) -> Result<()> {
        self.report.points += 1;
        let (id, point) = match (row.id(), row.location()) {
            (Ok(id), Ok(point)) => (id, point),
            (Err(error), _) | (_, Err(error)) => {
                self.findings.damage(error);
                return Ok(());
            }
        };
        if point.seq > self.subject.counts.last_seq {
            self.findings.damage(format!("point {id}: its write was never counted"));
        }
        match payload {
            None => self.findings.damage(format!("point {id}: it has no payload")),
            Some(payload) => {
                self.count(payload)?;
                payload.payload().map_or_else(|error| self.findings.damage(error), drop);
            }
        }
        match (point.location, head) {
            (Location::Head, None) => {
                self.findings.damage(format!("point {id}: it has no stored vectors"));
            }
            (Location::Head, Some(head)) => {
                self.count(head)?;
                match head.head() {
                    Ok(head) => self.vectors(&id, &head),
                    Err(error) => self.findings.damage(error),
                }
            }
            (Location::Segment(..), Some(head)) => left_over(self.findings, head),
            (Location::Segment(segment, offset), None) => self.located(&id, segment, offset),
        }
        Ok(())
    }

    /// Checks the vectors of a point that is in no segment.
    fn vectors(&mut self, id: &PointId, head: &HeadRow) {
        for (field, vector) in &head.vectors {
            let dims = self.subject.fields.get(*field).map(|field| field.config.dims);
            if let Err(error) = self.subject.schema.check_stored(*field, FieldKind::Dense, id) {
                self.findings.damage(error);
            } else if dims.is_some_and(|dims| dims != vector.len()) {
                let actual = vector.len();
                self.findings.damage(format!("point {id}: stored vector has {actual} dimensions"));
            }
        }
        for (field, _) in &head.sparse {
            if let Err(error) = self.subject.schema.check_stored(*field, FieldKind::Sparse, id) {
                self.findings.damage(error);
            }
        }
        for (field, tokens) in &head.multi {
            let actual = tokens.view().header().dims();
            let dims = self.subject.fields.get_multi(*field).map(|field| field.config.dims);
            if let Err(error) = self.subject.schema.check_stored(*field, FieldKind::Multi, id) {
                self.findings.damage(error);
            } else if dims.is_some_and(|dims| dims != actual) {
                self.findings.damage(format!("point {id}: stored tokens have {actual} dimensions"));
            }
        }
    }

    /// Checks that a point and its row of a segment name each other.
    fn located(&mut self, id: &PointId, segment: SegmentId, offset: Offset) {
        let place = format!("row {} of segment {segment}", offset.0);
        let Some(rows) = self.segments.get_mut(&segment) else {
            return self.findings.damage(format!("point {id}: segment {segment} is not there"));
        };
        if u64::from(offset.0) >= rows.count {
            let count = rows.count;
            return self.findings.damage(format!("point {id}: {place}, which has {count}"));
        }
        if rows.dead.contains(offset.0) {
            self.findings.damage(format!("point {id}: {place} is marked as dead"));
        }
        if !rows.live.insert(offset.0) {
            self.findings.damage(format!("point {id}: {place} has another point too"));
        }
        let Some(segment) = &rows.segment else { return };
        match segment.ids.get(offset) {
            Ok(found) if found == *id => {}
            Ok(found) => self.findings.damage(format!("point {id}: {place} says {found}")),
            Err(error) => self.findings.damage(error),
        }
    }

    /// Checks what only all rows together can tell.
    fn totals(&mut self) {
        let (counted, found) = (self.subject.counts.live, self.report.points);
        if counted != found {
            self.findings.damage(format!("counts say {counted} points, there are {found}"));
        }
        for (id, rows) in self.segments.iter().filter(|(_, rows)| rows.opened) {
            let known = (&rows.live | &rows.dead).len();
            let lost = rows.count.saturating_sub(known);
            if lost > 0 {
                let reason =
                    format!("segment {id}: {lost} rows have neither a point nor a tombstone");
                self.findings.damage(reason);
            }
        }
    }
}

/// Notes a row whose point is gone.
fn left_over(findings: &mut Findings, row: &RawRow) {
    match row.id() {
        Ok(id) => findings.damage(format!("{} of point {id}, which is not there", row.kind.name())),
        Err(error) => findings.damage(error),
    }
}
