//! Many questions of a file: JSON lines in, JSON lines out.
//!
//! ```text
//! {"id": "q1", "text": "how do I wait for a child process"}
//! {"sparse": {"indices": [7, 1996], "values": [0.5, 1.2]}}
//! {"multi": [[0.1, ..], [0.3, ..]]}
//! {"vector": [0.1, ..], "former_vector": [0.2, ..]}
//! {"vector": [0.1, ..], "filter": {"field": "crate", "eq": "tokio"}, "limit": 3}
//! ```
//!
//! `_id` and `query` are other names of `id` and `text`, so that the queries of a test collection in
//! BEIR layout are a batch. A line that cannot be answered is answered with its error, and the others
//! go on.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, anyhow, ensure};
use bigrain_engine::filter::Condition;
use bigrain_engine::{
    Collection, Filter, GroupBy, MultiVector, SearchParams, SparseQuery, SparseVector,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::args::SearchArgs;
use super::question::{Asked, Asker, Found, Question};
use crate::cmd::answer_flags::groups_json;
use crate::cmd::hybrid_flags::Way;
use crate::hits;
use crate::human;
use crate::session::Session;

/// Questions that are encoded and searched together.
const CHUNK: usize = 256;

/// A line of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, alias = "_id")]
    id: Value,
    #[serde(default, alias = "query")]
    text: Option<String>,
    #[serde(default)]
    vector: Option<Vec<f32>>,
    /// By the encoder before, while points go over from one to another.
    #[serde(default)]
    former_vector: Option<Vec<f32>>,
    #[serde(default)]
    sparse: Option<SparseVector>,
    #[serde(default)]
    multi: Option<MultiVector>,
    #[serde(default)]
    filter: Option<Value>,
    #[serde(default)]
    limit: Option<usize>,
    /// Test collections have it; it says nothing to a search.
    #[serde(default, rename = "metadata")]
    _metadata: Value,
}

/// A line that was read, or why it could not be.
struct Item {
    number: u64,
    id: Value,
    text: Option<String>,
    question: anyhow::Result<(Question, SearchParams)>,
}

/// Answers every line of a file, or of standard input where it is called `-`.
pub(super) fn run(
    path: &Path,
    args: &SearchArgs,
    way: &Way,
    collection: &Collection,
    session: &mut Session<'_>,
) -> anyhow::Result<()> {
    let (params, by) = (args.params()?, args.answer.group_by()?);
    let mut lines = open(path)?.lines().zip(1..);
    let mut asker = Asker::new(args, way, collection, session);
    let (started, mut asked, mut failed) = (Instant::now(), 0, 0);
    loop {
        session.cancel.check()?;
        let mut items = Vec::with_capacity(CHUNK);
        for (line, number) in lines.by_ref() {
            let line = line.with_context(|| format!("read {}", path.display()))?;
            if line.trim().is_empty() {
                continue;
            }
            items.push(Item::read(number, &line, args, &params));
            if items.len() == CHUNK {
                break;
            }
        }
        if items.is_empty() {
            break;
        }
        let answers = answer(&mut items, &mut asker, way, collection, by.as_ref())?;
        for (item, answer) in items.iter().zip(answers) {
            asked += 1;
            failed += u64::from(answer.is_err());
            session.write_json(&item.to_json(answer))?;
        }
    }
    let (elapsed, all) = (started.elapsed(), human::counted(asked, "query", "queries"));
    let rate = human::count(human::rate(asked, elapsed) as u64);
    session.note(&format!("{all} in {}, {rate}/s", human::duration(elapsed)));
    ensure!(failed == 0, "{failed} of {all} failed: their lines say why");
    Ok(())
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Encodes what needs it and searches for all of it, in the order of the items.
fn answer(
    items: &mut [Item],
    asker: &mut Asker<'_>,
    way: &Way,
    collection: &Collection,
    by: Option<&GroupBy>,
) -> anyhow::Result<Vec<anyhow::Result<Found>>> {
    let questions = items.iter_mut().filter_map(|item| item.question.as_mut().ok());
    asker.encode(questions.map(|(question, _)| question))?;
    let prepared: Vec<anyhow::Result<(Asked, SearchParams)>> = items
        .iter_mut()
        .map(|item| {
            let taken = std::mem::replace(&mut item.question, Err(anyhow!("asked already")));
            let (question, params) = taken?;
            Ok((asker.query(question)?, params))
        })
        .collect();
    if by.is_some() || *way != Way::Vectors {
        let run = |prepared: anyhow::Result<(Asked, SearchParams)>| {
            let (asked, params) = prepared?;
            Ok(asked.run(collection, &params, by)?)
        };
        return Ok(prepared.into_iter().map(run).collect());
    }
    let vectors = prepared.iter().filter_map(|prepared| match prepared {
        Ok((Asked::Vector(query), params)) => Some((query.clone(), *params)),
        Ok(_) | Err(_) => None,
    });
    let searches: Vec<_> = vectors.collect();
    let mut found = collection.search_batch(&searches).into_iter();
    let run = |prepared: anyhow::Result<(Asked, SearchParams)>| {
        prepared?;
        let found = found.next().context("a search has no answer")?;
        Ok(Found::Points(found?))
    };
    Ok(prepared.into_iter().map(run).collect())
}

impl Item {
    fn read(number: u64, line: &str, args: &SearchArgs, params: &SearchParams) -> Self {
        let line: Line = match serde_json::from_str(line) {
            Ok(line) => line,
            Err(error) => {
                let (id, text, question) = (Value::Null, None, Err(error.into()));
                return Self { number, id, text, question };
            }
        };
        let (id, text) = (line.id.clone(), line.text.clone());
        Self { number, id, text, question: line.question(args, params) }
    }

    fn to_json(&self, answer: anyhow::Result<Found>) -> Value {
        let mut json = json!({ "line": self.number });
        if !self.id.is_null() {
            json["id"] = self.id.clone();
        }
        if let Some(text) = &self.text {
            json["query"] = text.as_str().into();
        }
        match answer {
            Ok(Found::Points(found)) => {
                json["points"] = hits::to_json(&found.points);
                json["stats"] = json!(found.stats);
                json["plan"] = json!(found.plan);
            }
            Ok(Found::Groups(found)) => {
                json["groups"] = groups_json(&found);
                json["stats"] = json!(found.stats);
                json["plan"] = json!(found.plan);
            }
            Err(error) => json["error"] = format!("{error:#}").into(),
        }
        if json["plan"].is_null() {
            json.as_object_mut().map(|json| json.remove("plan"));
        }
        json
    }
}

impl Line {
    fn question(
        self,
        args: &SearchArgs,
        params: &SearchParams,
    ) -> anyhow::Result<(Question, SearchParams)> {
        let Self { text, vector, former_vector: former, sparse, multi, filter, limit, .. } = self;
        let anything = text.is_some() || vector.is_some() || sparse.is_some() || multi.is_some();
        ensure!(anything, "no text and no vector");
        let empty = text.as_ref().is_some_and(|text| text.trim().is_empty());
        ensure!(!empty, "the text is empty");
        let filter = filter.map(|filter| Filter::from_value(&filter)).transpose()?;
        // A line's filter narrows that of the command line.
        let filter = match (args.filter.clone(), filter) {
            (Some(all), Some(one)) => Some(all.must(Condition::Filter(Box::new(one)))),
            (all, one) => one.or(all),
        };
        let params = match limit {
            Some(limit) => params.with_limit(limit)?,
            None => *params,
        };
        let sparse = sparse.map(SparseQuery::new);
        Ok((Question { text, vector, former, multi, space: None, sparse, filter }, params))
    }
}
