//! The one place where keys are checked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tonic::codegen::http::uri::Authority;
use tonic::codegen::http::{self, HeaderMap, HeaderValue, header};
use tonic::{Code, Status};

use super::{Caller, Calls, Key, KeyAccess, Keys, Need};
use crate::dialect::{Dialect, is_grpc};
use crate::metrics::Metrics;
use crate::status::malformed;
use crate::traces::RequestTrace;

/// Why a name of this machine that others gave it is refused.
const ANOTHER_NAME: &str = "a server without keys, for this machine only, answers to localhost and to addresses, not to other names";

/// What metrics call a call that is not listed.
const UNLISTED: &str = "unlisted";
/// Why a page is refused.
const ANOTHER_SITE: &str =
    "a page of another site asks: a server without keys answers to its own pages, and to programs";

/// Which keys there are, and what calls need.
#[derive(Debug)]
pub(crate) struct Policy {
    pub keys: Keys,
    /// Whether only this machine reaches the ports.
    pub is_local: bool,
    pub calls: Calls,
    pub metrics: Arc<Metrics>,
}

/// Lets requests into a router on behalf of whoever their key says, or refuses them.
pub(crate) fn guard(router: Router, policy: &Arc<Policy>) -> Router {
    router.layer(from_fn_with_state(Arc::clone(policy), admit))
}

async fn admit(State(policy): State<Arc<Policy>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let call = policy.calls.find(request.method(), request.uri().path());
    let need = call.map_or(Need::Write, |call| call.need);
    let name = call.map_or(UNLISTED, |call| &call.path);
    if let Some(trace) = RequestTrace::current() {
        trace.named(name);
    }
    let mut response = match policy.caller(need, &request) {
        Ok(caller) => caller.scope(next.run(request)).await,
        Err(status) => Dialect::of(&request).refusal(&status),
    };
    blame_malformed(response.headers_mut());
    policy.metrics.answered(name, code(&response), started.elapsed());
    response
}

/// Says of a request that does not decode that it is the caller's fault.
fn blame_malformed(headers: &mut HeaderMap) {
    let Some(refused) = Status::from_header_map(headers).as_ref().and_then(malformed) else {
        return;
    };
    if let Err(error) = refused.add_header(headers) {
        tracing::error!(%error, "could not say that a request does not decode");
    }
}

/// Returns the code of an answer: gRPC's, which is `Ok` for what begins well, or else HTTP's.
pub(crate) fn code<B>(response: &http::Response<B>) -> String {
    let headers = response.headers();
    if let Some(code) = headers.get("grpc-status") {
        format!("{:?}", Code::from_bytes(code.as_bytes()))
    } else if is_grpc(headers) {
        format!("{:?}", Code::Ok)
    } else {
        response.status().as_u16().to_string()
    }
}

impl Policy {
    fn caller<B>(&self, need: Need, request: &http::Request<B>) -> Result<Caller, Status> {
        if need == Need::Open {
            return Ok(Caller::ANYBODY);
        }
        if self.keys.is_empty() {
            let reason = if of_another_site(request) {
                ANOTHER_SITE
            } else if self.is_local && by_another_name(request) {
                ANOTHER_NAME
            } else {
                return Ok(Caller::ANYBODY);
            };
            return Err(Status::permission_denied(reason));
        }
        let shown = shown(request.headers()).ok_or_else(|| {
            let expected = "no key: expected authorization: Bearer KEY, or api-key: KEY";
            Status::unauthenticated(expected)
        })?;
        let key = self.keys.find(shown).ok_or_else(|| Status::unauthenticated("unknown key"))?;
        let caller = Caller::with_key(Arc::clone(key));
        caller.spend_request()?;
        check(key, need)?;
        Ok(caller)
    }
}

/// Whether a request is a browser's, for a page that this server did not send. Without keys, any page that somebody
/// on this machine looks at could otherwise write here.
fn of_another_site<B>(request: &http::Request<B>) -> bool {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return false };
    let asked = asked(request);
    let mut origin = origin.as_bytes().splitn(2, |byte| *byte == b'/');
    // What follows `https:/` and the other slash.
    let host = origin.nth(1).and_then(|rest| rest.strip_prefix(b"/"));
    host.is_none() || host != asked
}

/// Whether a request asks for a name that is not this machine's own. A name of the internet can be made to mean this
/// machine; its page would then be one of this server's, as far as a browser can tell.
fn by_another_name<B>(request: &http::Request<B>) -> bool {
    let Some(asked) = asked(request).and_then(|asked| str::from_utf8(asked).ok()) else {
        return false;
    };
    let Ok(authority) = asked.parse::<Authority>() else { return true };
    let name = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
    name != "localhost" && !name.ends_with(".localhost") && name.parse::<IpAddr>().is_err()
}

/// Returns the host and port that a request asks for.
fn asked<B>(request: &http::Request<B>) -> Option<&[u8]> {
    match request.uri().authority() {
        Some(authority) => Some(authority.as_str().as_bytes()),
        None => request.headers().get(header::HOST).map(HeaderValue::as_bytes),
    }
}

/// Returns the secret that a request shows.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("api-key") {
        return Some(key.as_bytes());
    }
    let (scheme, secret) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(secret)
}

fn check(key: &Key, need: Need) -> Result<(), Status> {
    let reason = match (need, key.access, &key.collections) {
        (Need::Open | Need::Read, _, _)
        | (Need::Write, KeyAccess::Write, _)
        | (Need::Operate, KeyAccess::Write, None) => return Ok(()),
        (_, KeyAccess::Read, _) => "only reads",
        (_, KeyAccess::Write, _) => "is for some collections, the call is of the whole server",
    };
    Err(Status::permission_denied(format!("key {:?} {reason}", key.name)))
}
