//! Points whose vectors are left to the server: their texts and images become vectors before anything is written.
//!
//! ```text
//!  points ── sources, each with its place ── texts: the queue of their model ──┐
//!                                         └─ images: where they are computed ──┴─ vectors, put in place
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bigrain_encoders::{MAX_TEXT_BYTES, TextKind};
use bigrain_engine::{Cancel, Collection, EmbeddingSpaceId};
use tonic::Status;

use super::Context;
use super::context::FieldModel;
use crate::convert;
use crate::models::Model;
use crate::proto::named_vector::Source as NamedSource;
use crate::proto::point::Source as PointSource;
use crate::proto::{NamedVector, Point, UpdateVectorsRequest, UpsertRequest};
use crate::runtime::Patience;

/// What to do where a field has no model.
const WITHOUT_MODEL: &str = "send its vector";

/// The part of a write that texts and images are encoded in.
pub(super) struct Encodable<'a> {
    collection: &'a str,
    /// The space that is stated for vectors of the first field.
    space: Option<&'a str>,
    points: &'a mut [Point],
}

/// What a vector is made of.
enum Source {
    Text(String),
    Image(Vec<u8>),
}

/// Where a vector is to stand.
struct Place {
    /// The position of its point.
    point: usize,
    /// That among the point's named vectors; none, for the first field.
    vector: Option<usize>,
    field: Option<String>,
    /// The space that is stated for it.
    space: Option<EmbeddingSpaceId>,
}

/// A vector, and where it is to stand.
struct Placed {
    place: Place,
    field: String,
    values: Vec<f32>,
    space: EmbeddingSpaceId,
}

impl<'a> Encodable<'a> {
    pub(super) fn of(request: &'a mut UpsertRequest) -> Self {
        let (collection, space) = (request.collection.as_str(), request.space.as_deref());
        Self { collection, space, points: &mut request.points }
    }

    pub(super) fn of_update(request: &'a mut UpdateVectorsRequest) -> Self {
        let (collection, space) = (request.collection.as_str(), request.space.as_deref());
        Self { collection, space, points: &mut request.points }
    }

    /// Takes the texts and images out of the points.
    fn take(&mut self) -> Result<Vec<(Place, Source)>, Status> {
        let first_space = convert::space(self.space)?;
        let mut sources = Vec::new();
        for (position, point) in self.points.iter_mut().enumerate() {
            let taken = take(position, point, first_space, &mut sources);
            taken.map_err(|status| convert::at("points", position, &status))?;
        }
        Ok(sources)
    }

    fn put(&mut self, vectors: Vec<Placed>) {
        for Placed { place, field, values, space } in vectors {
            let Some(point) = self.points.get_mut(place.point) else { continue };
            let space = Some(space.to_string());
            let vector = NamedVector { field, values, space, ..NamedVector::default() };
            match place.vector.and_then(|at| point.vectors.get_mut(at)) {
                Some(empty) => *empty = vector,
                None => point.vectors.push(vector),
            }
        }
    }
}

fn take(
    position: usize,
    point: &mut Point,
    first_space: Option<EmbeddingSpaceId>,
    sources: &mut Vec<(Place, Source)>,
) -> Result<(), Status> {
    if let Some(source) = point.source.take() {
        let source = match source {
            PointSource::Text(text) => Source::Text(text),
            PointSource::Image(image) => Source::Image(image),
        };
        check(&source, point.vector.is_empty())?;
        let place = Place { point: position, vector: None, field: None, space: first_space };
        sources.push((place, source));
    }
    for (at, vector) in point.vectors.iter_mut().enumerate() {
        let Some(source) = vector.source.take() else { continue };
        let source = match source {
            NamedSource::Text(text) => Source::Text(text),
            NamedSource::Image(image) => Source::Image(image),
        };
        let is_alone =
            vector.values.is_empty() && vector.sparse.is_none() && vector.multi.is_none();
        check(&source, is_alone).map_err(|status| of_field(&vector.field, &status))?;
        let (field, space) = (Some(vector.field.clone()), convert::space(vector.space.as_deref())?);
        sources.push((Place { point: position, vector: Some(at), field, space }, source));
    }
    Ok(())
}

fn of_field(field: &str, status: &Status) -> Status {
    Status::new(status.code(), format!("field {field:?}: {}", status.message()))
}

