//! Adding and dropping vector fields.
//!
//! Either is one synced write of the collection's manifest row and one step of the state; no vector
//! is read or written. Points lack a field that was added until they are written again. What a
//! dropped field left behind carries its id, which is never used again: rows of the head and files of
//! segments are passed over from then on, and go when their rows are moved or rewritten.

use std::sync::Arc;

use bigrain_storage::Batch;
use bigrain_types::TextField;

use super::Collection;
use super::handle::Shared;
use super::state::State;
use crate::field::{Field, FieldConfig, Schema};
use crate::{Error, ErrorKind, Result};

impl Collection {
    /// Adds a vector field behind the others; no point has a vector in it yet. When this returns, the
    /// field is on disk.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `InvalidArgument` for a bad name or a value out of range, or when the
    /// collection has as many fields as it may; `Poisoned` after an earlier write failed.
    pub fn add_field(&self, config: FieldConfig) -> Result<()> {
        let shared = &*self.0;
        shared.run("add a field to", || {
            shared.alter(|schema| {
                let field = Arc::new(Field::new(schema.add(config)?)?);
                Ok(move |state: &mut State| state.add_field(field))
            })
        })
    }

    /// Drops a vector field with all vectors in it. When this returns, they are gone from every later
    /// search and read, and no field of the same name brings them back; the room on disk is given
    /// back when segments are rewritten. Points stay, even those that had no other vector.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` for the only field; `Poisoned` after an earlier write failed.
    pub fn drop_field(&self, name: &str) -> Result<()> {
        let shared = &*self.0;
        shared.run("drop a field of", || {
            shared.alter(|schema| {
                let field = schema.remove(name)?;
                Ok(move |state: &mut State| state.drop_field(field))
            })
        })
    }

    /// Declares a payload field to be searched by words. Points that are in memory, or are written or
    /// merged from now on, are found; others when their segment is merged, at the latest by
    /// [`compact`](Self::compact). `explain` tells which segments lack it.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `InvalidArgument` for stop words of a language without a list of them, or when
    /// there are as many text fields as there may be; `Poisoned` after an earlier write failed.
    pub fn add_text_field(&self, field: TextField) -> Result<()> {
        let shared = &*self.0;
        shared.run("add a text field to", || {
            shared.alter(|schema| {
                schema.add_text(field)?;
                let texts = schema.texts.clone();
                Ok(move |state: &mut State| state.fields = state.fields.with_texts(&texts))
            })
        })
    }

    /// Declares a payload field to be searched by words no longer. Payloads stay.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Poisoned` after an earlier write failed.
    pub fn drop_text_field(&self, path: &str) -> Result<()> {
        let shared = &*self.0;
        shared.run("drop a text field of", || {
            shared.alter(|schema| {
                schema.remove_text(path)?;
                let texts = schema.texts.clone();
                Ok(move |state: &mut State| state.fields = state.fields.with_texts(&texts))
            })
        })
    }
}

impl Shared {
    /// Changes the schema in the store, and then the state as `change` says.
    fn alter<P: FnOnce(&mut State)>(
        &self,
        change: impl FnOnce(&mut Schema) -> Result<P>,
    ) -> Result<()> {
        // Writes wait: a batch is committed wholly before or wholly after the change.
        let mut commit = self.commit.lock();
        self.check_usable()?;
        let mut schema = commit.schema.clone();
        let publish = change(&mut schema)?;
        let row = self.resources.store.view().collection(self.key)?;
        let missing = || Error::new(ErrorKind::Corruption, "store has no row of the collection");
        let mut row = row.ok_or_else(missing)?;
        row.config = schema.to_json()?;
        let mut batch = Batch::new();
        batch.put_collection(self.key, &row);
        self.resources.store.commit(batch)?;
        commit.schema = schema;
        publish(&mut self.state.write());
        Ok(())
    }
}
