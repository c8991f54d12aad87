//! `/orders`: orders by a filter, which is the address.

use access_control::{AuthorizedCaller, RoutePermission};
use askama::Template;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use problem::Problem;
use serde::Deserialize;

use super::{Amount, query};
use crate::Console;
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::{Instant, Text};
use crate::frame::Frame;
use crate::problem_page::errors;

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersTemplate {
    frame: Frame,
    fields: Vec<FilterField>,
    /// Whether it asks for anything but words.
    is_detailed: bool,
    errors: Vec<Text>,
    orders: Vec<OrderSummary>,
    /// The address of the next page.
    next: Option<String>,
    /// The question without its page.
    question: String,
    is_first: bool,
}

/// A field of the form that filters.
struct FilterField {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    /// What it can be; empty: any text.
    options: &'static [&'static str],
    value: Text,
}

#[derive(Deserialize)]
struct OrdersAnswer {
    items: Vec<OrderSummary>,
    cursor: Option<String>,
}

/// An order in a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderSummary {
    order_id: Text,
    order_number: Option<Text>,
    customer_id: Option<Text>,
    customer_email: Option<Text>,
    status: Text,
    payment_status: Option<Text>,
    fulfilment_status: Option<Text>,
    returns_status: Option<Text>,
    created_at: Instant,
    total: Amount,
}

type Field = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// The parameters of the list that the form offers: name, label, hint, what it can be.
const FIELDS: [Field; 20] = [
    ("q", "Words", "in titles, SKUs, names, e-mail addresses, order ids", &[]),
    ("orderNumber", "Order number", "", &[]),
    ("customerId", "Customer id", "", &[]),
    ("email", "E-mail address", "", &[]),
    ("sku", "SKU", "", &[]),
    ("status", "Status", "", &["pending", "confirmed", "completed", "rejected", "cancelled"]),
    ("paymentStatus", "Payment", "", &PAYMENT),
    ("fulfilmentStatus", "Fulfilment", "", &["none", "reserved", "partiallyShipped", "shipped", "delivered"]),
    ("returnsStatus", "Returns", "", &["none", "requested", "partiallyReturned", "returned"]),
    ("held", "On hold", "", &["true", "false"]),
    ("tag", "Tag", "", &[]),
    ("exchangeFor", "Exchange for order", "", &[]),
    ("channel", "Channel", "", &[]),
    ("source", "Source", "", &[]),
    ("from", "Created from", "2026-11-30 or 2026-11-30T18:00:00Z", &[]),
    ("to", "Created before", "likewise", &[]),
    ("currency", "Currency", "such as EUR; with amounts", &[]),
    ("totalFrom", "Total from", "", &[]),
    ("totalTo", "Total to", "", &[]),
    ("sort", "Sort by", "", &["-created", "created", "-updated", "updated", "-total", "total"]),
];

const PAYMENT: [&str; 9] = [
    "none",
    "unknown",
    "declined",
    "authorized",
    "partiallyCaptured",
    "captured",
    "partiallyRefunded",
    "refunded",
    "voided",
];

pub(crate) async fn show(State(console): State<Console>, reader: Reader, uri: Uri) -> Result<Response, Problem> {
    let caller = reader.at("/orders")?;
    let given = OrderQuestion::of(&uri);
    let found = console.0.queries.orders(&given.with_page(), &caller.0, reader.peer).await;
    let (found, wrong) = match found {
        Ok(found) => (shown(&caller, &found)?, Vec::new()),
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            (OrdersAnswer { items: Vec::new(), cursor: None }, errors(&problem.to_json()))
        }
        Err(problem) => return Err(problem),
    };
    let next = found.cursor.map(|cursor| given.and("cursor", &cursor));
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = OrdersTemplate {
        frame: Frame::of(&reader, "Orders", "/orders"),
        fields: given.fields(&caller.0),
        is_detailed: given.filter.iter().any(|(name, _)| name != "q"),
        errors: wrong,
        orders: found.items,
        next,
        question: given.without_page(),
        is_first: given.cursor.is_none(),
    };
    Ok((status, crate::page(&page)?).into_response())
}

