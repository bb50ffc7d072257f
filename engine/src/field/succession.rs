//! Fields that follow each other: one of a later encoder in the place of one of an earlier.
//!
//! ```text
//!  begin     "v" (id 0) is called "v-former" from now on, takes no more vectors, and stands last;
//!            "v" (id 3) stands where it stood, and names it as its predecessor
//!  then      a vector that is written into "v" takes the point's vector out of "v-former"
//!  end       "v-former" is dropped; "v" keeps the place
//! ```
//!
//! So no point has a vector in both, and stores, segments and merges know of two fields and of nothing else.

use bigrain_types::FieldId;

use super::{FieldConfig, Schema, SchemaField};
use crate::{Error, ErrorKind, Result};

/// What is put behind the name of a field that another one follows.
const FORMER: &str = "-former";

impl Schema {
    /// Puts a field of a later encoder in the place of a dense field, under the same name; returns the former one and
    /// the later one.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` where the later one has another metric, or a binarizer that was trained to follow another
    /// than the former one's, or the former one has a predecessor itself; `AlreadyExists` where a field has the name
    /// that the former one would get.
    pub fn succeed(
        &mut self,
        id: FieldId,
        later: FieldConfig,
    ) -> Result<(&SchemaField, &SchemaField)> {
        later.validate()?;
        let field = self.dense_mut(id)?;
        let name = field.config.name.clone();
        let learned = check_follows(field, &later)?;
        let former_name = format!("{name}{FORMER}");
        let renamed = FieldConfig { name: former_name.clone(), ..field.config.clone() };
        renamed.validate()?;
        if self.config().field_names().any(|known| known == former_name) {
            let reason = format!("field {former_name:?} exists: field {name:?} would become that");
            return Err(Error::new(ErrorKind::AlreadyExists, reason));
        }
        let place = self.dense_mut(id)?.place.unwrap_or(id);
        self.dense_mut(id)?.config = renamed;
        let (later_id, file_stem) = self.give_id(&name)?;
        let field = self.dense_mut(id)?;
        field.successor = Some(later_id);
        let former = field.config.binarizer.clone().filter(|_| learned);
        self.fields.push(SchemaField {
            former,
            predecessor: Some(id),
            place: Some(place),
            ..SchemaField::new(later_id, file_stem, later)
        });
        let at = self.fields.iter().position(|field| field.id == id).unwrap_or_default();
        Ok((&self.fields[at], &self.fields[self.fields.len() - 1]))
    }

    /// Returns the dense fields in the order in which callers see them, the first being the default: those that
    /// others follow come last.
    pub fn arranged(&self) -> Vec<&SchemaField> {
        let mut fields: Vec<&SchemaField> = self.fields.iter().collect();
        fields.sort_by_key(|field| (field.successor.is_some(), field.place.unwrap_or(field.id)));
        fields
    }

    /// Refuses to drop a field that another one's vectors are going over to.
    pub(super) fn check_no_predecessor(&self, name: &str) -> Result<()> {
        let named = self.fields.iter().find(|field| field.config.name == name);
        let predecessor = named.and_then(|field| field.predecessor);
        let Some(former) = self.fields.iter().find(|field| predecessor == Some(field.id)) else {
            return Ok(());
        };
        let former = &former.config.name;
        let reason = format!("field {name:?} follows {former:?}: drop {former:?} before it");
        Err(Error::new(ErrorKind::FailedPrecondition, reason))
    }

    /// Forgets that a dropped field went before another one.
    pub(super) fn end_succession(&mut self, dropped: FieldId) {
        for field in &mut self.fields {
            field.predecessor.take_if(|id| *id == dropped);
        }
    }

    /// Whether a field follows another one, or once did.
    pub(super) fn has_succession(&self) -> bool {
        self.fields.iter().any(|field| field.place.is_some() || field.successor.is_some())
    }

    /// Whether fields that follow each other say so of each other.
    pub(super) fn successions_agree(&self) -> bool {
        let get = |id: FieldId| self.fields.iter().find(|field| field.id == id);
        self.fields.iter().all(|field| {
            let before = field.predecessor.is_none_or(|id| {
                get(id).is_some_and(|before| before.successor == Some(field.id)) && id < field.id
            });
            let after = field
                .successor
                .is_none_or(|id| get(id).is_some_and(|after| after.predecessor == Some(field.id)));
            before && after && field.place.is_none_or(|place| place < self.next_field)
        })
    }
}

/// Refuses a field that cannot take the place of another; says whether its binarizer has learned how vectors of both
/// compare.
fn check_follows(field: &SchemaField, later: &FieldConfig) -> Result<bool> {
    let refuse = |reason: String| Err(Error::new(ErrorKind::FailedPrecondition, reason));
    let name = &field.config.name;
    if later.name != *name {
        return refuse(format!("field {:?} cannot take the place of field {name:?}", later.name));
    }
    if field.predecessor.is_some() || field.successor.is_some() {
        return refuse(format!("field {name:?} is going over to another encoder already"));
    }
    if later.metric != field.config.metric {
        let (metric, present) = (later.metric, field.config.metric);
        return refuse(format!(
            "a field by {metric} cannot take the place of field {name:?}, which is by {present}: similarities of both \
             come in one list"
        ));
    }
    let Some(next) = later.binarizer.as_ref().filter(|next| next.translation().is_some()) else {
        return Ok(false);
    };
    let present = field.config.binarizer.as_ref();
    if present.is_none_or(|present| next.crossing(present).is_none()) {
        let present = present.map_or("none".to_owned(), |present| present.id().to_string());
        return refuse(format!(
            "the binarizer of the later encoder was trained to follow another than that of field {name:?}: {present}"
        ));
    }
    Ok(true)
}

#[cfg(test)]
#[path = "succession_tests.rs"]
mod tests;
