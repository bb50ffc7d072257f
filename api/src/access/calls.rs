//! What each call needs.

use std::collections::HashMap;

use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::method_options::IdempotencyLevel;
use tonic::codegen::http::Method;

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// No key: whether the server is there.
    Open,
    /// A key.
    Read,
    /// A key that writes.
    Write,
    /// A key that writes, for all collections: what concerns the server as a whole.
    Operate,
}

/// Calls that concern the server as a whole.
const OPERATING: &str = "bigrain.v1.Maintenance";

/// What each call needs, by method and path. What is not listed is a write.
#[derive(Debug, Default)]
pub(crate) struct Calls(HashMap<Method, matchit::Router<Call>>);

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Its path, with names of parameters instead of their values.
    pub path: String,
    pub need: Need,
}

impl Calls {
    /// Adds every call of the services in an encoded descriptor set. One that `option idempotency_level`
    /// says has no side effects is a read.
    ///
    /// # Errors
    ///
    /// A text for a set that does not decode, or that has a path twice: a broken build.
    pub(crate) fn with_services(mut self, descriptors: &[u8]) -> Result<Self, String> {
        for (path, need) in services(descriptors)? {
            self = self.with(&Method::POST, &path, need)?;
        }
        Ok(self)
    }

    /// Adds a call; `path` may have parameters in braces, as in axum.
    ///
    /// # Errors
    ///
    /// A text for a path that is there already: a broken build.
    pub(crate) fn with(mut self, method: &Method, path: &str, need: Need) -> Result<Self, String> {
        let call = Call { path: path.to_owned(), need };
        let router = self.0.entry(method.clone()).or_default();
        router.insert(path, call).map_err(|error| format!("{method} {path}: {error}"))?;
        Ok(self)
    }

    /// Returns a listed call; HEAD asks for what GET does, and drops the body.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<&Call> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.0.get(method)?.at(path).ok().map(|found| found.value)
    }
}

/// Returns the path of each call of the services in a descriptor set, and what it needs.
fn services(descriptors: &[u8]) -> Result<Vec<(String, Need)>, String> {
    let set = FileDescriptorSet::decode(descriptors).map_err(|error| error.to_string())?;
    let mut calls = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let service_name = format!("{}.{}", file.package(), service.name());
            for method in &service.method {
                let level = method.options.as_ref().map(|options| options.idempotency_level());
                let need = match level {
                    _ if service_name == OPERATING => Need::Operate,
                    Some(IdempotencyLevel::NoSideEffects) => Need::Read,
                    _ => Need::Write,
                };
                calls.push((format!("/{service_name}/{}", method.name()), need));
            }
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_by_method_and_path() {
        let calls = Calls::default().with_services(crate::proto::DESCRIPTORS).unwrap();
        let need = |path| calls.find(&Method::POST, path).map(|call| call.need);
        assert_eq!(need("/bigrain.v1.Search/Search"), Some(Need::Read));
        assert_eq!(need("/bigrain.v1.Points/Upsert"), Some(Need::Write));
        assert_eq!(need("/bigrain.v1.Maintenance/ListBackups"), Some(Need::Operate));
        assert_eq!(need("/bigrain.v1.Points/Invented"), None);
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            assert_eq!(calls.find(&method, "/bigrain.v1.Search/Search"), None, "{method}");
        }
    }

    #[test]
    fn reads_are_those_and_no_others() {
        let reads = services(crate::proto::DESCRIPTORS).unwrap().into_iter();
        let reads = reads.filter(|(_, need)| *need == Need::Read);
        let mut reads: Vec<String> =
            reads.map(|(path, _)| path.replace("/bigrain.v1.", "")).collect();
        reads.sort();
        let expected = [
            "Collections/Get",
            "Collections/List",
            "Encoder/Encode",
            "Encoder/ListModels",
            "Points/Count",
            "Points/Facet",
            "Points/Get",
            "Points/Scroll",
            "Search/Recommend",
            "Search/Search",
            "Search/SearchBatch",
            "Search/SearchGroups",
            "Search/SearchHybrid",
            "Search/SearchImage",
            "Search/SearchText",
            "Search/SearchWords",
        ];
        assert_eq!(reads, expected);
    }
}
