//! Kinds of codes beside each other, on queries whose right documents are known.
//!
//! What is compared is ranking by codes alone, or by floats. Each kind may have several *seeds*, binarizers
//! of the same settings: figures are means over queries and seeds, and differences are resampled over
//! both, in pairs. A query belongs to the head where its document has other queries, else to the tail.
//!
//! | file | holds |
//! |---|---|
//! | `kind.rs` | what a kind of codes is, as the command line says it |
//! | `figures.rs` | how well a kind ranks, and its difference to another |
//! | `output.rs` | table, JSON, picture |

mod figures;
mod kind;
mod output;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bigrain_engine::Engine;
use clap::Args;
use rayon::ThreadPoolBuilder;

pub use self::figures::Figures;
use self::figures::Ranked;
use self::kind::Kind;
pub use self::output::{ComparedRow, Comparison};
use super::vectors::VectorArgs;
use crate::input::{Role, VectorFile};
use crate::learning::{Documents, Pairs, Texts, read_pairs};
use crate::model::Model;
use crate::session::{Session, open_collection};

/// What is compared.
#[derive(Args, Debug)]
pub struct CompareArgs {
    /// Compare ways to rank documents for queries: floats, rotation:LEVELS, and learned binarizers, as FILE or
    /// NAME=FILE,FILE,... of one kind with several seeds; the first is what others are compared with. Documents
    /// are --vectors or --collection
    #[arg(long, value_name = "KIND", num_args = 2.., requires = "pairs", conflicts_with = "corpus")]
    compare: Vec<Kind>,
    /// The right document of each query, a JSON line each, as `bigrain train binarizer` reads them; --queries has
    /// vectors that they name by row
    #[arg(long, value_name = "FILE", requires = "compare")]
    pairs: Option<PathBuf>,
    /// Ask only what `bigrain train binarizer` holds out of these pairs
    #[arg(long, requires = "compare")]
    held_out: bool,
}

impl CompareArgs {
    pub(super) fn is_asked(&self) -> bool {
        !self.compare.is_empty()
    }
}

/// Runs the comparison.
///
/// # Errors
///
/// When documents, pairs or binarizers cannot be read or do not fit together, or the caller stops it.
pub(super) fn run(
    args: &CompareArgs,
    vectors: &VectorArgs,
    model: Option<&Path>,
    json: bool,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let pairs = read(args, vectors, model, session)?;
    let (queries, right) = match args.held_out {
        true => pairs.held_out(),
        false => (pairs.queries.clone(), pairs.right.clone()),
    };
    if right.is_empty() {
        bail!("there is no query to compare by");
    }
    let seeds = args.compare.iter().map(Kind::seeds).max().unwrap_or(1);
    let threads = ThreadPoolBuilder::new().num_threads(session.threads).build()?;
    let mut ranked = Vec::new();
    for kind in &args.compare {
        session.cancel.check()?;
        let ranks = threads.install(|| kind.ranks(&pairs.documents, &queries, &right, seeds));
        let ranks = ranks.with_context(|| format!("{kind}"))?;
        ranked.push(Ranked::new(kind.name(), kind.bits(&pairs.documents), ranks));
    }
    let comparison = Comparison::new(pairs.documents.len(), &right, &ranked);
    if let Some(path) = vectors.plot() {
        comparison.draw(path)?;
    }
    if json { session.write_json(&comparison) } else { comparison.write(session) }
}

fn read(
    args: &CompareArgs,
    vectors: &VectorArgs,
    model: Option<&Path>,
    session: &Session<'_>,
) -> anyhow::Result<Pairs> {
    let engine: Option<Engine> =
        vectors.collection().map(|_| session.open_existing()).transpose()?;
    let collection = match &engine {
        Some(engine) => Some(open_collection(engine, vectors.collection())?),
        None => None,
    };
    let open = || match &collection {
        Some(collection) => Model::open_for(collection, None, model, &session.encode_on()),
        None => Model::open_or_default(model, &session.encode_on()),
    };
    let texts = Texts::new(open, &session.cancel);
    let documents = match (&collection, vectors.file()) {
        (Some(collection), None) => Documents::of_collection(collection, None, &session.cancel)?,
        (None, Some(path)) => Documents::of_file(path, &texts, &session.cancel)?,
        (Some(_), Some(_)) => bail!("documents are --vectors or --collection, not both"),
        (None, None) => bail!("no documents: --vectors or --collection names them"),
    };
    let rows = |path| VectorFile::open(path, Role::Queries)?.to_matrix();
    let rows = vectors.queries().map(rows).transpose()?;
    let Some(path) = &args.pairs else { bail!("no pairs") };
    let lines = read_pairs(path, &documents, rows.as_ref(), &texts)?;
    Pairs::new(documents.vectors, lines.queries, lines.right)
}
