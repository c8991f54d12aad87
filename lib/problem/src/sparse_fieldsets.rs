//! `?fields=orderId,total.amount,lines.sku`: a client names the fields of an answer that it wants.
//!
//! The layer knows by the OpenAPI document which fields the answers of a route have ([`SelectableFields`]). It takes the parameter out
//! of the request, so that no handler has to know it, and leaves the other fields out of the answer.

mod schema;
mod selection;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use http::header::IF_NONE_MATCH;
use http::uri::PathAndQuery;
use http::{Method, StatusCode, Uri};
use tower::{Layer, Service};

pub use schema::SelectableFields;

use self::schema::AnswerFields;
use self::selection::Selection;
use crate::{ETagByContent, FieldError, Problem, rewrite_json};

/// The name of the parameter.
const FIELDS: &str = "fields";

/// The layer that answers with the fields that a client asks for. It goes around what decides who may see what, and inside
/// [`HttpSemantics`](crate::HttpSemantics).
#[derive(Debug, Clone)]
pub struct SparseFieldsets(Arc<SelectableFields>);

impl SparseFieldsets {
    #[must_use]
    pub fn new(known: SelectableFields) -> Self {
        Self(Arc::new(known))
    }
}

impl<S> Layer<S> for SparseFieldsets {
    type Service = SparseFieldsetsService<S>;

    fn layer(&self, inner: S) -> SparseFieldsetsService<S> {
        SparseFieldsetsService { known: Arc::clone(&self.0), inner }
    }
}

/// A service behind [`SparseFieldsets`].
#[derive(Debug, Clone)]
pub struct SparseFieldsetsService<S> {
    known: Arc<SelectableFields>,
    inner: S,
}

impl<S> Service<Request> for SparseFieldsetsService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Some(asked) = self.asked(&request) else { return Either::Left(self.inner.call(request)) };
        let AskedFields { selection, uri } = asked;
        *request.uri_mut() = uri;
        // The client may have what is sent, but not what the handler answers.
        request.headers_mut().remove(IF_NONE_MATCH);
        let answer = self.inner.call(request);
        Either::Right(Box::pin(async move { Ok(selected(answer.await?, selection).await) }))
    }
}

/// The fields that a request asks for, and its address without them.
struct AskedFields {
    selection: Result<Selection, String>,
    uri: Uri,
}

impl<S> SparseFieldsetsService<S> {
    /// `None`: the request has no such parameter, or its route does not take it.
    fn asked(&self, request: &Request) -> Option<AskedFields> {
        let query = request.uri().query().filter(|query| query.contains(FIELDS))?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let known = self.known.of_route(request.extensions().get::<MatchedPath>()?.as_str())?;
        let (lists, rest): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_fields);
        let selection = match lists.as_slice() {
            [] => return None,
            [list] => parse(list, known),
            [_, _, ..] => Err("must be given once".to_owned()),
        };
        let path = request.uri().path();
        let rest = rest.join("&");
        let path_and_query = if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") };
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = PathAndQuery::try_from(path_and_query).ok();
        Some(AskedFields { selection, uri: Uri::from_parts(parts).ok()? })
    }
}

fn is_fields(pair: &&str) -> bool {
    form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| name == FIELDS)
}

fn parse(pair: &str, known: &AnswerFields) -> Result<Selection, String> {
    let list = form_urlencoded::parse(pair.as_bytes()).next().map(|(_, list)| list).unwrap_or_default();
    Selection::parse(&list, known)
}

/// The fields that were asked for of an answer. A mistake in the list counts only if there is something to read: a caller who may not
/// read it is told that first.
async fn selected(mut answer: Response, selection: Result<Selection, String>) -> Response {
    if answer.status() != StatusCode::OK {
        return answer;
    }
    let selection = match selection {
        Ok(selection) => selection,
        Err(message) => {
            let error = FieldError { pointer: format!("?{FIELDS}"), code: "invalid".into(), message };
            return Problem::invalid(vec![error]).into_response();
        }
    };
    ETagByContent::replace_version(&mut answer);
    rewrite_json(answer, move |text| selection.apply(text)).await
}
