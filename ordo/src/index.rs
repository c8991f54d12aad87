//! `GET /` of either listener: what this is, with links to the routes; and the answer where there is no route.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;
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
    /// The OpenAPI document.
    openapi: &'static str,
    /// The same as a page.
    docs: &'static str,
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

const COMMANDS: [IndexLink; 2] =
    [link("POST", "/orders", "an order is taken"), link("POST", "/stock/{sku}/receive", "units of a SKU came in")];
const READS: [IndexLink; 6] = [
    link("GET", "/orders", "orders, by customer, SKU, status and day"),
    link("GET", "/orders/{id}", "an order"),
    link("GET", "/orders/{id}/events", "what happened to an order"),
    link("GET", "/stock", "the SKUs that are counted"),
    link("GET", "/sales", "what was ordered, by the hour"),
    link("GET", "/events/stream", "what happens, as it happens"),
];
const OPERATE_READS: [IndexLink; 2] =
    [link("GET", "/sagas", "orders that wait or are stuck"), link("GET", "/admin/replays", "rebuilds of read models")];

/// The main routes of a role.
fn links(role: PlatformRole) -> &'static [IndexLink] {
    match role {
        PlatformRole::CommandApi => &COMMANDS,
        PlatformRole::Projections => &READS,
        PlatformRole::Sagas | PlatformRole::Notification => &[],
    }
}

/// The index of the API of a process with these roles. Other paths are answered with a link to it.
pub(crate) fn routes(roles: &[PlatformRole]) -> OpenApiRouter {
    index(roles.iter().flat_map(|role| links(*role)).chain(&ALWAYS).copied().collect())
}

/// The index of its operate listener.
pub(crate) fn operate_routes(roles: &[PlatformRole]) -> OpenApiRouter {
    let reads = if roles.contains(&PlatformRole::Projections) { &OPERATE_READS[..] } else { &[] };
    index(reads.iter().chain(&ALWAYS).chain([&METRICS]).copied().collect())
}

fn index(links: Vec<IndexLink>) -> OpenApiRouter {
    let index = IndexBody {
        name: "Ordo",
        about: "an event-sourced order platform",
        version: env!("CARGO_PKG_VERSION"),
        openapi: "/openapi.json",
        docs: "/docs",
        links,
    };
    OpenApiRouter::new().routes(routes!(index_of_routes)).fallback(nothing_here).with_state(Arc::new(index))
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
