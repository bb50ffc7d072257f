//! The console: a page, its style and its scripts, as they were when the program was built; and what the calls of HTTP
//! are, as an OpenAPI document.
//!
//! The page is served without a key, since it holds nothing: what it shows, it asks for with the key that its user
//! gives it. It fetches nothing from anywhere else, and its policy lets it not.

use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

/// What the page may do: run its own scripts, ask its own server, show pictures that it was given.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// One file.
macro_rules! file {
    ($function:ident, $path:literal, $kind:literal) => {
        pub(super) async fn $function() -> Response {
            served($kind, include_str!(concat!("../../console/", $path)))
        }
    };
}

file!(style, "style.css", "text/css; charset=utf-8");
file!(main, "main.js", "text/javascript; charset=utf-8");
file!(dom, "dom.js", "text/javascript; charset=utf-8");
file!(server, "server.js", "text/javascript; charset=utf-8");
file!(filter, "filter.js", "text/javascript; charset=utf-8");
file!(charts, "charts.js", "text/javascript; charset=utf-8");
file!(results, "results.js", "text/javascript; charset=utf-8");
file!(search, "search.js", "text/javascript; charset=utf-8");

/// What the calls are.
pub(super) async fn openapi() -> Response {
    served("application/json", include_str!("../../openapi.json"))
}

/// What `GET /` is for a browser; `None` for a program, to which it is a call of the Qdrant protocol.
pub(crate) fn front(headers: &HeaderMap) -> Option<Response> {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let html = accepts.is_some_and(|accepts| accepts.contains("text/html"));
    html.then(|| served("text/html; charset=utf-8", include_str!("../../console/index.html")))
}

fn served(kind: &'static str, text: &'static str) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept"),
    ];
    let mut response = text.into_response();
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
