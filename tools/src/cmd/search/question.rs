//! One question, and the query it becomes.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bigrain_encoders::{EncodeOptions, TextKind};
use bigrain_engine::{
    Cancel, Collection, EmbeddingSpaceId, Filter, GroupBy, GroupOutput, HybridQuery,
    MultiFieldConfig, MultiQuery, MultiVector, Query, SearchOutput, SearchParams, SparseQuery,
    TextQuery, VectorQuery,
};

use super::{SearchArgs, tokens};
use crate::cmd::hybrid_flags::{Queries, Way};
use crate::device::EncodeOn;
use crate::model::Model;
use crate::session::Session;

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    pub text: Option<String>,
    /// In place of that of the text.
    pub vector: Option<Vec<f32>>,
    /// By the encoder before, while points go over from one to another.
    pub former: Option<Vec<f32>>,
    /// In place of those of the text's tokens.
    pub multi: Option<MultiVector>,
    /// Which space either is of, where that is known.
    pub space: Option<EmbeddingSpaceId>,
    pub sparse: Option<SparseQuery>,
    pub filter: Option<Filter>,
}

/// A question that is ready to be asked.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Vector(VectorQuery),
    Words(TextQuery),
    Fused(HybridQuery),
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
    /// The field that is searched, if it is one of multi-vectors.
    multi: Option<MultiFieldConfig>,
    on: EncodeOn,
    cancel: Cancel,
    /// Opened when the first text is to be encoded.
    model: Option<Model>,
    /// That of the encoder before, while points go over from one to another.
    former: Option<Model>,
}

impl<'a> Asker<'a> {
    pub fn new(
        args: &'a SearchArgs,
        way: &'a Way,
        collection: &'a Collection,
        session: &Session<'_>,
    ) -> Self {
        let (on, cancel) = (session.encode_on(), session.cancel.clone());
        let multi = tokens::field_of(&collection.config(), args.field.as_deref());
        Self { args, way, collection, multi, on, cancel, model: None, former: None }
    }

