//! What the GET routes answer, for those who show it otherwise than as JSON.

use access_control::AuthorizedCaller;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use domain::ids::{OrderId, Sku};
use event_store::EventStore;
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use problem::{ClientNetwork, Problem, QueryParameters};
use read_models::GenerationStore;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::log::audit::audit;
use crate::orders::documents;
use crate::orders::export::{ExportParameters, export_orders};
use crate::orders::routes::{order_as_of, order_now, orders};
use crate::reads::{ReadRouteState, no_order};
use crate::sales::routes::sold;
use crate::stock::reservations::reservations;
use crate::stock::routes::{all, sku_now};
use crate::{SlowReads, explorer, log, timeline};

/// The questions that the GET routes answer, by the same functions. What a caller may not see is left out by whoever shows the answer,
/// as the table of routes says. Cheap to clone.
#[derive(Clone)]
pub struct ReadModelQueries(ReadRouteState);

impl ReadModelQueries {
    /// `slow` is the one of the process's routes: a caller has the same share of it everywhere.
    pub fn new(store: EventStore, read_models: &dyn GenerationStore, slow: SlowReads) -> Self {
        Self(crate::route_state(store, read_models, None, slow))
    }

    /// `GET /orders`, with its query parameters.
    pub async fn orders(
        &self,
        query: &str,
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
    ) -> Result<impl Serialize + use<>, Problem> {
        let (state, parameters) = (State(self.0.clone()), QueryParameters::parse(query));
        let Json(page) = orders(state, parameters, caller.clone(), peer.map(Extension), HeaderMap::new()).await?;
        Ok(page)
    }

    /// `GET /orders/export`: a file, without what the caller may not see.
    pub async fn export(
        &self,
        mut request: Parts,
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
    ) -> Result<Response, Problem> {
        let parameters = ExportParameters::from_request_parts(&mut request, &()).await;
        let state = State(self.0.clone());
        export_orders(state, parameters, caller.clone(), peer.map(Extension), request.headers).await
    }

    /// `GET /orders/{order_id}`; `as_of`: a version or an instant, `None`: now.
    pub async fn order(
        &self,
        order_id: &str,
        as_of: Option<&str>,
        caller: &AuthorizedCaller,
    ) -> Result<Box<RawValue>, Problem> {
        // There is no order under a text that is no id.
        let order_id = OrderId::parse(order_id.to_owned()).map_err(|_| no_order(order_id))?;
        match as_of {
            Some(as_of) => Ok(order_as_of(&self.0, order_id.as_str(), as_of, caller).await?.view),
            None => {
                let view = order_now(&self.0, order_id.as_str(), caller).await?;
                to_raw_value(&view).map_err(Problem::internal)
            }
        }
    }

    /// `GET /orders/{order_id}/events`, with its query parameters.
    pub async fn order_events(
        &self,
        order_id: &str,
        query: &str,
        caller: &AuthorizedCaller,
    ) -> Result<impl Serialize + use<>, Problem> {
        let (state, path) = (State(self.0.clone()), Ok(Path(order_id.to_owned())));
        let parameters = QueryParameters::parse(query);
        let Json(page) = timeline::timeline(state, path, parameters, caller.clone(), HeaderMap::new()).await?;
        Ok(page)
    }

    /// The event of an order that made this version, as [`order_events`](Self::order_events) with this event alone. It may have none.
    pub async fn order_event(
        &self,
        order_id: &str,
        version: i64,
        caller: &AuthorizedCaller,
    ) -> Result<impl Serialize + use<>, Problem> {
        let before = version.saturating_sub(1);
        let cursor = if before > 0 { format!("&cursor={before}") } else { String::new() };
        self.order_events(order_id, &format!("limit=1{cursor}"), caller).await
    }

    /// `GET /orders/{order_id}/documents`, its first page.
    pub async fn documents(
        &self,
        order_id: &str,
        caller: &AuthorizedCaller,
    ) -> Result<impl Serialize + use<>, Problem> {
        let (state, path) = (State(self.0.clone()), Ok(Path(order_id.to_owned())));
        let parameters = QueryParameters::parse("limit=200");
        let Json(page) = documents::list(state, path, parameters, caller.clone(), HeaderMap::new()).await?;
        Ok(page)
    }

