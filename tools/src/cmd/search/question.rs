//! One question, and the query it becomes.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use bigrain_encoders::{EncodeOptions, TextKind};
use bigrain_engine::{
    Cancel, Collection, EmbeddingSpaceId, Filter, GroupBy, GroupOutput, HybridQuery, Query,
    SearchOutput, SearchParams, TextQuery,
};

use super::SearchArgs;
use crate::cmd::hybrid_flags::Way;
use crate::model::Model;
use crate::session::Session;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    pub text: Option<String>,
    /// In place of that of the text.
    pub vector: Option<Vec<f32>>,
    /// Which space the vector is of, where that is known.
    pub space: Option<EmbeddingSpaceId>,
    pub filter: Option<Filter>,
}

/// A question that is ready to be asked.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Vector(Query),
    Words(TextQuery),
    Both(HybridQuery),
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    Points(SearchOutput),
    Groups(GroupOutput),
}

/// Turns questions about a collection into queries.
pub(super) struct Asker<'a> {
    args: &'a SearchArgs,
    way: &'a Way,
    collection: &'a Collection,
    threads: usize,
    cancel: Cancel,
    /// Opened when the first text is to be encoded.
    model: Option<Model>,
}

impl<'a> Asker<'a> {
    pub fn new(
        args: &'a SearchArgs,
        way: &'a Way,
        collection: &'a Collection,
        session: &Session<'_>,
    ) -> Self {
        let (threads, cancel) = (session.threads, session.cancel.clone());
        Self { args, way, collection, threads, cancel, model: None }
    }

    /// Encodes the texts of those questions that need a vector and have none, all together, and
    /// returns how long that took.
    pub fn encode<'q>(
        &mut self,
        questions: impl Iterator<Item = &'q mut Question>,
    ) -> anyhow::Result<Duration> {
        if !self.way.needs_vector() {
            return Ok(Duration::ZERO);
        }
        let mut waiting: Vec<&mut Question> =
            questions.filter(|question| question.vector.is_none()).collect();
        let texts: Vec<String> =
            waiting.iter().filter_map(|question| question.text.clone()).collect();
        if texts.is_empty() {
            return Ok(Duration::ZERO);
        }
        let started = Instant::now();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let options = EncodeOptions { kind: TextKind::Query, cancel: self.cancel.clone() };
        let encoder = self.model()?.encoder();
        let (encoded, space) = (encoder.encode(&texts, &options), encoder.space());
        let what = if texts.len() == 1 { "encode the query" } else { "encode the queries" };
        let encoded = encoded.context(what)?;
        let with_text = waiting.iter_mut().filter(|question| question.text.is_some());
        for (question, vector) in with_text.zip(encoded.iter()) {
            question.vector = Some(vector.to_vec());
            question.space = Some(space);
        }
        Ok(started.elapsed())
    }

    /// Makes a query of a question whose text is encoded.
    pub fn query(&self, question: Question) -> anyhow::Result<Asked> {
        let Question { text, vector, space, filter } = question;
        let words = |text: Option<String>| {
            let text = text.ok_or_else(|| anyhow!("no text: words are searched"))?;
            ensure!(!text.trim().is_empty(), "the text is empty");
            let query = self.args.hybrid.text_query(&text);
            let query = query.with_cancel(self.cancel.clone());
            Ok(match filter.clone() {
                Some(filter) => query.with_filter(filter),
                None => query,
            })
        };
        if !self.way.needs_vector() {
            return Ok(Asked::Words(words(text)?));
        }
        let vector = vector.ok_or_else(|| anyhow!("no text and no vector"))?;
        let vector = self.vector_query(vector, space, filter.clone());
        if *self.way == Way::Vectors {
            return Ok(Asked::Vector(vector));
        }
        let both = self.way.hybrid_query(vector, words(text)?);
        both.map(Asked::Both).ok_or_else(|| anyhow!("nothing is fused"))
    }

    fn vector_query(
        &self,
        vector: Vec<f32>,
        space: Option<EmbeddingSpaceId>,
        filter: Option<Filter>,
    ) -> Query {
        let mut query = Query::new(vector).with_cancel(self.cancel.clone());
        if let Some(space) = space {
            query = query.in_space(space);
        }
        if let Some(field) = &self.args.field {
            query = query.in_field(field);
        }
        match filter {
            Some(filter) => query.with_filter(filter),
            None => query,
        }
    }

    fn model(&mut self) -> anyhow::Result<&Model> {
        if self.model.is_none() {
            let SearchArgs { field, model, .. } = self.args;
            let (field, folder) = (field.as_deref(), model.as_deref());
            let opened = Model::open_for(self.collection, field, folder, self.threads)?;
            self.model = Some(opened);
        }
        self.model.as_ref().context("the model is gone")
    }
}

impl Asked {
    /// Searches; in groups, where that is wanted.
    pub fn run(
        &self,
        collection: &Collection,
        params: &SearchParams,
        by: Option<&GroupBy>,
    ) -> bigrain_engine::Result<Found> {
        let Some(by) = by else {
            return Ok(Found::Points(match self {
                Self::Vector(query) => collection.search(query, params)?,
                Self::Words(query) => collection.search_text(query, params)?,
                Self::Both(query) => collection.search_hybrid(query, params)?,
            }));
        };
        Ok(Found::Groups(match self {
            Self::Vector(query) => collection.search_groups(query, by, params)?,
            Self::Words(query) => collection.search_text_groups(query, by, params)?,
            Self::Both(query) => collection.search_hybrid_groups(query, by, params)?,
        }))
    }
}
