//! The GET routes about stock.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use domain::ids::Sku;
use http::HeaderMap;
use problem::{Problem, QueryParameters};
use read_models::{Index, Query, QueryScope, SortOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::reservations::only_true;
use super::view::{SkuView, StockView};
use super::{ALL, LOW, PROJECTION, key, reservations};
use crate::described;
use crate::keys::shards;
use crate::parameters::ParameterErrors;
use crate::reads::{MinPositionQuery, ReadRouteState, page_problem, parse_sku, store_problem, with_etag};

pub(super) fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new().routes(routes!(stock)).routes(routes!(all)).routes(routes!(reservations::reservations))
}

/// A page of SKUs. If it has a cursor, there may be more.
#[derive(Serialize, ToSchema)]
pub(crate) struct StockPage {
    items: Vec<StockView>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StockParameters {
    /// The most SKUs of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// Only the SKUs that are low: `true`, or left out.
    #[param(schema_with = described::yes, required = false)]
    low: Option<String>,
    /// The cursor of the page before.
    cursor: Option<String>,
    /// Waits until the view has passed this position of the log.
    #[param(minimum = 0)]
    min_position: Option<i64>,
}

/// A SKU's stock
#[utoipa::path(
    get,
    path = "/stock/{sku}",
    tag = "stock",
    operation_id = "getStock",
    params(
        ("sku" = inline(Sku), Path, description = "The SKU", example = "sku-123"),
        MinPositionQuery,
        ("If-Match" = Option<String>, Header, description = "Answered only while the SKU has this `ETag`"),
    ),
    responses(
        (status = 200, description = "The SKU", body = SkuView, headers(("ETag" = String, description = "The SKU's version"))),
        (status = 404, description = "That can be no SKU"),
        (status = 412, description = "It is at another version"),
    )
)]
async fn stock(
    State(reads): State<ReadRouteState>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<MinPositionQuery>, Problem>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let sku = parse_sku(path)?;
    reads.wait_for_position(PROJECTION.name, parameters?.0.min_position, &headers).await?;
    let view = sku_now(&reads, &sku).await?;
    with_etag(&headers, view.version(), view)
}

pub(crate) async fn sku_now(reads: &ReadRouteState, sku: &Sku) -> Result<SkuView, Problem> {
    let found = reads.table(PROJECTION.name).find(&[key(sku.as_str())]).await.map_err(store_problem)?;
    let item = found.first().map(read_models::Item::read).transpose().map_err(Problem::internal)?;
    Ok(SkuView::of(sku, item))
}

/// All tracked SKUs by name, or those that are low
#[utoipa::path(
    get,
    path = "/stock",
    tag = "stock",
    operation_id = "listStock",
    params(StockParameters),
    responses((status = 200, description = "A page of SKUs", body = StockPage))
)]
pub(crate) async fn all(
    State(reads): State<ReadRouteState>,
    parameters: Result<QueryParameters<StockParameters>, Problem>,
    headers: HeaderMap,
) -> Result<Json<StockPage>, Problem> {
    let parameters = parameters?.0;
    let mut errors = ParameterErrors::default();
    let limit = errors.page_limit(parameters.limit);
    let only_low = errors.parse("low", parameters.low, only_true);
    errors.into_result()?;
    let name = if only_low.is_some() { LOW } else { ALL };
    let index = if only_low.is_some() { Index::Gsi2 } else { Index::Gsi1 };
    reads.wait_for_position(PROJECTION.name, parameters.min_position, &headers).await?;
    let query = Query {
        name,
        scope: QueryScope::Index(index, &shards(name)),
        from: None,
        until: None,
        order: SortOrder::Ascending,
        limit,
        cursor: parameters.cursor.as_deref(),
    };
    let page = reads.table(PROJECTION.name).query(&query).await.map_err(page_problem)?;
    let items = page.items.iter().map(|item| item.read().map(StockView::of));
    Ok(Json(StockPage { items: items.collect::<Result<_, _>>().map_err(Problem::internal)?, cursor: page.cursor }))
}
