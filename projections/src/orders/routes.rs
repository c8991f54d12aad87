//! `GET /orders/{id}`, `GET /orders`, `GET /customers/{id}/orders`; `collections` has the lists of one order's
//! shipments, returns and so on.

use access_control::AuthorizedCaller;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use domain::ids::CustomerId;
use http::HeaderMap;
use problem::{ClientNetwork, ETagByContent, Precondition, Problem, QueryParameters};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::expansion::{self, OrderExpansion};
use super::list_request::{ListRequest, OrderListParameters};
use super::listed::ListedOrder;
use super::search::{OrdersFound, RunningOrderSearch, SearchedOrders};
use super::time_travel::{OrderAsOf, OrderHistory, PointInTime, TimeTravelError};
use super::view::OrderView;
use super::{PROJECTION, collection};
use crate::described;
use crate::keys::sortable;
use crate::parameters::invalid;
use crate::reads::{
    ReadRouteState, may_see, no_order, parse_order_id, store_problem, unavailable, wanted_position, with_etag,
};

pub(super) fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new()
        .routes(routes!(order))
        .routes(routes!(orders))
        .routes(routes!(super::export::export_orders))
        .routes(routes!(customers_orders))
        .merge(super::collections::routes())
        .merge(super::documents::routes())
}

/// A page of orders, without their shipments, returns and so on. If it has a cursor, there may be more.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrdersPage {
    items: Vec<ListedOrder>,
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OrderQuery {
    /// The order as it was then: a version from 1 on, or an instant (RFC 3339).
    #[param(schema_with = described::version_or_instant)]
    as_of: Option<String>,
    /// What comes with the order: `events`, `saga`, or both with a comma between them. Not with `asOf`.
    #[param(pattern = "^(events|saga)(,(events|saga))*$", example = "saga")]
    expand: Option<String>,
    /// Waits until the view has passed this position of the log.
    #[param(minimum = 0)]
    min_position: Option<i64>,
}

/// An order
///
/// The order with its lines, shipments, returns, refunds, notes and mails; of each of these the latest hundred.
///
/// With `expand` more comes with it, for those who may ask for that alone.
#[utoipa::path(
    get,
    path = "/orders/{order_id}",
    tag = "orders",
    operation_id = "getOrder",
    params(
        ("order_id" = String, Path, description = "The order's id", pattern = "^[A-Za-z0-9._:-]{1,128}$", example = "order-1001"),
        OrderQuery,
        ("If-Match" = Option<String>, Header, description = "Answered only while the order has this `ETag`"),
    ),
    responses(
        (
            status = 200,
            description = "The order",
            body = OrderView,
            headers(("ETag" = String, description = "The order's version"))
        ),
        (status = 404, description = "There is no such order, or it was not there then"),
        (status = 412, description = "It is at another version"),
    )
)]
async fn order(
    State(reads): State<ReadRouteState>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<OrderQuery>, Problem>,
    caller: AuthorizedCaller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (order_id, parameters) = (parse_order_id(path)?, parameters?.0);
    let wanted = parameters.expand.map(|text| expansion::parse(&text, OrderExpansion::known(&reads)));
    let wanted = wanted.transpose().map_err(|error| invalid("expand", error))?.unwrap_or_default();
    expansion::check(&wanted, &caller)?;
    if let Some(as_of) = &parameters.as_of {
        if !wanted.is_empty() {
            return Err(invalid("expand", "can't be given with asOf, which shows the order alone"));
        }
        wanted_position(parameters.min_position, &headers)?;
        return order_then(&reads, order_id.as_str(), as_of, &caller, &headers).await;
    }
    reads.wait_for_position(PROJECTION.name, parameters.min_position, &headers).await?;
    let mut view = order_now(&reads, order_id.as_str(), &caller).await?;
    let version = view.order.version;
    if wanted.is_empty() {
        return with_etag(&headers, version, view);
    }
    Precondition::read(&headers)?.check_match(version)?;
    expansion::expand(&reads, &order_id, &mut view, &wanted).await?;
    Ok((Extension(ETagByContent(version)), Json(view)).into_response())
}

/// The order as it was. It is folded from the log, so there is no read model to wait for.
async fn order_then(
    reads: &ReadRouteState,
    order_id: &str,
    as_of: &str,
    caller: &AuthorizedCaller,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let snapshot = order_as_of(reads, order_id, as_of, caller).await?;
    with_etag(headers, snapshot.version, snapshot.view)
}

/// The order as its read model has it.
pub(crate) async fn order_now(
    reads: &ReadRouteState,
    order_id: &str,
    caller: &AuthorizedCaller,
) -> Result<OrderView, Problem> {
    let items = reads.table(PROJECTION.name).collection(&collection(order_id)).await.map_err(store_problem)?;
    let view = OrderView::of(&items, caller.into()).map_err(Problem::internal)?;
    let view = view.filter(|view| may_see(caller, view.order.customer_id.as_deref()));
    view.ok_or_else(|| no_order(order_id))
}