/// Refuses a source beside a vector, and a text that no model takes.
fn check(source: &Source, is_alone: bool) -> Result<(), Status> {
    let reason = match source {
        Source::Text(_) if !is_alone => "expected a vector or a text: found both".to_owned(),
        Source::Image(_) if !is_alone => "expected a vector or an image: found both".to_owned(),
        Source::Text(text) if text.trim().is_empty() => "text is empty".to_owned(),
        Source::Text(text) if text.len() > MAX_TEXT_BYTES => {
            format!("text has {} bytes, the limit is {MAX_TEXT_BYTES}", text.len())
        }
        Source::Text(_) | Source::Image(_) => return Ok(()),
    };
    Err(Status::invalid_argument(reason))
}

impl Context {
    /// Makes vectors of the texts and images of points, and returns how many texts were cut. Without any, nothing is
    /// done.
    pub(super) async fn encode_points(
        self: &Arc<Self>,
        mut write: Encodable<'_>,
        patience: Patience,
    ) -> Result<u64, Status> {
        self.check_batch("points", write.points.len())?;
        let sources = write.take()?;
        if sources.is_empty() {
            return Ok(0);
        }
        self.check_texts(sources.len())?;
        let (mut texts, mut images) = (Vec::new(), Vec::new());
        for (place, source) in sources {
            match source {
                Source::Text(text) => texts.push((place, text)),
                Source::Image(image) => images.push((place, image)),
            }
        }
        let (collection, mut truncated) = (write.collection.to_owned(), 0);
        if !texts.is_empty() {
            let (context, collection) = (Arc::clone(self), collection.clone());
            let work = move |cancel: &Cancel| context.encode_texts(&collection, texts, cancel);
            let (vectors, cut) = self.runtime.encodes.run_for(patience, work).await?;
            truncated = cut;
            write.put(vectors);
        }
        if !images.is_empty() {
            let context = Arc::clone(self);
            let work = move |cancel: &Cancel| context.encode_images(&collection, images, cancel);
            // They compute where they run, as a search does; a text waits for the queue of its model.
            write.put(self.runtime.searches.run_for(patience, work).await?);
        }
        Ok(truncated)
    }

    fn encode_texts(
        &self,
        collection: &str,
        texts: Vec<(Place, String)>,
        cancel: &Cancel,
    ) -> Result<(Vec<Placed>, u64), Status> {
        let collection = self.collection(collection)?;
        let mut by_field: BTreeMap<Option<String>, Vec<(Place, String)>> = BTreeMap::new();
        for (place, text) in texts {
            by_field.entry(place.field.clone()).or_default().push((place, text));
        }
        let (mut placed, mut truncated) = (Vec::new(), 0);
        for texts in by_field.into_values() {
            let (places, texts): (Vec<Place>, Vec<String>) = texts.into_iter().unzip();
            let Some(first) = places.first() else { continue };
            let FieldModel { field, model } = self.model_at(&collection, first)?;
            places.iter().try_for_each(|place| check_stated(&model, place))?;
            let started = Instant::now();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let encoded = model.encode(&texts, TextKind::Document, cancel)?;
            self.encoded(started.elapsed());
            truncated += encoded.stats().truncated;
            let vectors = encoded.iter().map(<[f32]>::to_vec).zip(places);
            placed.extend(vectors.map(|(values, place)| {
                let (field, space) = (field.clone(), model.space());
                Placed { place, field, values, space }
            }));
        }
        Ok((placed, truncated))
    }

    fn encode_images(
        &self,
        collection: &str,
        images: Vec<(Place, Vec<u8>)>,
        cancel: &Cancel,
    ) -> Result<Vec<Placed>, Status> {
        let collection = self.collection(collection)?;
        let mut placed = Vec::with_capacity(images.len());
        let started = Instant::now();
        for (place, image) in images {
            cancel.check().map_err(|error| Status::cancelled(error.to_string()))?;
            let FieldModel { field, model } = self.model_at(&collection, &place)?;
            check_stated(&model, &place)?;
            let values = model.encode_image(&image, cancel);
            let values = values.map_err(|status| convert::at("points", place.point, &status))?;
            placed.push(Placed { place, field, values, space: model.space() });
        }
        self.encoded(started.elapsed());
        Ok(placed)
    }

    /// Returns the model for a place.
    fn model_at(&self, collection: &Collection, place: &Place) -> Result<FieldModel, Status> {
        let found = self.field_model(collection, place.field.as_deref(), WITHOUT_MODEL);
        found.map_err(|status| convert::at("points", place.point, &status))
    }
}

/// Refuses a place for which another space is stated than the model gives.
fn check_stated(model: &Model, place: &Place) -> Result<(), Status> {
    let Some(space) = place.space.filter(|space| *space != model.space()) else { return Ok(()) };
    let status = Status::failed_precondition(format!(
        "embedding space mismatch: the request states {space}, model {:?} has {}",
        model.name(),
        model.space()
    ));
    Err(convert::at("points", place.point, &status))
}
