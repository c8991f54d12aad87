//! `GET /` of either listener: what this is, with links to the routes; and the answer where there is no route.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::settings::PlatformRole;

/// What this is, and where to begin.
#[derive(Serialize, ToSchema)]
#[schema(as = Index)]
struct IndexBody {
    name: &'static str,
    about: &'static str,
    version: &'static str,
    /// The OpenAPI document. The operate listener has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    openapi: Option<&'static str>,
    /// The same as a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    docs: Option<&'static str>,
    links: Vec<IndexLink>,
}

/// A route.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = Link)]
struct IndexLink {
    method: &'static str,
    path: &'static str,
    about: &'static str,
}

const fn link(method: &'static str, path: &'static str, about: &'static str) -> IndexLink {
    IndexLink { method, path, about }
}

/// The routes of every process.
const ALWAYS: [IndexLink; 3] = [
    link("GET", "/health/live", "whether the process runs"),
    link("GET", "/health/ready", "whether it has what it needs"),
    link("GET", "/problems", "what each code of a refusal means"),
];
/// The operate listener of every process.
const METRICS: IndexLink = link("GET", "/metrics", "what it counts, for Prometheus");

/// The API, whichever process answers: several may stand behind one address.
const API: [IndexLink; 9] = [
    link("POST", "/orders", "an order is taken"),
    link("POST", "/stock/{sku}/receive", "units of a SKU came in"),
    link("GET", "/orders", "orders, by customer, SKU, status and day"),
    link("GET", "/orders/{id}", "an order"),
    link("GET", "/orders/{id}/events", "what happened to an order"),
    link("GET", "/stock", "the SKUs that are counted"),
    link("GET", "/sales", "what was ordered, by the hour"),
    link("GET", "/events", "what happened, page by page"),
    link("GET", "/events/stream", "what happens, as it happens"),
];
/// The operate listener of `projections`.
const OPERATE_READS: [IndexLink; 5] = [
    link("GET", "/sagas", "orders that wait or are stuck"),
    link("GET", "/audit", "what people did"),
    link("GET", "/subscriptions", "how far the followers of the log are"),
    link("GET", "/read-models", "what answers are made of"),
    link("GET", "/admin/replays", "rebuilds of read models"),
];
/// The operate listener of `sagas`.
const OF_SAGAS: [IndexLink; 2] = [
    link("GET", "/bulk-actions", "what is done to all that matches"),
    link("GET", "/dead-letters", "messages that could not be handled"),
];
/// The operate listener of `webhooks`.
const WEBHOOKS: IndexLink = link("GET", "/webhooks", "who is told of events");

/// The index of the API. Other paths are answered with a link to it.
pub(crate) fn routes() -> OpenApiRouter {
    let links = API.iter().chain(&ALWAYS).copied().collect();
    answering(IndexBody { openapi: Some("/openapi.json"), docs: Some("/docs"), links, ..IndexBody::default() })
}

/// The index of the operate listener of a process with these roles: what this one answers.
pub(crate) fn operate_routes(roles: &[PlatformRole]) -> OpenApiRouter {
    let reads = if roles.contains(&PlatformRole::Projections) { &OPERATE_READS[..] } else { &[] };
    let webhooks = roles.contains(&PlatformRole::Webhooks).then_some(&WEBHOOKS);
    let of_sagas = if roles.contains(&PlatformRole::Sagas) { &OF_SAGAS[..] } else { &[] };
    let links = reads.iter().chain(of_sagas).chain(webhooks).chain(&ALWAYS).chain([&METRICS]).copied().collect();
    answering(IndexBody { links, ..IndexBody::default() })
}

/// How the OpenAPI document describes either.
pub(crate) fn description() -> OpenApi {
    router().into_openapi()
}

impl Default for IndexBody {
    /// Without a link.
    fn default() -> Self {
        let about = "an event-sourced order platform";
        Self { name: "Ordo", about, version: env!("CARGO_PKG_VERSION"), openapi: None, docs: None, links: Vec::new() }
    }
}

fn answering(index: IndexBody) -> OpenApiRouter {
    router().fallback(nothing_here).with_state(Arc::new(index))
}

fn router() -> OpenApiRouter<Arc<IndexBody>> {
    OpenApiRouter::new().routes(routes!(index_of_routes))
}

/// What this is, and where to begin
#[utoipa::path(
    get,
    path = "/",
    tag = "about",
    operation_id = "getIndex",
    responses((status = 200, description = "The index", body = IndexBody))
)]
async fn index_of_routes(State(index): State<Arc<IndexBody>>) -> Json<Arc<IndexBody>> {
    Json(index)
}

async fn nothing_here() -> Problem {
    Problem::not_found("nothing is at this path: GET / says what there is")
}
