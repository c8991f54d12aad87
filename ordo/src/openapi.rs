//! The OpenAPI document, and the page that shows it.
//!
//! The routes describe themselves ([`utoipa_axum`]). `common` and `answers` add what holds for all of them. The document has the routes of all roles,
//! whichever the process has: a gateway may send a request for it to any. It is served as OpenAPI 3.1 at `/openapi.json`, and as 3.0
//! (`v3_0`), which many generators of clients still ask for. Both are made once, at the start.

mod answers;
mod common;
mod page;
mod v3_0;

use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG};
use problem::{Deprecation, Problem, SelectableFields};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::page::SwaggerUiAssets;
use crate::deprecations::DEPRECATIONS;
use crate::http::PrecompressedBody;
use crate::{health, index, metrics};

/// The routes of the document and its page, and which fields of answers a client can ask for.
pub(crate) fn routes() -> anyhow::Result<(Router, SelectableFields)> {
    let document = document(DEPRECATIONS)?;
    let selectable = SelectableFields::of_document(&document);
    let v3_1 = File::new(serde_json::to_vec(&document)?, JSON)?;
    let v3_0 = File::new(serde_json::to_vec(&v3_0::converted(document))?, JSON)?;
    let documents = Documents { v3_1, v3_0, page: SwaggerUiAssets::load()? };
    Ok((Router::from(router().with_state(Arc::new(documents))), selectable))
}

/// The document of the whole API, from which the routes of `deprecations` will go away.
fn document(deprecations: &[Deprecation]) -> anyhow::Result<Value> {
    let mut document = OpenApi::default();
    for part in [
        command_api::description(),
        projections::description(),
        sagas::description(),
        bulk_actions::description(),
        dead_letters::description(),
        webhooks::description(),
        health::description(),
        metrics::description(),
        problem::documentation().into_openapi(),
        index::description(),
        router().into_openapi(),
    ] {
        document.merge(part);
    }
    let mut document = serde_json::to_value(document)?;
    common::complete(&mut document, deprecations);
    Ok(document)
}

fn router() -> OpenApiRouter<Arc<Documents>> {
    OpenApiRouter::new().routes(routes!(openapi_3_1)).routes(routes!(openapi_3_0)).merge(page::routes())
}

const JSON: &str = "application/json";

struct Documents {
    v3_1: File,
    v3_0: File,
    page: SwaggerUiAssets,
}

/// A file that stays the same while the process runs.
struct File {
    media_type: &'static str,
    etag: HeaderValue,
    gzip: Bytes,
    /// Uncompressed when it is first asked for, of what is stored compressed.
    plain: OnceLock<Bytes>,
}

impl File {
    fn new(plain: impl Into<Bytes>, media_type: &'static str) -> anyhow::Result<Self> {
        let plain = plain.into();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&plain)?;
        Ok(Self { plain: OnceLock::from(plain), ..Self::of_gzip(encoder.finish()?, media_type)? })
    }

    /// A file whose content is stored compressed.
    fn of_gzip(gzip: impl Into<Bytes>, media_type: &'static str) -> anyhow::Result<Self> {
        let gzip = gzip.into();
        let digest: String = Sha256::digest(&gzip).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::try_from(format!("\"{digest}\""))?;
        Ok(Self { media_type, etag, gzip, plain: OnceLock::new() })
    }

    fn plain(&self) -> io::Result<Bytes> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain.clone());
        }
        let mut plain = Vec::new();
        GzDecoder::new(&*self.gzip).read_to_end(&mut plain)?;
        Ok(self.plain.get_or_init(|| plain.into()).clone())
    }

    /// An answer that a client may keep, and asks about before it uses it again. The layers around the routes send the rest of what it
    /// asked for: 304, or the compressed copy.
    fn answer(&self) -> Result<Response, Problem> {
        let plain = self.plain().map_err(Problem::internal)?;
        let kept = [(ETAG, self.etag.clone()), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
        let mut answer = (kept, [(CONTENT_TYPE, self.media_type)], plain).into_response();
        answer.extensions_mut().insert(PrecompressedBody { gzip: self.gzip.clone() });
        Ok(answer)
    }
}

/// This document, as OpenAPI 3.1
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "about",
    operation_id = "getOpenApi",
    responses((status = 200, description = "The document", body = Object, content_type = "application/json"))
)]
async fn openapi_3_1(State(documents): State<Arc<Documents>>) -> Result<Response, Problem> {
    documents.v3_1.answer()
}

/// This document, as OpenAPI 3.0
///
/// For generators that do not read 3.1. Problems have one schema in it, whatever their status.
#[utoipa::path(
    get,
    path = "/openapi-3.0.json",
    tag = "about",
    operation_id = "getOpenApi30",
    responses((status = 200, description = "The document", body = Object, content_type = "application/json"))
)]
async fn openapi_3_0(State(documents): State<Arc<Documents>>) -> Result<Response, Problem> {
    documents.v3_0.answer()
}

#[cfg(test)]
mod tests {
    use problem::Deprecation;

    use super::*;

    #[test]
    fn a_route_that_will_go_away_is_marked_with_the_headers_of_its_answers() {
        let deprecated = Deprecation { path: "/stock", since: 1, sunset: Some(2), link: Some("/docs/stock") };
        let document = document(&[deprecated]).unwrap();
        for (path, is_deprecated) in [("/stock", true), ("/stock/{sku}", true), ("/orders", false)] {
            let operation = &document["paths"][path]["get"];
            assert_eq!(operation.get("deprecated"), is_deprecated.then_some(&Value::Bool(true)), "{path}");
            for (status, answer) in operation["responses"].as_object().unwrap() {
                for name in ["Deprecation", "Sunset", "Link"] {
                    assert_eq!(answer["headers"].get(name).is_some(), is_deprecated, "{path} {status} {name}");
                }
            }
        }
    }

    #[test]
    fn a_file_is_the_same_compressed_or_not() {
        let text = "Wireless Headphones. ".repeat(100);
        let file = File::new(text.clone(), "text/plain").unwrap();
        let stored = File::of_gzip(file.gzip.clone(), "text/plain").unwrap();
        assert_eq!([file.plain().unwrap(), stored.plain().unwrap()], [text.as_bytes(); 2]);
        assert_eq!(file.etag, stored.etag);
        assert!(file.gzip.len() < text.len());
    }
}
