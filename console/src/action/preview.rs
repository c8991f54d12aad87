//! What a form would do: the API's answer to a request that stores nothing, which the form's own page shows.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::response::Response;
use http::request::Parts;
use problem::Problem;
use serde::de::DeserializeOwned;

use super::{extension, page_again};
use crate::Console;
use crate::form::Form;

/// The longest answer: an order with all of its lines.
const LONGEST: usize = 16 * 1024 * 1024;

/// A form that was sent, and what it would do: an extension of the request for the page that shows it.
pub(crate) struct Preview {
    purpose: String,
    fields: Form,
    answer: Vec<u8>,
}

impl Preview {
    /// Whether the route of a form stores nothing.
    pub(super) fn is_at(path: &str) -> bool {
        path.ends_with("/preview")
    }

    /// Whether it is of this form.
    pub(crate) fn is_of(&self, purpose: &str) -> bool {
        self.purpose == purpose
    }

    /// What the API answered.
    pub(crate) fn answer<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.answer).map_err(Problem::internal)
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.field(name)
    }

    /// The fields of the request's body. The form that has it done sends them once more.
    pub(crate) fn body(&self) -> impl Iterator<Item = (&str, &str)> {
        let body = self.fields.all().iter().filter(|(name, value)| name.starts_with('/') && !value.is_empty());
        body.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The page of the form again, with what the API answered.
pub(super) async fn show(
    console: &Console,
    head: &Parts,
    secret: String,
    (purpose, fields): (String, Form),
    answer: Response,
) -> Result<Response, Problem> {
    let answer = to_bytes(answer.into_body(), LONGEST).await.map_err(Problem::internal)?.to_vec();
    let page = fields.field("back").to_owned();
    let preview = Preview { purpose, fields, answer };
    let shown = page_again(console, head, secret, &page, extension(Arc::new(preview))).await;
    shown.ok_or_else(|| Problem::not_found("there is no page that shows what the form would do"))
}
