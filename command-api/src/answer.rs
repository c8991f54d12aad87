//! The answer to a command that was handled: where its stream is now, and where in the log.

use axum::Json;
use axum::response::{IntoResponse, Response};
use domain::ids::{OrderId, Sku};
use http::{HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use problem::Problem;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Marks an answer that was given before.
const REPLAYED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));

/// What is escaped in a segment of a path: all but RFC 3986's unreserved characters and the colon, which SKUs had from the beginning.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');

/// What is answered to a command that was handled.
pub(crate) struct CommandResponse<'a> {
    pub(crate) resource: CommandTarget<'a>,
    pub(crate) version: i64,
    pub(crate) position: i64,
    /// What the command made or was about, each as a field and an id: `shipmentId`, `cancellationId`, `editId`, `holdId`, `returnId`, `receiptId`,
    /// `refundId` or `noteId`.
    pub(crate) made: &'a [(&'static str, String)],
    /// Whether it was handled before, under its idempotency key.
    pub(crate) replayed: bool,
}

/// What a command was about.
pub(crate) enum CommandTarget<'a> {
    Order(&'a OrderId),
    Sku(&'a Sku),
}

impl CommandTarget<'_> {
    /// Where it is read.
    fn path(&self) -> String {
        match self {
            Self::Order(order_id) => format!("/orders/{order_id}"),
            Self::Sku(sku) => format!("/stock/{}", utf8_percent_encode(sku.as_str(), ESCAPED)),
        }
    }
}

impl CommandResponse<'_> {
    pub(crate) fn into_response(self, status: StatusCode) -> Result<Response, Problem> {
        let headers = [
            (header::LOCATION, HeaderValue::try_from(self.resource.path()).map_err(Problem::internal)?),
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

pub(crate) fn etag(version: i64) -> Result<HeaderValue, Problem> {
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
        for (field, id) in self.made {
            body.serialize_entry(field, id)?;
        }
        body.end()
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    fn path_of(sku: &str) -> String {
        CommandTarget::Sku(&Sku::parse(sku).unwrap()).path()
    }

    #[test]
    fn a_sku_is_one_segment_of_a_path() {
        assert_eq!(path_of("sku-1:a.B_2"), "/stock/sku-1:a.B_2");
        assert_eq!(path_of("TSHIRT/RED L"), "/stock/TSHIRT%2FRED%20L");
        assert_eq!(path_of("BÜCHER 7"), "/stock/B%C3%9CCHER%207");
        assert_eq!(path_of("50%+?#"), "/stock/50%25%2B%3F%23");
    }

    proptest! {
        #[test]
        fn a_path_leads_back_to_its_sku(text in r"[ -~¡-ʯ一-丂ア-ン🧦]{1,128}") {
            prop_assume!(Sku::parse(text.as_str()).is_ok());
            let path = path_of(&text);
            let segments: Vec<&str> = path.split('/').collect();
            prop_assert_eq!(segments.len(), 3);
            prop_assert_eq!(percent_decode_str(segments[2]).decode_utf8().unwrap(), text);
            prop_assert!(path.parse::<http::Uri>().unwrap().query().is_none());
        }
    }
}
