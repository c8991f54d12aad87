//! `GET /stock/{sku}/reservations`: who has reserved units of a SKU, and who waits for some. It is folded from the SKU's stream and has no
//! read model: how many units are there for an order changes with every receipt, which is no event of the order.

use access_control::AuthorizedCaller;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use domain::ids::{LocationId, OrderId, Sku};
use domain::quantity::{Quantity, UnitOfMeasure};
use domain::stock::{ServedReservation, Stock};
use event_store::ReadError;
use http::HeaderMap;
use problem::{ClientNetwork, Problem, QueryParameters};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::described;
use crate::parameters::ParameterErrors;
use crate::reads::{ReadRouteState, parse_sku, unavailable};

/// A page of a SKU's reservations. If it has a cursor, there may be more.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReservationPage {
    sku: String,
    /// The unit of measure in which the SKU is counted. It is left out of one that is counted by the piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    unit: Option<UnitOfMeasure>,
    /// The SKU's version, of which these are the reservations; 0: it is not tracked.
    version: i64,
    items: Vec<ReservationView>,
    cursor: Option<String>,
}

/// The units that are reserved for an order at a location.
#[derive(Serialize, ToSchema)]
#[schema(as = StockReservation)]
#[serde(rename_all = "camelCase")]
struct ReservationView {
    order_id: String,
    location: String,
    /// How much is reserved and has not shipped.
    quantity: Quantity,
    /// How much of that is there for the order.
    on_hand: Quantity,
    /// For how much it waits.
    waiting: Quantity,
    /// How much has shipped.
    shipped: Quantity,
    /// Its place among those at the location that had to wait: the least is served first. It is left out if all was on hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    place: Option<u64>,
    /// Until when it is held for an order that is not confirmed.
    expires_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReservationParameters {
    /// Only the orders that wait for units: `true`, or left out.
    #[param(schema_with = described::yes, required = false)]
    waiting: Option<String>,
    /// The most reservations of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The cursor of the page before.
    cursor: Option<String>,
    /// Only checked against the end of the log: the answer is never behind it.
    #[param(minimum = 0)]
    min_position: Option<i64>,
}

/// The place of a reservation among all of the SKU: they are listed by it.
#[derive(Debug)]
struct Cursor(LocationId, u64, OrderId);

/// Who has reserved units of a SKU, in the order in which they are served
///
/// It is read from the log itself, and so is never behind.
#[utoipa::path(
    get,
    path = "/stock/{sku}/reservations",
    tag = "stock",
    operation_id = "listStockReservations",
    params(("sku" = inline(Sku), Path, description = "The SKU", example = "sku-123"), ReservationParameters),
    responses(
        (status = 200, description = "A page of reservations", body = ReservationPage),
        (status = 404, description = "That can be no SKU"),
    )
)]
pub(crate) async fn reservations(
    State(reads): State<ReadRouteState>,
    path: Result<Path<String>, PathRejection>,
    parameters: Result<QueryParameters<ReservationParameters>, Problem>,
    caller: AuthorizedCaller,
    peer: Option<Extension<ClientNetwork>>,
    headers: HeaderMap,
) -> Result<Json<ReservationPage>, Problem> {
    let (sku, parameters) = (parse_sku(path)?, parameters?.0);
    let mut errors = ParameterErrors::default();
    let limit = errors.page_limit(parameters.limit);
    let waiting = errors.parse("waiting", parameters.waiting, only_true);
    let after = errors.parse("cursor", parameters.cursor, |text| Cursor::parse(&text));
    errors.into_result()?;
    reads.position_in_log(parameters.min_position, &headers).await?;
    let peer = peer.map(|Extension(peer)| peer);
    // A stream may be long, and a SKU may have many reservations.
    let page = async { page(&reads, &sku, waiting.is_some(), after, limit.into()).await };
    reads.read_log(&caller, peer, page).await.map(Json)
}

/// A condition that is set or not.
#[expect(clippy::needless_pass_by_value, reason = "the signature of all parameter parsers")]
pub(super) fn only_true(text: String) -> Result<(), &'static str> {
    if text == "true" { Ok(()) } else { Err("must be true, or left out") }
}

async fn page(
    reads: &ReadRouteState,
    sku: &Sku,
    only_waiting: bool,
    after: Option<Cursor>,
    limit: usize,
) -> Result<ReservationPage, Problem> {
    let stream = reads.store.load_from_snapshot::<Stock>(sku.as_str()).await.map_err(|error| match error {
        ReadError::Database(error) => unavailable(error),
        ReadError::Decode(error) => Problem::internal(error),
    })?;
    let (sku, version) = (sku.to_string(), stream.version);
    let Stock::Tracked(tracked) = stream.state else {
        return Ok(ReservationPage { sku, unit: None, version, items: vec![], cursor: None });
    };
    let unit = tracked.unit;
    let is_asked = |it: &ServedReservation<'_>| {
        (!only_waiting || it.on_hand < it.reservation.quantity)
            && after.as_ref().is_none_or(|after| after.is_before(it))
    };
    let from = after.as_ref().map(|Cursor(location, ..)| location);
    let mut found = tracked.reservations(from).filter(is_asked).peekable();
    let (mut items, mut last) = (Vec::new(), None);
    while items.len() < limit
        && let Some(it) = found.next()
    {
        items.push(ReservationView::of(&it, unit));
        last = Some(Cursor::of(&it));
    }
    let cursor = last.filter(|_| found.peek().is_some()).map(|last| last.to_string());
    Ok(ReservationPage { sku, unit, version, items, cursor })
}

impl Cursor {
    fn of(it: &ServedReservation<'_>) -> Self {
        Self(it.location.clone(), it.reservation.place, it.order_id.clone())
    }

    fn is_before(&self, it: &ServedReservation<'_>) -> bool {
        let Self(location, place, order_id) = self;
        (location, *place, order_id) < (it.location, it.reservation.place, it.order_id)
    }

    /// No id has the sign between these parts.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<&str> = text.split('~').collect();
        let [location, place, order_id] = parts[..] else { return Err(NO_CURSOR) };
        let location = LocationId::parse(location).map_err(|_| NO_CURSOR)?;
        let order_id = OrderId::parse(order_id).map_err(|_| NO_CURSOR)?;
        Ok(Self(location, place.parse().map_err(|_| NO_CURSOR)?, order_id))
    }
}

const NO_CURSOR: &str = "must be the cursor of an earlier answer";

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}~{}~{}", self.0, self.1, self.2)
    }
}

impl ReservationView {
    fn of(it: &ServedReservation<'_>, unit: Option<UnitOfMeasure>) -> Self {
        let of = |count: u32| Quantity::of(count, unit);
        let reservation = it.reservation;
        Self {
            order_id: it.order_id.to_string(),
            location: it.location.to_string(),
            quantity: of(reservation.quantity),
            on_hand: of(it.on_hand),
            waiting: of(reservation.quantity - it.on_hand),
            shipped: of(reservation.shipped),
            place: (reservation.place > 0).then_some(reservation.place),
            expires_at: reservation.expires_at,
        }
    }
}
