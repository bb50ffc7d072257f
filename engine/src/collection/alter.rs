//! Adding and dropping fields, and keeping a fitted fusion.
//!
//! Each is one synced write of the collection's manifest row and one step of the state; no vector
//! is read or written. Points lack a field that was added until they are written again. What a
//! dropped field left behind carries its id, which is never used again: rows of the head and files of
//! segments are passed over from then on, and go when their rows are moved or rewritten.

use std::collections::BTreeMap;
use std::sync::Arc;

use bigrain_storage::Batch;
use bigrain_types::{SegmentId, TextField};

use super::Collection;
use super::handle::Shared;
use super::state::State;
use crate::field::{
    Field, FieldConfig, MultiField, MultiFieldConfig, Schema, SparseField, SparseFieldConfig,
};
use crate::{Error, ErrorKind, HybridFit, Result};

impl Collection {
    /// Adds a dense vector field behind the others; no point has a vector in it yet. When this returns, the
    /// field is on disk.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `InvalidArgument` for a bad name or a value out of range, or when the
    /// collection has as many fields as it may; `Poisoned` after an earlier write failed.
    pub fn add_field(&self, config: FieldConfig) -> Result<()> {
        let shared = &*self.0;
        shared.run("add a field to", || {
            shared.alter(|schema, _| {
                let field = Arc::new(Field::new(schema.add(config)?)?);
                Ok(move |state: &mut State| state.add_field(field))
            })
        })
    }

    /// Adds a sparse vector field behind the others; no point has a vector in it yet. When this returns,
    /// the field is on disk.
    ///
    /// # Errors
    ///
    /// As [`add_field`](Self::add_field).
    pub fn add_sparse_field(&self, config: SparseFieldConfig) -> Result<()> {
        let shared = &*self.0;
        shared.run("add a field to", || {
            shared.alter(|schema, _| {
                let field = Arc::new(SparseField::new(schema.add_sparse(config)?));
                Ok(move |state: &mut State| state.add_sparse_field(field))
            })
        })
    }

    /// Adds a multi-vector field behind the others; no point has a vector in it yet. When this returns,
    /// the field is on disk.
    ///
    /// # Errors
    ///
    /// As [`add_field`](Self::add_field).
    pub fn add_multi_field(&self, config: MultiFieldConfig) -> Result<()> {
        let shared = &*self.0;
        shared.run("add a field to", || {
            shared.alter(|schema, _| {
                let field = Arc::new(MultiField::new(schema.add_multi(config)?)?);
                Ok(move |state: &mut State| state.add_multi_field(field))
            })
        })
    }

    /// Drops a vector field of any kind, with all vectors in it. When this returns, they are gone from every later
    /// search and read, and no field of the same name brings them back; the room on disk is given
    /// back when segments are rewritten. Points stay, even those that had no other vector.
    ///
    /// # Errors
    ///
    /// `NotFound`; `FailedPrecondition` for the only field; `Poisoned` after an earlier write failed.
    pub fn drop_field(&self, name: &str) -> Result<()> {
        let shared = &*self.0;
        shared.run("drop a field of", || {
            shared.alter(|schema, _| {
                let field = schema.remove(name)?;
                // With it goes a fusion that was fitted for it.
                let take_texts = State::take_texts(schema);
                Ok(move |state: &mut State| {
                    state.drop_field(field);
                    take_texts(state);
                })
            })
        })
    }

    /// Declares payload texts to be searched by words. Points in memory and those written from now
    /// on are indexed at once. Segments are rewritten, in the background or by
    /// [`settle`](Self::settle); until that is done, [`search_text`](Self::search_text) is refused
    /// rather than answered in part.
    ///
    /// # Errors
    ///
    /// `AlreadyExists`; `InvalidArgument` for stop words of a language without a list of them, or when
    /// there are as many text fields as there may be; `Poisoned` after an earlier write failed.
    pub fn add_text_field(&self, field: TextField) -> Result<()> {
        let shared = &*self.0;
        shared.run("add a text field to", || {
            shared.alter(|schema, next_segment| {
                // A segment begun before has a smaller id; one begun after has the words.
                schema.add_text(field, next_segment)?;
                Ok(State::take_texts(schema))
            })?;
            shared.note_change();
            Ok(())
        })
    }

    /// Declares payload texts to be searched by words no longer. Payloads stay.
    ///
    /// # Errors
    ///
    /// `NotFound`; `Poisoned` after an earlier write failed.
    pub fn drop_text_field(&self, name: &str) -> Result<()> {
        let shared = &*self.0;
        shared.run("drop a text field of", || {
            shared.alter(|schema, _| {
                schema.remove_text(name)?;
                Ok(State::take_texts(schema))
            })
        })
    }

    /// Keeps a fitted fusion, which [fitted](crate::HybridQuery::fitted) searches then use, in place
    /// of the one before; `None` forgets it. It goes when one of its fields is dropped.
    ///
    /// # Errors
    ///
    /// `NotFound` for a field that the collection does not have; `InvalidArgument` for a weight or
    /// fusion out of range; `Poisoned` after an earlier write failed.
    pub fn set_hybrid_fit(&self, fit: Option<HybridFit>) -> Result<()> {
        self.0.set_hybrid(None, fit)
    }

    /// Keeps a fitted fusion under a name, beside others, for searches that
    /// [name it](crate::HybridQuery::with_fit); as [`set_hybrid_fit`](Self::set_hybrid_fit).
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a bad name or too many of them, `NotFound` where there is none to forget;
    /// and as [`set_hybrid_fit`](Self::set_hybrid_fit).
    pub fn set_named_hybrid_fit(&self, name: &str, fit: Option<HybridFit>) -> Result<()> {
        self.0.set_hybrid(Some(name), fit)
    }

    /// Returns the fusion that was fitted, if one was.
    #[must_use]
    pub fn hybrid_fit(&self) -> Option<HybridFit> {
        self.0.fields().hybrid(None).cloned()
    }

    /// Returns the fusions that were fitted under names.
    #[must_use]
    pub fn named_hybrid_fits(&self) -> BTreeMap<String, HybridFit> {
        self.0.fields().named_fits().clone()
    }
}

impl Shared {
    fn set_hybrid(&self, name: Option<&str>, fit: Option<HybridFit>) -> Result<()> {
        self.run("keep the fusion of", || {
            self.alter(|schema, _| {
                schema.set_hybrid(name, fit)?;
                Ok(State::take_texts(schema))
            })
        })
    }

    /// Changes the schema in the store, and then the state as `change` says, which is told the id of
    /// the next segment.
    pub fn alter<P: FnOnce(&mut State)>(
        &self,
        change: impl FnOnce(&mut Schema, SegmentId) -> Result<P>,
    ) -> Result<()> {
        // Writes wait: a batch is committed wholly before or wholly after the change.
        let mut commit = self.commit.lock();
        self.check_usable()?;
        let mut schema = commit.schema.clone();
        let publish = change(&mut schema, commit.counts.next_segment)?;
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