    /// `GET /orders/{order_id}/documents/{document_id}` as PDF, without what the caller may not see.
    pub async fn document_file(
        &self,
        (order_id, document_id): (String, String),
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
    ) -> Result<Response, Problem> {
        let (state, path) = (State(self.0.clone()), Ok(Path((order_id, document_id))));
        let pdf = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/pdf"))]);
        documents::show(state, path, QueryParameters::parse(""), caller.clone(), peer.map(Extension), pdf).await
    }

    /// `GET /events`, with its query parameters.
    pub async fn events(
        &self,
        query: &str,
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
    ) -> Result<impl Serialize + use<>, Problem> {
        let (state, parameters) = (State(self.0.clone()), QueryParameters::parse(query));
        let Json(page) = log::events(state, parameters, caller.clone(), peer.map(Extension), HeaderMap::new()).await?;
        Ok(page)
    }

    /// `GET /audit`, with its query parameters.
    pub async fn audit(
        &self,
        query: &str,
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
    ) -> Result<impl Serialize + use<>, Problem> {
        let (state, parameters) = (State(self.0.clone()), QueryParameters::parse(query));
        let Json(page) = audit(state, parameters, caller.clone(), peer.map(Extension), HeaderMap::new()).await?;
        Ok(page)
    }

    /// `GET /sales`, with its query parameters.
    pub async fn sales(&self, query: &str) -> Result<impl Serialize + use<>, Problem> {
        let parameters = QueryParameters::parse(query);
        let Json(view) = sold(State(self.0.clone()), parameters, HeaderMap::new()).await?;
        Ok(view)
    }

    /// `GET /read-models`.
    pub async fn read_models(&self) -> Result<impl Serialize + use<>, Problem> {
        let Json(page) = explorer::read_models(State(self.0.clone())).await?;
        Ok(page)
    }

    /// `GET /read-models/{projection}/items`, with its query parameters.
    pub async fn items(&self, projection: &str, query: &str) -> Result<impl Serialize + use<>, Problem> {
        let (path, parameters) = (Ok(Path(projection.to_owned())), QueryParameters::parse(query));
        let Json(page) = explorer::items(State(self.0.clone()), path, parameters).await?;
        Ok(page)
    }

    /// `GET /read-models/{projection}/streams/{id}/steps`, with its query parameters.
    pub async fn steps(
        &self,
        (projection, stream_id): (&str, &str),
        query: &str,
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
    ) -> Result<impl Serialize + use<>, Problem> {
        let path = Ok(Path((projection.to_owned(), stream_id.to_owned())));
        let parameters = QueryParameters::parse(query);
        let peer = peer.map(Extension);
        let Json(page) = explorer::steps::steps(State(self.0.clone()), path, parameters, caller.clone(), peer).await?;
        Ok(page)
    }

    /// `GET /stock`, with its query parameters.
    pub async fn stock(&self, query: &str) -> Result<impl Serialize + use<>, Problem> {
        let Json(page) = all(State(self.0.clone()), QueryParameters::parse(query), HeaderMap::new()).await?;
        Ok(page)
    }

    /// `GET /stock/{sku}`.
    pub async fn sku(&self, sku: &str) -> Result<impl Serialize + use<>, Problem> {
        let sku = Sku::parse(sku).map_err(|_| Problem::not_found("there is no such SKU"))?;
        sku_now(&self.0, &sku).await
    }

    /// `GET /stock/{sku}/reservations`, with its query parameters.
    pub async fn sku_reservations(
        &self,
        sku: &str,
        query: &str,
        caller: &AuthorizedCaller,
        peer: Option<ClientNetwork>,
    ) -> Result<impl Serialize + use<>, Problem> {
        let (state, path) = (State(self.0.clone()), Ok(Path(sku.to_owned())));
        let (caller, peer) = (caller.clone(), peer.map(Extension));
        let parameters = QueryParameters::parse(query);
        let Json(page) = reservations(state, path, parameters, caller, peer, HeaderMap::new()).await?;
        Ok(page)
    }
}