/// The orders of the filter as a file.
pub(crate) async fn export(
    State(console): State<Console>,
    reader: Reader,
    request: Request,
) -> Result<Response, Problem> {
    let (caller, _) = reader.at("/orders/export")?;
    console.0.queries.export(request.into_parts().0, &caller, reader.peer).await
}

/// What the address asks for. A browser sends the fields of a form that nobody filled in, too: they ask for nothing.
struct OrderQuestion {
    filter: Vec<(String, String)>,
    cursor: Option<String>,
}

impl OrderQuestion {
    fn of(uri: &Uri) -> Self {
        let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
        let (cursors, filter): (Vec<_>, Vec<_>) =
            pairs.filter(|(_, value)| !value.is_empty()).partition(|(name, _)| name == "cursor");
        Self { filter, cursor: cursors.into_iter().next().map(|(_, cursor)| cursor) }
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.filter.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn without_page(&self) -> String {
        query(self.pairs())
    }

    fn and(&self, name: &str, value: &str) -> String {
        query(self.pairs().chain([(name, value)]))
    }

    fn with_page(&self) -> String {
        self.cursor.as_deref().map_or_else(|| self.without_page(), |cursor| self.and("cursor", cursor))
    }

    /// The fields by which the caller may ask, with what they have.
    fn fields(&self, caller: &AuthorizedCaller) -> Vec<FilterField> {
        let hidden: &[&str] = match caller.grant {
            RoutePermission::Masked => &["q", "email"],
            RoutePermission::WithoutPaymentDetails => &["paymentStatus"],
            RoutePermission::Own => &["held"],
            RoutePermission::All | RoutePermission::UpToAmount => &[],
        };
        let value = |name: &str| self.pairs().find(|(given, _)| *given == name).map_or("", |(_, value)| value);
        let offered = FIELDS.iter().filter(|(name, ..)| !hidden.contains(name));
        let field = |(name, label, hint, options): &Field| FilterField {
            name,
            label,
            hint,
            options,
            value: value(name).into(),
        };
        offered.map(field).collect()
    }
}

#[cfg(test)]
mod tests {
    use domain::order::{FulfilmentStatus, OrderStatus, PaymentStatus, ReturnsStatus};
    use serde::de::DeserializeOwned;
    use serde_json::json;

    use super::*;

    fn knows<T: DeserializeOwned>(field: &str) {
        let (.., options) = FIELDS.iter().find(|(name, ..)| *name == field).unwrap();
        for option in *options {
            assert!(serde_json::from_value::<T>(json!(option)).is_ok(), "{field}: {option}");
        }
        let error = serde_json::from_value::<T>(json!("?")).err().unwrap().to_string();
        assert_eq!(error.matches('`').count() / 2 - 1, options.len(), "{field}: {error}");
    }

    #[test]
    fn the_form_offers_every_status_and_no_other() {
        knows::<OrderStatus>("status");
        knows::<PaymentStatus>("paymentStatus");
        knows::<FulfilmentStatus>("fulfilmentStatus");
        knows::<ReturnsStatus>("returnsStatus");
    }

    #[test]
    fn the_form_offers_every_parameter_of_the_list() {
        let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/openapi.json");
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(document).unwrap()).unwrap();
        let parameters = document["paths"]["/orders"]["get"]["parameters"].as_array().unwrap();
        let asked = parameters.iter().filter(|parameter| parameter["in"] == "query");
        let mut asked: Vec<_> = asked.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        // What says how much is answered, and when, is not for the form.
        asked.retain(|name| !["limit", "cursor", "minPosition", "fields", "expand"].contains(name));
        let mut offered: Vec<_> = FIELDS.iter().map(|(name, ..)| *name).collect();
        asked.sort_unstable();
        offered.sort_unstable();
        assert_eq!(asked, offered);
    }

    #[test]
    fn fields_that_nobody_filled_in_ask_for_nothing() {
        let asked = OrderQuestion::of(&"/orders?q=&status=confirmed&cursor=c%2B&sku=a%20b".parse().unwrap());
        assert_eq!(asked.without_page(), "status=confirmed&sku=a+b");
        assert_eq!(asked.with_page(), "status=confirmed&sku=a+b&cursor=c%2B");
    }
}
