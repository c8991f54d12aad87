//! The table of all routes: what each role may do there.
//!
//! The layer at the edge refuses a request for a route that has no row here. The documents and the tests are made from it, too.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use crate::Role;
use crate::grant::RoutePermission;

/// What a route is for. It decides on which listener the route is, and whether it asks for a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteClass {
    /// Whether the process runs and is ready. For everyone, on both listeners.
    Probe,
    /// What describes the API itself. For everyone.
    Description,
    /// The commands of the shop.
    Shop,
    /// What is asked about orders and stock.
    Read,
    /// Sums over many orders.
    Reporting,
    /// Everything that happens, as it happens. A stream ends when its credential does.
    Firehose,
    /// What runs the platform. On the operate listener only.
    Operate,
}

impl RouteClass {
    pub const ALL: [Self; 7] =
        [Self::Probe, Self::Description, Self::Shop, Self::Read, Self::Reporting, Self::Firehose, Self::Operate];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Description => "description",
            Self::Shop => "shop",
            Self::Read => "read",
            Self::Reporting => "reporting",
            Self::Firehose => "firehose",
            Self::Operate => "operate",
        }
    }

    /// Whether everyone may call its routes, without a credential.
    #[must_use]
    pub const fn is_public(self) -> bool {
        matches!(self, Self::Probe | Self::Description)
    }
}

impl fmt::Display for RouteClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A route, and what each role may do there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method in upper case. `GET` stands for `HEAD`, too.
    pub method: &'static str,
    /// The path's template as the router has it, without `/v1`: `/orders/{order_id}`.
    pub path: &'static str,
    pub class: RouteClass,
    /// The grants of the roles in the columns, in their order.
    grants: [Option<RoutePermission>; COLUMNS.len()],
}

/// The roles that have a column in the table. An operator may call every route.
const COLUMNS: [Role; 6] = [Role::Shop, Role::Customer, Role::Warehouse, Role::Support, Role::Finance, Role::Auditor];

const ALL: Option<RoutePermission> = Some(RoutePermission::All);
/// Of the principal's customer.
const OWN: Option<RoutePermission> = Some(RoutePermission::Own);
/// Without payment details.
const UNPAID: Option<RoutePermission> = Some(RoutePermission::WithoutPaymentDetails);
/// With personal data masked.
const MASKED: Option<RoutePermission> = Some(RoutePermission::Masked);
/// Up to an amount.
const UP_TO: Option<RoutePermission> = Some(RoutePermission::UpToAmount);
const NO: Option<RoutePermission> = None;

use RouteClass::{Description, Firehose, Operate, Probe, Read, Reporting, Shop};

