//! The OpenAPI document, and the page that shows it.
//!
//! The routes describe themselves ([`utoipa_axum`]). `common` adds what holds for all of them. The document has the routes of all roles,
//! whichever the process has: a gateway may send a request for it to any. It is served as OpenAPI 3.1 at `/openapi.json`, and as 3.0
//! (`v3_0`), which many generators of clients still ask for. Both are made once, at the start.

mod common;
mod page;
mod v3_0;

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use problem::{Precondition, Problem, gzip_etag};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::page::PageFiles;
use crate::http::{StaticAnswer, takes_gzip};
use crate::{health, index, metrics};

/// The routes of the document and its page.
pub(crate) fn routes() -> anyhow::Result<Router> {
    let document = document()?;
    let v3_1 = File::new(serde_json::to_vec(&document)?, JSON)?.also_compressed()?;
    let v3_0 = File::new(serde_json::to_vec(&v3_0::converted(document))?, JSON)?.also_compressed()?;
    let documents = Documents { v3_1, v3_0, page: PageFiles::load()? };
    Ok(Router::from(router().with_state(Arc::new(documents))))
}

/// The document of the whole API.
fn document() -> anyhow::Result<Value> {
    let mut document = OpenApi::default();
    for part in [
        command_api::description(),
        projections::description(),
        sagas::description(),
        health::description(),
        metrics::description(),
        problem::documentation().into_openapi(),
        index::description(),
        router().into_openapi(),
    ] {
        document.merge(part);
    }
    let mut document = serde_json::to_value(document)?;
    common::complete(&mut document);
    Ok(document)
}

fn router() -> OpenApiRouter<Arc<Documents>> {
    OpenApiRouter::new().routes(routes!(openapi_3_1)).routes(routes!(openapi_3_0)).merge(page::routes())
}

const JSON: &str = "application/json";

struct Documents {
    v3_1: File,
    v3_0: File,
    page: PageFiles,
}

/// A file that stays the same while the process runs.
struct File {
    content: FileContent,
    media_type: &'static str,
    etag: HeaderValue,
}

/// What is sent of a file. Nothing is compressed for each request.
enum FileContent {
    AsItIs(Bytes),
    Compressed(Bytes),
    Both { plain: Bytes, compressed: Bytes, etag: HeaderValue },
}

impl File {
    fn new(content: impl Into<Bytes>, media_type: &'static str) -> anyhow::Result<Self> {
        let content = content.into();
        let digest: String = Sha256::digest(&content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::try_from(format!("\"{digest}\""))?;
        Ok(Self { content: FileContent::AsItIs(content), media_type, etag })
    }

    /// A file whose content is compressed by gzip, for browsers: all of them take it.
    fn compressed(content: &'static [u8], media_type: &'static str) -> anyhow::Result<Self> {
        let file = Self::new(content, media_type)?;
        Ok(Self { content: FileContent::Compressed(Bytes::from_static(content)), ..file })
    }

    /// The same file, which is sent compressed to those who take it so.
    fn also_compressed(self) -> anyhow::Result<Self> {
        let FileContent::AsItIs(plain) = self.content else { return Ok(self) };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&plain)?;
        let compressed = encoder.finish()?.into();
        let etag = gzip_etag(&self.etag).context("the file's ETag is weak")?;
        Ok(Self { content: FileContent::Both { plain, compressed, etag }, ..self })
    }

    /// An answer that a client may keep, and asks about before it uses it again.
    fn answer(&self, headers: &HeaderMap) -> Result<Response, Problem> {
        // What is no ETag is refused here as elsewhere.
        Precondition::read(headers)?;
        let (content, is_compressed, etag) = match &self.content {
            FileContent::AsItIs(content) => (content, false, &self.etag),
            FileContent::Compressed(content) => (content, true, &self.etag),
            FileContent::Both { compressed, etag, .. } if takes_gzip(headers) => (compressed, true, etag),
            FileContent::Both { plain, .. } => (plain, false, &self.etag),
        };
        let kept = [(ETAG, etag.clone()), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|tags| tags.split(',')).map(str::trim);
        if known.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes()) {
            return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
        }
        let mut answer = (kept, [(CONTENT_TYPE, self.media_type)], content.clone()).into_response();
        answer.extensions_mut().insert(StaticAnswer);
        if is_compressed {
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if is_compressed && matches!(self.content, FileContent::Both { .. }) {
            answer.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
        }
        Ok(answer)
    }
}

/// This document, as OpenAPI 3.1
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "about",
    operation_id = "getOpenApi",
    params(("If-None-Match" = Option<String>, Header, description = "An `ETag`: answered with 304 while it is still right")),
    responses(
        (
            status = 200,
            description = "The document",
            body = Object,
            content_type = "application/json",
            headers(
                ("ETag" = String, description = "The document's version"),
                ("Cache-Control" = String, description = "`no-cache`: ask again before it is used again"),
            )
        ),
        (
            status = 304,
            description = "It has not changed",
            headers(("ETag" = String, description = "The document's version"), ("Cache-Control" = String, description = "`no-cache`"))
        ),
    )
)]
async fn openapi_3_1(State(documents): State<Arc<Documents>>, headers: HeaderMap) -> Result<Response, Problem> {
    documents.v3_1.answer(&headers)
}

/// This document, as OpenAPI 3.0
///
/// For generators that do not read 3.1. Problems have one schema in it, whatever their status.
#[utoipa::path(
    get,
    path = "/openapi-3.0.json",
    tag = "about",
    operation_id = "getOpenApi30",
    params(("If-None-Match" = Option<String>, Header, description = "An `ETag`: answered with 304 while it is still right")),
    responses(
        (
            status = 200,
            description = "The document",
            body = Object,
            content_type = "application/json",
            headers(
                ("ETag" = String, description = "The document's version"),
                ("Cache-Control" = String, description = "`no-cache`: ask again before it is used again"),
            )
        ),
        (
            status = 304,
            description = "It has not changed",
            headers(("ETag" = String, description = "The document's version"), ("Cache-Control" = String, description = "`no-cache`"))
        ),
    )
)]
async fn openapi_3_0(State(documents): State<Arc<Documents>>, headers: HeaderMap) -> Result<Response, Problem> {
    documents.v3_0.answer(&headers)
}
