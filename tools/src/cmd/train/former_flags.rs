//! What the encoder of an earlier version makes of the same documents, where a version is for another encoder.

use std::path::PathBuf;

use anyhow::bail;
use bigrain_engine::Engine;
use clap::{ArgGroup, Args};

use crate::input::{Role, VectorFile};
use crate::learning::{Documents, Former, Texts, read_pairs};
use crate::matrix::Matrix;
use crate::model::Model;
use crate::session::{Session, open_collection};

/// What the encoder of the parent makes of the same documents, where that is another one.
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("former").requires("parent").requires("pairs"))]
pub struct FormerFlags {
    /// The parent is of another encoder: the same documents, by their ids, as it takes them: vectors, or
    /// texts for --former-model
    #[arg(long, value_name = "FILE", group = "former")]
    former_documents: Option<PathBuf>,
    /// The same, of the stored vectors of this collection
    #[arg(long, value_name = "NAME", group = "former")]
    former_collection: Option<String>,
    /// The field of that collection [default: its first]
    #[arg(long, value_name = "NAME", requires = "former_collection")]
    former_field: Option<String>,
    /// The folder of that encoder's model: it encodes texts of --former-documents and of pairs
    #[arg(long, value_name = "DIR", requires = "former")]
    former_model: Option<PathBuf>,
    /// That encoder's vectors of queries that pairs name by their rows
    #[arg(long, value_name = "FILE", requires = "former")]
    former_queries: Option<PathBuf>,
}

impl FormerFlags {
    /// Returns the collection that is read, if one is.
    pub fn collection(&self) -> Option<&String> {
        self.former_collection.as_ref()
    }

    /// Reads the documents of the parent's encoder, in the order of `later`, and its queries if there is what makes
    /// them; nothing where the parent is of the same encoder.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or a document is missing.
    pub fn read(
        &self,
        engine: Option<&Engine>,
        later: &Documents,
        pairs: &[&PathBuf],
        session: &Session<'_>,
    ) -> anyhow::Result<Option<Former>> {
        let (cancel, on) = (&session.cancel, session.encode_on());
        let open = || match &self.former_model {
            Some(folder) => Model::open(folder, &on),
            None => bail!("texts of the former encoder take its model: pass --former-model DIR"),
        };
        let texts = Texts::new(open, cancel);
        let documents = match (&self.former_documents, engine, &self.former_collection) {
            (Some(path), ..) => Documents::of_file(path, &texts, cancel)?,
            (None, Some(engine), Some(name)) => {
                let collection = open_collection(engine, Some(name))?;
                Documents::of_collection(&collection, self.former_field.as_deref(), cancel)?
            }
            (None, ..) => return Ok(None),
        };
        let rows = |path: &PathBuf| VectorFile::open(path, Role::Queries)?.to_matrix();
        let rows = self.former_queries.as_ref().map(rows).transpose()?;
        if rows.is_none() && self.former_model.is_none() {
            return Ok(Some(Former::new(&documents, later, None)?));
        }
        let mut queries = Matrix::empty(documents.vectors.dims());
        for path in pairs {
            let lines = read_pairs(path, &documents, rows.as_ref(), &texts)?;
            lines.queries.rows().for_each(|query| queries.push(query));
        }
        Ok(Some(Former::new(&documents, later, Some(&queries))?))
    }
}
