//! A small picture of a point, for whoever looks at results.
//!
//! Payloads are written by callers, so a path in one is a wish: only pictures in the folder that the server's operator
//! named are shown, whatever links and `..` say, and only as pixels that were decoded and encoded again.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bigrain_encoders::{DecodeOptions, Transparency, decode_image_file};
use serde::Deserialize;
use serde_json::Value;
use tonic::Status;

use super::asked;
use crate::dialect::Dialect;
use crate::grpc::{Context, PointsService};
use crate::proto::points_server::Points as _;
use crate::proto::{GetRequest, PointId, point_id};
use crate::request_scope::Arrival;

/// The longer side, in pixels.
const SIDE: usize = 320;
/// What stands behind pixels that one can see through.
const PAPER: [u8; 3] = [255; 3];

#[derive(Deserialize)]
pub(super) struct Asked {
    /// The payload field with the path.
    #[serde(default = "file")]
    field: String,
}

fn file() -> String {
    "file".to_owned()
}

type Names = Result<Path<(String, String)>, PathRejection>;

pub(super) async fn show(
    State(context): State<Arc<Context>>,
    Extension(arrival): Extension<Arrival>,
    names: Names,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    match picture(context, arrival, names, asked).await {
        Ok(jpeg) => {
            let headers = [
                (header::CONTENT_TYPE, "image/jpeg"),
                (header::CACHE_CONTROL, "private, max-age=300"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, jpeg).into_response()
        }
        Err(status) => Dialect::Api.refusal(&status),
    }
}

async fn picture(
    context: Arc<Context>,
    arrival: Arrival,
    names: Names,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Vec<u8>, Status> {
    let Path((collection, id)) =
        names.map_err(|rejection| Status::invalid_argument(rejection.body_text()))?;
    let Query(Asked { field }) =
        query.map_err(|rejection| Status::invalid_argument(rejection.body_text()))?;
    let request = GetRequest { collection, ids: vec![of_path(&id)], ..GetRequest::default() };
    let reply = PointsService(Arc::clone(&context)).get(asked(request, arrival)).await?;
    let folder = context.pictures.clone().ok_or_else(|| {
        Status::failed_precondition("the server shows no pictures: set pictures, a folder")
    })?;
    let point = reply.into_inner().points.pop();
    let point = point.ok_or_else(|| Status::not_found(format!("there is no point {id}")))?;
    let payload: Value = serde_json::from_str(&point.payload_json).unwrap_or_default();
    let path = payload.get(&field).and_then(Value::as_str);
    let path = path.ok_or_else(|| {
        Status::not_found(format!("point {id} has no text in its payload field {field:?}"))
    })?;
    let path = PathBuf::from(path);
    context.runtime.searches.run(move |_| small(&folder, &path)).await
}

/// Reads an id of a path: digits are a number.
fn of_path(text: &str) -> PointId {
    let id = match text.parse() {
        Ok(number) => point_id::Id::Num(number),
        Err(_) => point_id::Id::Text(text.to_owned()),
    };
    PointId { id: Some(id) }
}

/// Makes a small picture of a file in a folder.
fn small(folder: &FilePath, path: &FilePath) -> Result<Vec<u8>, Status> {
    let absent = || Status::not_found("the folder of pictures has no such picture");
    let folder = folder.canonicalize().map_err(|error| {
        tracing::error!(%error, "the folder of pictures cannot be read");
        Status::failed_precondition("the folder of pictures (pictures) cannot be read")
    })?;
    // Links are followed before it is asked where that is.
    let file = folder.join(path).canonicalize().map_err(|_| absent())?;
    if !file.starts_with(&folder) {
        return Err(absent());
    }
    let options =
        DecodeOptions { transparency: Transparency::Over(PAPER), ..DecodeOptions::default() };
    // What is wrong with a file would tell of files that are no pictures.
    let image = decode_image_file(&file, &options).map_err(|_| absent())?;
    image.thumbnail(SIDE).to_jpeg().ok_or_else(absent)
}

#[cfg(test)]
mod tests {
    use bigrain_encoders::RgbImage;
    use tonic::Code;

    use super::*;

    #[test]
    fn only_pictures_in_the_folder_are_shown() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("pictures");
        std::fs::create_dir(&folder).unwrap();
        let jpeg = RgbImage::new(400, 100, vec![9; 400 * 100 * 3]).unwrap().to_jpeg().unwrap();
        for file in ["pictures/a.jpg", "b.jpg"] {
            std::fs::write(outside.path().join(file), &jpeg).unwrap();
        }
        std::fs::write(folder.join("notes.txt"), "not a picture").unwrap();
        std::os::unix::fs::symlink(outside.path().join("b.jpg"), folder.join("link.jpg")).unwrap();

        let small = |path: &str| small(&folder, FilePath::new(path));
        assert!(small("a.jpg").unwrap().starts_with(&[0xff, 0xd8]));
        assert!(small(&folder.join("a.jpg").to_string_lossy()).is_ok());
        let outside = outside.path().join("b.jpg");
        for path in ["../b.jpg", "link.jpg", &outside.to_string_lossy(), "notes.txt", "absent"] {
            assert_eq!(small(path).unwrap_err().code(), Code::NotFound, "{path}");
        }
    }
}