    /// Encodes the texts of those questions that need a vector and have none, all together, and
    /// returns how long that took.
    pub fn encode<'q>(
        &mut self,
        questions: impl Iterator<Item = &'q mut Question>,
    ) -> anyhow::Result<Duration> {
        let is_waiting = |question: &&mut Question| {
            question.vector.is_none()
                && question.multi.is_none()
                && self.way.needs_vector(question.sparse.is_some())
        };
        let mut waiting: Vec<&mut Question> = questions.filter(is_waiting).collect();
        let texts: Vec<String> =
            waiting.iter().filter_map(|question| question.text.clone()).collect();
        if texts.is_empty() {
            return Ok(Duration::ZERO);
        }
        let started = Instant::now();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let options = EncodeOptions {
            kind: TextKind::Query,
            cancel: self.cancel.clone(),
            ..EncodeOptions::default()
        };
        if self.multi.is_some() {
            let model = self.model()?;
            let space = model.encoder().token_shape().map(|shape| shape.space);
            let encoded = tokens::encode(model, &texts, &options)?;
            let with_text = waiting.iter_mut().filter(|question| question.text.is_some());
            for (question, multi) in with_text.zip(encoded) {
                (question.multi, question.space) = (Some(multi), space);
            }
            return Ok(started.elapsed());
        }
        let encoder = self.model()?.encoder();
        let (encoded, space) = (encoder.encode(&texts, &options), encoder.space());
        let what = if texts.len() == 1 { "encode the query" } else { "encode the queries" };
        let encoded = encoded.context(what)?;
        let with_text = waiting.iter_mut().filter(|question| question.text.is_some());
        for (question, vector) in with_text.zip(encoded.iter()) {
            question.vector = Some(vector.to_vec());
            question.space = Some(space);
        }
        self.open_former()?;
        if let Some(former) = &self.former {
            let encoded = former.encoder().encode(&texts, &options).context(what)?;
            let with_text = waiting.iter_mut().filter(|question| question.text.is_some());
            for (question, vector) in with_text.zip(encoded.iter()) {
                question.former = Some(vector.to_vec());
            }
        }
        Ok(started.elapsed())
    }

    /// Makes a query of a question whose text is encoded.
    pub fn query(&self, question: Question) -> anyhow::Result<Asked> {
        let Question { text, vector, former, multi, space, sparse, filter } = question;
        if let Some(multi) = multi {
            if *self.way != Way::Vectors {
                bail!("a multi-vector is searched by itself: without words and other vectors");
            }
            return Ok(Asked::Vector(self.multi_query(multi, space, filter).into()));
        }
        let vector = vector.map(|vector| {
            let query = self.vector_query(vector, space, filter.as_ref());
            former.into_iter().fold(query, Query::with_former_vector)
        });
        let sparse = sparse.map(|query| self.sparse_query(query, filter.as_ref()));
        let words = text.as_deref().map(|text| self.text_query(text, filter.as_ref()));
        match (self.way, vector, sparse, words) {
            (Way::Words, .., Some(words)) => Ok(Asked::Words(words)),
            (Way::Sparse, _, Some(sparse), _) => Ok(Asked::Vector(sparse.into())),
            (Way::Vectors, Some(vector), ..) => Ok(Asked::Vector(vector.into())),
            // A line of a batch may have a sparse vector and nothing else.
            (Way::Vectors, None, Some(sparse), _) => Ok(Asked::Vector(sparse.into())),
            (Way::Words, .., None) => bail!("no text: words are searched"),
            (Way::Sparse | Way::Vectors, ..) => bail!("no text and no vector"),
            (way, vector, sparse, text) => {
                let query = Queries { vector, sparse, text }.fused(way);
                query.map(Asked::Fused).context("a part of the fusion has no text and no vector")
            }
        }
    }

    fn vector_query(
        &self,
        vector: Vec<f32>,
        space: Option<EmbeddingSpaceId>,
        filter: Option<&Filter>,
    ) -> Query {
        let mut query = Query::new(vector).with_cancel(self.cancel.clone());
        if let Some(space) = space {
            query = query.in_space(space);
        }
        if let Some(field) = &self.args.field {
            query = query.in_field(field);
        }
        if let Some(adapter) = &self.args.adapter {
            query = query.with_adapter(adapter.clone());
        }
        match filter {
            Some(filter) => query.with_filter(filter.clone()),
            None => query,
        }
    }

    fn multi_query(
        &self,
        vector: MultiVector,
        space: Option<EmbeddingSpaceId>,
        filter: Option<Filter>,
    ) -> MultiQuery {
        let mut query = MultiQuery::new(vector).with_cancel(self.cancel.clone());
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

    fn sparse_query(&self, query: SparseQuery, filter: Option<&Filter>) -> SparseQuery {
        let query = query.with_cancel(self.cancel.clone());
        match filter {
            Some(filter) => query.with_filter(filter.clone()),
            None => query,
        }
    }

    fn text_query(&self, text: &str, filter: Option<&Filter>) -> TextQuery {
        let query = self.args.hybrid.text_query(text).with_cancel(self.cancel.clone());
        match filter {
            Some(filter) => query.with_filter(filter.clone()),
            None => query,
        }
    }

    fn model(&mut self) -> anyhow::Result<&Model> {
        if self.model.is_none() {
            let SearchArgs { field, model, .. } = self.args;
            let (field, folder) = (field.as_deref(), model.as_deref());
            let opened = match &self.multi {
                Some(multi) => tokens::open_model(self.collection, multi, folder, &self.on)?,
                None => Model::open_for(self.collection, field, folder, &self.on)?,
            };
            self.model = Some(opened);
        }
        self.model.as_ref().context("the model is gone")
    }

    /// Opens the model of the field before, while points go over from one encoder to another, unless the field's
    /// binarizer has learned to do without.
    fn open_former(&mut self) -> anyhow::Result<()> {
        let former = self.collection.former_field(self.args.field.as_deref())?;
        if let Some(former) = former.filter(|former| self.former.is_none() && !former.is_learned) {
            let (folder, field) = (self.args.former_model.as_deref(), Some(&*former.name));
            let model = Model::open_for(self.collection, field, folder, &self.on);
            self.former = Some(model.context("the encoder before (--former-model DIR)")?);
        }
        Ok(())
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
                Self::Vector(query) => collection.search_by_vector(query, params)?,
                Self::Words(query) => collection.search_text(query, params)?,
                Self::Fused(query) => collection.search_hybrid(query, params)?,
            }));
        };
        Ok(Found::Groups(match self {
            Self::Vector(query) => collection.search_groups(query.clone(), by, params)?,
            Self::Words(query) => collection.search_text_groups(query, by, params)?,
            Self::Fused(query) => collection.search_hybrid_groups(query, by, params)?,
        }))
    }
}