/// All routes.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    //                                                                shop customer warehouse support finance auditor
    route("GET", "/health/live", Probe,                               [ALL, ALL,  ALL,    ALL,   ALL,  ALL]),
    route("GET", "/health/ready", Probe,                              [ALL, ALL,  ALL,    ALL,   ALL,  ALL]),
    route("GET", "/", Description,                                    [ALL, ALL,  ALL,    ALL,   ALL,  ALL]),
    route("GET", "/problems", Description,                            [ALL, ALL,  ALL,    ALL,   ALL,  ALL]),
    route("GET", "/problems/{code}", Description,                     [ALL, ALL,  ALL,    ALL,   ALL,  ALL]),
    route("GET", "/openapi.json", Description,                        [ALL, ALL,  ALL,    ALL,   ALL,  ALL]),
    route("GET", "/openapi-3.0.json", Description,                    [ALL, ALL,  ALL,    ALL,   ALL,  ALL]),
    route("GET", "/docs", Description,                                [ALL, ALL,  ALL,    ALL,   ALL,  ALL]),
    route("GET", "/docs/{file}", Description,                         [ALL, ALL,  ALL,    ALL,   ALL,  ALL]),

    route("POST", "/orders", Shop,                                    [ALL, NO,   NO,     NO,    NO,   NO]),
    route("POST", "/orders/batch", Shop,                              [ALL, NO,   NO,     NO,    NO,   NO]),
    route("POST", "/orders/import", Shop,                             [ALL, NO,   NO,     NO,    NO,   NO]),
    route("POST", "/orders/{order_id}/cancel", Shop,                  [ALL, OWN,  NO,     ALL,   NO,   NO]),
    route("POST", "/orders/{order_id}/edits", Shop,                   [ALL, NO,   NO,     NO,    NO,   NO]),
    route("POST", "/orders/{order_id}/edits/preview", Shop,           [ALL, NO,   NO,     NO,    NO,   NO]),
    route("POST", "/orders/{order_id}/ship", Shop,                    [ALL, NO,   ALL,    NO,    NO,   NO]),
    route("POST", "/orders/{order_id}/deliver", Shop,                 [ALL, NO,   ALL,    NO,    NO,   NO]),
    route("POST", "/orders/{order_id}/shipments/{shipment_id}/deliver", Shop, [ALL, NO, ALL, NO,  NO,   NO]),
    route("PUT", "/orders/{order_id}/shipments/{shipment_id}/parcels", Shop, [ALL, NO, ALL, NO,   NO,   NO]),
    route("POST", "/orders/{order_id}/hold", Shop,                    [ALL, NO,   NO,     ALL,   NO,   NO]),
    route("POST", "/orders/{order_id}/release", Shop,                 [ALL, NO,   NO,     ALL,   NO,   NO]),
    route("POST", "/orders/{order_id}/returns", Shop,                 [ALL, OWN,  NO,     ALL,   NO,   NO]),
    route("POST", "/orders/{order_id}/returns/{return_id}/receive", Shop, [ALL, NO, ALL,  NO,    NO,   NO]),
    route("POST", "/orders/{order_id}/returns/{return_id}/cancel", Shop, [ALL, OWN, NO,   ALL,   NO,   NO]),
    route("POST", "/orders/{order_id}/refunds", Shop,                 [ALL, NO,   NO,     UP_TO, ALL,  NO]),
    route("POST", "/orders/{order_id}/mails/{notification_id}/resend", Shop, [ALL, NO, NO, ALL,  NO,   NO]),
    route("POST", "/orders/{order_id}/notes", Shop,                   [ALL, OWN,  NO,     ALL,   NO,   NO]),
    route("POST", "/stock/{sku}/receive", Shop,                       [ALL, NO,   ALL,    NO,    NO,   NO]),
    route("POST", "/stock/{sku}/adjust", Shop,                        [ALL, NO,   ALL,    NO,    NO,   NO]),
    route("POST", "/stock/{sku}/transfer", Shop,                        [ALL, NO,   ALL,    NO,    NO,   NO]),
    route("POST", "/stock/{sku}/backorder", Shop,                       [ALL, NO,   NO,     NO,    NO,   NO]),
    route("POST", "/stock/{sku}/low-stock", Shop,                       [ALL, NO,   ALL,    NO,    NO,   NO]),

    route("GET", "/orders", Read,                                     [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/orders/export", Read,                              [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}", Read,                          [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}/events", Read,                   [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}/shipments", Read,                [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}/cancellations", Read,            [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}/returns", Read,                  [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}/refunds", Read,                  [ALL, OWN,  NO,     ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}/notes", Read,                    [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}/mails", Read,                    [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}/documents", Read,                [ALL, OWN,  NO,     ALL,   ALL,  MASKED]),
    route("GET", "/orders/{order_id}/documents/{document_id}", Read,  [ALL, OWN,  NO,     ALL,   ALL,  MASKED]),
    route("GET", "/customers/{customer_id}/orders", Read,             [ALL, OWN,  UNPAID, ALL,   ALL,  MASKED]),
    route("GET", "/stock", Read,                                      [ALL, NO,   ALL,    NO,    NO,   ALL]),
    route("GET", "/stock/{sku}", Read,                                [ALL, NO,   ALL,    NO,    NO,   ALL]),
    route("GET", "/stock/{sku}/reservations", Read,                   [ALL, NO,   ALL,    NO,    NO,   ALL]),
    route("GET", "/sales", Reporting,                                 [ALL, NO,   NO,     NO,    ALL,  ALL]),
    route("GET", "/events", Firehose,                                 [ALL, NO,   NO,     NO,    NO,   MASKED]),
    route("GET", "/events/stream", Firehose,                          [ALL, NO,   NO,     NO,    NO,   MASKED]),

    route("GET", "/metrics", Operate,                                 [NO,  NO,   NO,     NO,    NO,   ALL]),
    route("GET", "/sagas", Operate,                                   [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("GET", "/audit", Operate,                                   [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("GET", "/read-models", Operate,                             [NO,  NO,   NO,     NO,    NO,   NO]),
    route("GET", "/read-models/{projection}/items", Operate,          [NO,  NO,   NO,     NO,    NO,   NO]),
    route("GET", "/read-models/{projection}/streams/{id}/steps", Operate, [NO, NO, NO,   NO,    NO,   NO]),
    route("GET", "/orders/{order_id}/saga", Operate,                  [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("POST", "/orders/{order_id}/saga/decisions", Operate,       [NO,  NO,   NO,     NO,    NO,   NO]),
    route("GET", "/subscriptions", Operate,                           [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("POST", "/subscriptions/{name}/parked-events/{stream_id}/retry", Operate, [NO, NO, NO, NO, NO,  NO]),
    route("POST", "/subscriptions/{name}/parked-events/{stream_id}/skip", Operate, [NO, NO, NO, NO,  NO,  NO]),
    route("GET", "/admin/replays", Operate,                           [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("GET", "/admin/replays/{id}", Operate,                      [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("POST", "/admin/replays", Operate,                          [NO,  NO,   NO,     NO,    NO,   NO]),
    route("POST", "/admin/rollbacks", Operate,                        [NO,  NO,   NO,     NO,    NO,   NO]),
    route("DELETE", "/admin/replays/{id}", Operate,                   [NO,  NO,   NO,     NO,    NO,   NO]),
    route("GET", "/bulk-actions", Operate,                            [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("GET", "/bulk-actions/{id}", Operate,                       [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("POST", "/bulk-actions", Operate,                           [NO,  NO,   NO,     NO,    NO,   NO]),
    route("POST", "/bulk-actions/preview", Operate,                   [NO,  NO,   NO,     NO,    NO,   NO]),
    route("POST", "/bulk-actions/{id}/stop", Operate,                 [NO,  NO,   NO,     NO,    NO,   NO]),
    route("GET", "/dead-letters", Operate,                            [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("GET", "/dead-letters/{queue}/{id}", Operate,               [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("POST", "/dead-letters/{queue}/{id}/redrive", Operate,      [NO,  NO,   NO,     NO,    NO,   NO]),
    route("POST", "/dead-letters/{queue}/{id}/discard", Operate,      [NO,  NO,   NO,     NO,    NO,   NO]),
    route("GET", "/webhooks", Operate,                                [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("POST", "/webhooks", Operate,                               [NO,  NO,   NO,     NO,    NO,   NO]),
    route("GET", "/webhooks/{id}", Operate,                           [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("DELETE", "/webhooks/{id}", Operate,                        [NO,  NO,   NO,     NO,    NO,   NO]),
    route("POST", "/webhooks/{id}/enable", Operate,                   [NO,  NO,   NO,     NO,    NO,   NO]),
    route("POST", "/webhooks/{id}/disable", Operate,                  [NO,  NO,   NO,     NO,    NO,   NO]),
    route("POST", "/webhooks/{id}/rotate-secret", Operate,            [NO,  NO,   NO,     NO,    NO,   NO]),
    route("GET", "/webhooks/{id}/deliveries", Operate,                [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("POST", "/webhooks/{id}/deliveries/{delivery_id}/resend", Operate, [NO, NO, NO, NO,    NO,   NO]),
    route("GET", "/webhooks/{id}/replays", Operate,                   [NO,  NO,   NO,     NO,    NO,   MASKED]),
    route("POST", "/webhooks/{id}/replays", Operate,                  [NO,  NO,   NO,     NO,    NO,   NO]),
    route("DELETE", "/webhooks/{id}/replays/{replay_id}", Operate,    [NO,  NO,   NO,     NO,    NO,   NO]),
];

const fn route(
    method: &'static str,
    path: &'static str,
    class: RouteClass,
    grants: [Option<RoutePermission>; COLUMNS.len()],
) -> Route {
    Route { method, path, class, grants }
}

impl Route {
    /// What a role may do there. `None`: nothing.
    #[must_use]
    pub fn grant(&self, role: Role) -> Option<RoutePermission> {
        match COLUMNS.iter().position(|column| *column == role) {
            Some(column) => self.grants[column],
            // An operator.
            None => Some(RoutePermission::All),
        }
    }

    /// The route of a request. `path` is the template that the router matched, with or without `/v1`.
    ///
    /// `Err`: the methods that the path has. There are none if no route has the path.
    pub fn find(method: &str, path: &str) -> Result<&'static Self, Vec<&'static str>> {
        static BY_PATH: LazyLock<HashMap<&str, Vec<&Route>>> = LazyLock::new(|| {
            let mut by_path: HashMap<&str, Vec<&Route>> = HashMap::new();
            for route in ROUTES {
                by_path.entry(route.path).or_default().push(route);
            }
            by_path
        });
        let unversioned = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let method = if method == "HEAD" { "GET" } else { method };
        let routes = BY_PATH.get(unversioned).map_or(&[][..], Vec::as_slice);
        // What has one address only is not found under another.
        let routes = || routes.iter().filter(|route| unversioned == path || route.is_versioned());
        let found = routes().find(|route| route.method == method).copied();
        found.ok_or_else(|| routes().map(|route| route.method).collect())
    }

    /// Whether it has a second address below `/v1`.
    #[must_use]
    pub fn is_versioned(&self) -> bool {
        match self.class {
            Shop | Read | Reporting | Firehose => true,
            Probe | Description | Operate => false,
        }
    }
}
