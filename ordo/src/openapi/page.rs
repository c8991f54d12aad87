//! `GET /docs`: the document as a page on which it can be tried out. It is Swagger UI, which is part of the program, so that it works
//! without the network.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_SECURITY_POLICY;
use problem::Problem;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Documents, File};

const PAGE: &str = include_str!("../../assets/docs.html");
const START: &str = include_str!("../../assets/docs.js");
/// Compressed, as they were vendored.
const SCRIPT: &[u8] = include_bytes!("../../assets/swagger-ui/swagger-ui-bundle.js.gz");
const STYLE: &[u8] = include_bytes!("../../assets/swagger-ui/swagger-ui.css.gz");

/// Nothing from elsewhere, and requests to this server alone. Swagger UI writes styles into its elements, and has icons as `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's files.
pub(super) struct SwaggerUiAssets {
    page: File,
    start: File,
    script: File,
    style: File,
}

impl SwaggerUiAssets {
    pub(super) fn load() -> anyhow::Result<Self> {
        Ok(Self {
            page: File::new(PAGE, "text/html; charset=utf-8")?,
            start: File::new(START, "text/javascript; charset=utf-8")?,
            script: File::of_gzip(SCRIPT, "text/javascript; charset=utf-8")?,
            style: File::of_gzip(STYLE, "text/css; charset=utf-8")?,
        })
    }
}

pub(super) fn routes() -> OpenApiRouter<Arc<Documents>> {
    OpenApiRouter::new().routes(routes!(page)).routes(routes!(file))
}

/// This document, as a page
#[utoipa::path(
    get,
    path = "/docs",
    tag = "about",
    operation_id = "getDocs",
    responses((
        status = 200,
        description = "The page",
        body = String,
        content_type = "text/html",
        headers(("ETag" = String, description = "The page's version"))
    ))
)]
async fn page(State(documents): State<Arc<Documents>>) -> Result<Response, Problem> {
    let mut answer = documents.page.page.answer()?;
    answer.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(answer)
}

/// What the page loads
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "about",
    operation_id = "getDocsFile",
    params(("file" = String, Path, description = "The file's name", example = "docs.js")),
    responses(
        (
            status = 200,
            description = "The file",
            content((String = "text/javascript"), (String = "text/css")),
            headers(("ETag" = String, description = "The file's version"))
        ),
        (status = 404, description = "The page has no such file"),
    )
)]
async fn file(
    State(documents): State<Arc<Documents>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let files = &documents.page;
    let file = match path.as_deref().map(String::as_str) {
        Ok("docs.js") => &files.start,
        Ok("swagger-ui-bundle.js") => &files.script,
        Ok("swagger-ui.css") => &files.style,
        Ok(_) | Err(_) => return Err(Problem::not_found("the page has no such file")),
    };
    file.answer()
}
