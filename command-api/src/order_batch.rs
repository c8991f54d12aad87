//! `POST /orders/batch`: up to a hundred orders, each for itself.

use std::sync::Arc;

use access_control::AuthorizedCaller;
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use domain::ids::OrderId;
use domain::order::parse::PostedOrder;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use problem::{Precondition, Problem, Trace};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::bodies::NewOrderBatch;
use crate::create_order::{FIRST_VERSION, OrderPlacement, place};
use crate::operations::CommandDescription;
use crate::request::{BodyRequirement, MeteredBody, is_ndjson};
use crate::{CommandDependencies, problems};

/// The most orders of a batch.
const MOST: usize = 100;
/// The most violations that are answered of an order. So a whole batch has about as many as a single order may have.
pub(crate) const MOST_VIOLATIONS: usize = 10;

pub(crate) const DESCRIPTION: CommandDescription = CommandDescription::of::<NewOrderBatch>(
    "placeOrders",
    "Places up to 100 orders, each for itself: some may be stored and others refused",
    r#"[{
        "orderId": "order-2001", "customerId": "customer-42", "totalAmount": 129.99, "currency": "USD",
        "items": [{"sku": "sku-123", "title": "Wireless Headphones", "quantity": 1, "unitPrice": "129.99"}]
    }]"#,
);

/// What became of each order, in the order in which they were posted.
#[derive(Serialize)]
struct BatchAnswer {
    accepted: usize,
    refused: usize,
    results: Vec<OrderResult>,
}

/// What `POST /orders` would have answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderResult {
    status: u16,
    /// `None`: it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Box<RawValue>>,
}

impl OrderResult {
    pub(crate) fn accepted(order_id: OrderId, version: i64, position: i64) -> Self {
        let status = StatusCode::CREATED.as_u16();
        Self { status, order_id: Some(order_id), version: Some(version), position: Some(position), problem: None }
    }

    pub(crate) fn refused(order_id: Option<OrderId>, problem: &Problem) -> Self {
        let status = problem.status().as_u16();
        // As text it takes a tenth of the memory until all orders are answered. JSON can always be written.
        let problem = to_raw_value(&problem.to_json()).unwrap_or_default();
        Self { status, order_id, version: None, position: None, problem: Some(problem) }
    }
}

pub(crate) async fn create_orders(
    State(commands): State<Arc<CommandDependencies>>,
    caller: AuthorizedCaller,
    trace: Trace,
    request: Request,
) -> Result<Response, Problem> {
    let batch = OrderBatch::read(&commands, request).await?;
    let metadata = crate::metadata(&caller, &trace);
    let place_one = async |order: &[u8]| {
        let posted = match PostedOrder::parse(order) {
            Ok(posted) => posted,
            Err(invalid) => {
                let problem = problems::invalid_body(invalid.with_at_most(MOST_VIOLATIONS));
                return OrderResult::refused(None, &problem);
            }
        };
        let Some(order_id) = posted.order_id else {
            // Sent again, it would be another order.
            let problem = problems::invalid_field("/orderId", "required", "is required in a batch");
            return OrderResult::refused(None, &problem);
        };
        let placement = OrderPlacement {
            order_id: &order_id,
            content: posted.content,
            key: None,
            precondition: Precondition::default(),
            metadata: metadata.clone(),
        };
        match place(&commands.store, placement).await {
            Ok(placed) => OrderResult::accepted(order_id, FIRST_VERSION, placed.position),
            Err(problem) => OrderResult::refused(Some(order_id), &problem),
        }
    };
    let results = join_all(batch.orders()?.into_iter().map(place_one)).await;
    Ok(answer(results))
}

/// Several orders in one body.
pub(crate) struct OrderBatch {
    /// It keeps its share of memory until all orders are answered.
    body: MeteredBody,
    by_line: bool,
}

impl OrderBatch {
    pub(crate) async fn read(commands: &CommandDependencies, request: Request) -> Result<Self, Problem> {
        check_headers(request.headers())?;
        let by_line = is_ndjson(request.headers());
        let requirement = if by_line { BodyRequirement::Lines } else { BodyRequirement::Required };
        let (_, body) = commands.requests.read_body(request, requirement).await?;
        commands.store.ensure_capacity().map_err(problems::not_appended)?;
        Ok(Self { body, by_line })
    }

    /// The JSON of each.
    pub(crate) fn orders(&self) -> Result<Vec<&[u8]>, Problem> {
        split(&self.body, self.by_line)
    }
}

/// The answer to a batch.
pub(crate) fn answer(results: Vec<OrderResult>) -> Response {
    let accepted = results.iter().filter(|result| result.problem.is_none()).count();
    let last = results.iter().filter_map(|result| result.position).max();
    let answered = BatchAnswer { accepted, refused: results.len() - accepted, results };
    let mut response = Json(answered).into_response();
    if let Some(position) = last {
        response.headers_mut().insert(HeaderName::from_static("event-position"), HeaderValue::from(position));
    }
    response
}

/// Refuses what is said of one order: it would not be clear of which.
fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let of_one = [HeaderName::from_static("idempotency-key"), header::IF_MATCH, header::IF_NONE_MATCH];
    match of_one.iter().find(|name| headers.contains_key(*name)) {
        None => Ok(()),
        Some(name) => Err(Problem::malformed(format!(
            "header {name} is not for a batch; by its orderId each order is stored once, however often it comes"
        ))),
    }
}

/// The JSON of each order.
fn split(body: &[u8], by_line: bool) -> Result<Vec<&[u8]>, Problem> {
    let orders: Vec<&[u8]> = if by_line {
        body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
    } else {
        let orders: Vec<&RawValue> = serde_json::from_slice(body)
            .map_err(|error| Problem::malformed(format!("the body must be a JSON array of orders: {error}")))?;
        orders.into_iter().map(|order| order.get().as_bytes()).collect()
    };
    if (1..=MOST).contains(&orders.len()) {
        return Ok(orders);
    }
    Err(problems::invalid_field("", "invalid", "must have 1 to 100 orders"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_an_array_or_lines() {
        let orders = |body: &str, by_line| {
            split(body.as_bytes(), by_line).map(|orders| orders.into_iter().map(<[u8]>::len).collect::<Vec<_>>()).ok()
        };
        assert_eq!(orders("[{}, {\"a\":1}]", false), Some(vec![2, 7]));
        assert_eq!(orders("{}\r\n\n {\"a\":1} \n", true), Some(vec![2, 7]));
        for (body, by_line) in [("", true), ("[]", false), ("{}", false), ("[{}", false), ("", false)] {
            assert_eq!(orders(body, by_line), None, "{body}");
        }
        assert!(orders(&"{}\n".repeat(100), true).is_some());
        assert!(orders(&"{}\n".repeat(101), true).is_none());
    }
}
