//! An order's timeline: `GET /orders/{id}/events`. The order's stream itself, no copy of it.

use std::collections::BTreeMap;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use domain::Order;
use event_store::StoredEvent;
use problem::Problem;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::reads::{Reads, order_id};

pub(crate) fn routes() -> Router<Reads> {
    Router::new().route("/orders/{order_id}/events", get(timeline))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timeline {
    order_id: String,
    items: Vec<Entry>,
}

/// An event as people and programs read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    version: i64,
    position: i64,
    #[serde(rename = "type")]
    event_type: String,
    event_id: Uuid,
    recorded_at: DateTime<Utc>,
    metadata: Box<RawValue>,
    data: Box<RawValue>,
}

async fn timeline(
    State(reads): State<Reads>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Timeline>, Problem> {
    let order_id = order_id(path)?.to_string();
    let events = reads.store.read_stream::<Order>(&order_id).await.map_err(Problem::internal)?;
    if events.is_empty() {
        return Err(Problem::not_found(format!("there is no order {order_id}")));
    }
    let items = events.into_iter().map(Entry::try_from).collect::<Result<_, _>>().map_err(Problem::internal)?;
    Ok(Json(Timeline { order_id, items }))
}

impl TryFrom<StoredEvent> for Entry {
    type Error = serde_json::Error;

    fn try_from(event: StoredEvent) -> Result<Self, Self::Error> {
        // The payload is `{"OrderCreated": {…}}`; the name is shown beside it already.
        let mut payload: BTreeMap<String, Box<RawValue>> = serde_json::from_str(event.payload.get())?;
        Ok(Self {
            version: event.version,
            position: event.position,
            data: payload.remove(&event.event_type).unwrap_or(event.payload),
            event_type: event.event_type,
            event_id: event.event_id,
            recorded_at: event.recorded_at,
            metadata: event.metadata,
        })
    }
}
