//! What is learned from: documents, and queries that belong to some of them.

use std::path::PathBuf;

use anyhow::bail;
use bigrain_engine::{Engine, FieldConfig};
use clap::{ArgGroup, Args};

use super::former_flags::FormerFlags;
use crate::input::{Role, VectorFile};
use crate::learning::{Documents, Former, Pairs, Texts, read_pairs};
use crate::model::Model;
use crate::session::{Session, open_collection};

/// What is learned from.
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("source").required(true), group = ArgGroup::new("asked").multiple(true))]
pub struct SourceFlags {
    /// Documents: vectors (.npy, .fvecs, .bvecs, .hdf5), or JSON lines of vectors or texts
    #[arg(long, value_name = "FILE", group = "source")]
    documents: Option<PathBuf>,
    /// Learn for the stored vectors of this collection
    #[arg(long, short, value_name = "NAME", group = "source")]
    collection: Option<String>,
    /// The field of the collection [default: its first]
    #[arg(long, value_name = "NAME", requires = "collection")]
    field: Option<String>,
    /// Pairs, a JSON line each: {"query": "a text", [a vector] or a row of --queries, "id": a document's},
    /// or those of `bigrain bprop sample`, which are learned from, but judge nothing
    #[arg(long, value_name = "FILE", group = "asked")]
    pairs: Option<PathBuf>,
    /// Pairs that judge, all of them, in place of those of --pairs that are held out
    #[arg(long, value_name = "FILE", group = "asked")]
    judge: Option<PathBuf>,
    /// Vectors of queries that pairs name by their rows
    #[arg(long, value_name = "FILE", requires = "asked")]
    queries: Option<PathBuf>,
    /// The folder of the model that encodes texts [default: the collection's, or all-MiniLM-L6-v2]
    #[arg(long, value_name = "DIR", env = "BIGRAIN_MODEL")]
    model: Option<PathBuf>,
}

/// What was read.
pub struct Source {
    pub pairs: Pairs,
    /// The field, where documents are those of a collection.
    pub field: Option<FieldConfig>,
    /// What another encoder makes of the same, where that was asked for.
    pub former: Option<Former>,
}

impl SourceFlags {
    /// Whether there are pairs to learn from.
    pub fn has_pairs(&self) -> bool {
        self.pairs.is_some()
    }

    /// Reads documents and pairs, and encodes what is text.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or they do not fit together.
    pub fn read(&self, session: &Session<'_>) -> anyhow::Result<Source> {
        self.read_beside(None, session)
    }

    /// As [`read`](Self::read), and what another encoder makes of the same.
    ///
    /// # Errors
    ///
    /// When one cannot be read, or they do not fit together.
    pub fn read_beside(
        &self,
        former: Option<&FormerFlags>,
        session: &Session<'_>,
    ) -> anyhow::Result<Source> {
        let stored = self.collection.as_ref();
        let stored = stored.or(former.and_then(FormerFlags::collection));
        let engine: Option<Engine> = stored.map(|_| session.open_existing()).transpose()?;
        let collection = match (&engine, self.collection.as_deref()) {
            (Some(engine), Some(name)) => Some(open_collection(engine, Some(name))?),
            _ => None,
        };
        let (folder, field) = (self.model.as_deref(), self.field.as_deref());
        let open = || match &collection {
            Some(collection) => Model::open_for(collection, field, folder, &session.encode_on()),
            None => Model::open_or_default(folder, &session.encode_on()),
        };
        let texts = Texts::new(open, &session.cancel);
        let documents = match (&collection, &self.documents) {
            (Some(collection), _) => Documents::of_collection(collection, field, &session.cancel)?,
            (None, Some(path)) => Documents::of_file(path, &texts, &session.cancel)?,
            (None, None) => bail!("neither a file of documents nor a collection"),
        };
        let rows = |path: &PathBuf| VectorFile::open(path, Role::Queries)?.to_matrix();
        let rows = self.queries.as_ref().map(rows).transpose()?;
        let read = |path: &PathBuf| read_pairs(path, &documents, rows.as_ref(), &texts);
        let pairs = self.pairs.as_ref().map(read).transpose()?;
        let judges = self.judge.as_ref().map(read).transpose()?;
        let field = match &collection {
            Some(collection) => Some(collection.config().field(field)?.clone()),
            None => None,
        };
        let former = match former {
            Some(flags) => {
                let files: Vec<&PathBuf> =
                    [&self.pairs, &self.judge].into_iter().flatten().collect();
                flags.read(engine.as_ref(), &documents, &files, session)?
            }
            None => None,
        };
        Ok(Source { pairs: Pairs::of_lines(documents.vectors, pairs, judges)?, field, former })
    }
}
