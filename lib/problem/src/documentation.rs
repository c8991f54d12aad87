//! The pages to which the `type` of a problem leads: what it means and what to do.

use axum::Json;
use axum::extract::Path;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderName, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{Problem, ProblemType, prefers};

/// `GET /problems` and `GET /problems/{code}`: JSON, or HTML for a browser.
pub fn documentation() -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(one))
}

/// A problem type.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemType)]
struct Described {
    r#type: &'static str,
    code: &'static str,
    status: u16,
    title: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

impl From<ProblemType> for Described {
    fn from(kind: ProblemType) -> Self {
        Self {
            r#type: kind.uri(),
            code: kind.code(),
            status: kind.status().as_u16(),
            title: kind.title(),
            meaning: kind.meaning(),
            remedy: kind.remedy(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProblemTypes)]
struct All {
    items: Vec<Described>,
}

/// The problem types
#[utoipa::path(
    get,
    path = "/problems",
    tag = "about",
    operation_id = "listProblemTypes",
    responses((status = 200, description = "All of them", content((All = "application/json"), (String = "text/html"))))
)]
async fn all(headers: HeaderMap) -> Response {
    let all = ProblemType::ALL.iter().copied().map(Described::from);
    if !wants_html(&headers) {
        return shown(Json(All { items: all.collect() }));
    }
    let row = |kind: Described| {
        let Described { r#type, code, status, title, .. } = kind;
        format!("<tr><td>{status}<td><a href=\"{type}\"><code>{code}</code></a><td>{title}\n")
    };
    let rows: String = all.map(row).collect();
    shown(page("Problem types", &format!("<table>\n<tr><th>status<th>code<th>title\n{rows}</table>\n")))
}

/// A problem type
///
/// The `type` of a problem leads here.
#[utoipa::path(
    get,
    path = "/problems/{code}",
    tag = "about",
    operation_id = "getProblemType",
    params(("code" = String, Path, description = "The problem's `code`", example = "not-found")),
    responses(
        (
            status = 200,
            description = "What it means, and what to do",
            content((Described = "application/json"), (String = "text/html"))
        ),
        (status = 404, description = "No problem has this code"),
    )
)]
async fn one(headers: HeaderMap, Path(code): Path<String>) -> Result<Response, Problem> {
    let unknown = || Problem::not_found("no problem has this code: GET /problems has all of them");
    let kind = Described::from(ProblemType::by_code(&code).ok_or_else(unknown)?);
    if !wants_html(&headers) {
        return Ok(shown(Json(kind)));
    }
    let Described { code, status, title, .. } = kind;
    let (meaning, remedy) = (with_code_elements(kind.meaning), with_code_elements(kind.remedy));
    let body = format!(
        "<p>Status {status}, code <code>{code}</code>\n<h2>What it means</h2>\n<p>{meaning}\n<h2>What to do</h2>\n<p>{remedy}\n\
         <p><a href=\"/problems\">All problem types</a>\n"
    );
    Ok(shown(page(title, &body)))
}

/// Browsers ask for `text/html` by name; programs do not.
fn wants_html(headers: &HeaderMap) -> bool {
    prefers(headers, "text/html", "application/json")
}

/// The texts of the registry have no characters that HTML takes for its own; a test of the registry holds that.
fn page(title: &str, body: &str) -> Html<String> {
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n{body}</html>\n"
    ))
}

/// Text between backticks becomes a `code` element.
fn with_code_elements(text: &str) -> String {
    let part = |(nth, part): (usize, &str)| if nth % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() };
    text.split('`').enumerate().map(part).collect()
}

fn shown(answer: impl IntoResponse) -> Response {
    const NO_SNIFFING: HeaderName = HeaderName::from_static("x-content-type-options");
    let headers = [(header::VARY, "Accept"), (header::CACHE_CONTROL, "public, max-age=3600"), (NO_SNIFFING, "nosniff")];
    (headers, answer).into_response()
}