/// The order as it was at a version or an instant.
pub(crate) async fn order_as_of(
    reads: &ReadRouteState,
    order_id: &str,
    as_of: &str,
    caller: &AuthorizedCaller,
) -> Result<OrderAsOf, Problem> {
    let moment: PointInTime = as_of.parse().map_err(|error| invalid("asOf", error))?;
    let history = OrderHistory::read(reads.store.pool(), order_id).await?;
    // Before it is said which versions there are.
    if !history.placed()?.is_some_and(|placed| may_see(caller, placed.customer_id.as_ref().map(CustomerId::as_str))) {
        return Err(no_order(order_id));
    }
    Ok(history.at_for(moment, caller.into())?)
}

impl From<TimeTravelError> for Problem {
    fn from(error: TimeTravelError) -> Self {
        match error {
            TimeTravelError::NoOrder(_) => Self::not_found(error.to_string()),
            TimeTravelError::NoVersion { last, .. } => Self::not_found(error.to_string()).with("currentVersion", last),
            TimeTravelError::NotYet { created_at, .. } => {
                Self::not_found(error.to_string()).with("createdAt", sortable(created_at))
            }
            TimeTravelError::Database(error) => unavailable(error),
            TimeTravelError::Fold(_) | TimeTravelError::Shown(_) => Self::internal(error),
        }
    }
}

/// Orders
///
/// The newest come first, unless `sort` says otherwise. Filters can be combined. With `expand` each order has its lines, shipments and so on with it. A page can be shorter than `limit`, or empty: as long as there is a `cursor`, there may be more.
#[utoipa::path(
    get,
    path = "/orders",
    tag = "orders",
    operation_id = "listOrders",
    params(OrderListParameters),
    responses((status = 200, description = "A page of orders", body = OrdersPage))
)]
pub(crate) async fn orders(
    State(reads): State<ReadRouteState>,
    parameters: Result<QueryParameters<OrderListParameters>, Problem>,
    caller: AuthorizedCaller,
    peer: Option<Extension<ClientNetwork>>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    page(&reads, parameters?.0, &caller, peer, &headers).await
}

/// A customer's orders
#[utoipa::path(
    get,
    path = "/customers/{customer_id}/orders",
    tag = "orders",
    operation_id = "listCustomerOrders",
    params(
        ("customer_id" = String, Path, description = "The customer's id. What can be none is nobody's: the list is empty", example = "customer-42"),
        OrderListParameters,
    ),
    responses((status = 200, description = "A page of orders", body = OrdersPage))
)]
async fn customers_orders(
    State(reads): State<ReadRouteState>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<OrderListParameters>, Problem>,
    caller: AuthorizedCaller,
    peer: Option<Extension<ClientNetwork>>,
    headers: HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    let mut parameters = parameters?.0;
    if parameters.customer_id.is_some() {
        return Err(invalid("customerId", "is given by the path already"));
    }
    // An invalid id is no customer's: the list is empty.
    let Some(customer_id) = path.ok().and_then(|Path(id)| CustomerId::parse(id).ok()) else {
        return no_orders(parameters, &caller);
    };
    parameters.customer_id = Some(customer_id.into());
    page(&reads, parameters, &caller, peer, &headers).await
}

async fn page(
    reads: &ReadRouteState,
    mut parameters: OrderListParameters,
    caller: &AuthorizedCaller,
    peer: Option<Extension<ClientNetwork>>,
    headers: &HeaderMap,
) -> Result<Json<OrdersPage>, Problem> {
    if let Some(own) = caller.only_customer() {
        // Of another customer it sees what it would see of one that there is not: an empty list.
        if parameters.customer_id.as_deref().is_some_and(|asked| asked != own) {
            return no_orders(parameters, caller);
        }
        parameters.customer_id = Some(own.to_owned());
    }
    let min_position = parameters.min_position;
    let ListRequest { filter, expand, limit, cursor } = parameters.parse(caller)?;
    expansion::check(&expand, caller)?;
    reads.wait_for_position(PROJECTION.name, min_position, headers).await?;
    let searched = SearchedOrders { table: reads.table(PROJECTION.name), pool: reads.store.pool() };
    let search = RunningOrderSearch::new(searched, &filter, caller.into(), &expand, limit);
    let OrdersFound { orders, cursor } =
        reads.search(caller, peer.map(|Extension(peer)| peer), search.page(cursor.as_deref())).await?;
    Ok(Json(OrdersPage { items: orders, cursor }))
}

/// An empty list, for those who would get a list.
fn no_orders(parameters: OrderListParameters, caller: &AuthorizedCaller) -> Result<Json<OrdersPage>, Problem> {
    expansion::check(&parameters.parse(caller)?.expand, caller)?;
    Ok(Json(OrdersPage { items: vec![], cursor: None }))
}
