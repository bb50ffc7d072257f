//! Other names of collections.
//!
//! An alias stands wherever a collection is opened by name. Moving one from a collection to another is one step:
//! whoever opens by it gets the one or the other, and never nothing. Aliases go with their collection.

use std::collections::BTreeMap;

use bigrain_storage::CollectionKey;

use super::{Engine, Slot};
use crate::config::check_collection_name;
use crate::error::Doing;
use crate::{Error, ErrorKind, Result};

/// A change of the other names that collections have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AliasChange {
    /// Gives a collection an alias, whichever collection had it before.
    Set {
        /// The other name.
        alias: String,
        /// The collection.
        collection: String,
    },
    /// Renames an alias.
    Rename {
        /// What it is called.
        from: String,
        /// What it is called from now on.
        to: String,
    },
    /// Takes an alias away.
    Remove {
        /// The other name.
        alias: String,
    },
}

impl Engine {
    /// Returns the aliases, sorted, and the collections they are of.
    #[must_use]
    pub fn aliases(&self) -> Vec<(String, String)> {
        let aliases = self.0.aliases.read();
        aliases.iter().map(|(alias, of)| (alias.clone(), of.clone())).collect()
    }

    /// Changes aliases one after the other, all or none. When this returns, the changes are on disk.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown collection or alias; `AlreadyExists` for an alias that is the name of a
    /// collection; `InvalidArgument` for a bad name.
    pub fn change_aliases(&self, changes: &[AliasChange]) -> Result<()> {
        self.change(changes).doing(|| "change aliases".to_owned())
    }

    fn change(&self, changes: &[AliasChange]) -> Result<()> {
        // Held over the commit, so that no collection goes or comes meanwhile.
        let collections = self.0.collections.read();
        let mut aliases = self.0.aliases.write();
        let mut after = aliases.clone();
        for change in changes {
            match change {
                AliasChange::Set { alias, collection } => {
                    check_alias(alias, &collections)?;
                    if !collections.contains_key(collection) {
                        let reason = format!("no such collection {collection:?}");
                        return Err(Error::new(ErrorKind::NotFound, reason));
                    }
                    after.insert(alias.clone(), collection.clone());
                }
                AliasChange::Rename { from, to } => {
                    check_alias(to, &collections)?;
                    let of = after.remove(from).ok_or_else(|| no_such_alias(from))?;
                    after.insert(to.clone(), of);
                }
                AliasChange::Remove { alias } => {
                    after.remove(alias).ok_or_else(|| no_such_alias(alias))?;
                }
            }
        }
        let gone = aliases.keys().filter(|alias| !after.contains_key(*alias));
        let mut rows: Vec<(String, Option<CollectionKey>)> =
            gone.map(|alias| (alias.clone(), None)).collect();
        for (alias, of) in &after {
            rows.push((alias.clone(), collections.get(of).map(Slot::key)));
        }
        self.0.resources.store.set_aliases(&rows)?;
        *aliases = after;
        Ok(())
    }

    /// Reads the aliases that are stored.
    pub(super) fn open_aliases(&self) -> Result<()> {
        let names: BTreeMap<CollectionKey, String> = {
            let collections = self.0.collections.read();
            collections.iter().map(|(name, slot)| (slot.key(), name.clone())).collect()
        };
        let mut aliases = self.0.aliases.write();
        for (alias, key) in self.0.resources.store.view().aliases()? {
            let of = names.get(&key).ok_or_else(|| {
                let reason = format!("store: alias {alias:?} is of no collection");
                Error::new(ErrorKind::Corruption, reason)
            })?;
            aliases.insert(alias, of.clone());
        }
        Ok(())
    }

    /// Returns the collection that an alias is of.
    pub(super) fn of_alias(&self, alias: &str) -> Option<String> {
        self.0.aliases.read().get(alias).cloned()
    }
}

fn check_alias(alias: &str, collections: &BTreeMap<String, Slot>) -> Result<()> {
    check_collection_name(alias)?;
    if collections.contains_key(alias) {
        let reason = format!("alias {alias:?} is the name of a collection");
        return Err(Error::new(ErrorKind::AlreadyExists, reason));
    }
    Ok(())
}

fn no_such_alias(alias: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no such alias {alias:?}"))
}
