//! The answer to a command that was handled: where its stream is now, and where in the log.

use axum::Json;
use axum::response::{IntoResponse, Response};
use domain::ids::{OrderId, Sku};
use http::{HeaderName, HeaderValue, StatusCode, header};
use problem::Problem;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Marks an answer that was given before.
const REPLAYED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));

/// What is answered to a command that was handled.
pub(crate) struct CommandResponse<'a> {
    pub(crate) resource: CommandTarget<'a>,
    pub(crate) version: i64,
    pub(crate) position: i64,
    /// What the command made, as a field and an id: `shipmentId`, `cancellationId`, `returnId`, `refundId` or `noteId`.
    pub(crate) made: Option<(&'static str, &'a str)>,
    /// Whether it was handled before, under its idempotency key.
    pub(crate) replayed: bool,
}

/// What a command was about.
pub(crate) enum CommandTarget<'a> {
    Order(&'a OrderId),
    Sku(&'a Sku),
}

impl CommandResponse<'_> {
    pub(crate) fn into_response(self, status: StatusCode) -> Result<Response, Problem> {
        let location = match self.resource {
            CommandTarget::Order(order_id) => format!("/orders/{order_id}"),
            CommandTarget::Sku(sku) => format!("/stock/{sku}"),
        };
        let headers = [
            (header::LOCATION, HeaderValue::try_from(location).map_err(Problem::internal)?),
            (header::ETAG, etag(self.version)?),
            (HeaderName::from_static("event-position"), HeaderValue::from(self.position)),
        ];
        let replayed = self.replayed;
        let mut response = (status, headers, Json(self)).into_response();
        if replayed {
            let (name, value) = REPLAYED;
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }
}

fn etag(version: i64) -> Result<HeaderValue, Problem> {
    match version {
        // Every new order's.
        1 => Ok(HeaderValue::from_static("\"1\"")),
        version => HeaderValue::try_from(format!("\"{version}\"")).map_err(Problem::internal),
    }
}

impl Serialize for CommandResponse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("status", "accepted")?;
        match self.resource {
            CommandTarget::Order(order_id) => body.serialize_entry("orderId", order_id)?,
            CommandTarget::Sku(sku) => body.serialize_entry("sku", sku)?,
        }
        body.serialize_entry("version", &self.version)?;
        body.serialize_entry("position", &self.position)?;
        if let Some((field, id)) = &self.made {
            body.serialize_entry(field, id)?;
        }
        body.end()
    }
}
