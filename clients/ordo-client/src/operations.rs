//! What those who run a platform ask. These routes may have a listener, and so a client, of their own.

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::PreparedRequest;
use crate::{Client, Command, Error, Page, PagedQuery, ReadRequest};

impl Client {
    /// Whether the process has what it needs. It is asked once, and whoever is not ready says so: that is no error.
    pub async fn health(&self) -> Result<Health, Error> {
        let answer = self.send_once(&PreparedRequest::get(self.url(&["health", "ready"]))).await?;
        match serde_json::from_slice(&answer.body) {
            Ok(health) if answer.status.is_success() || answer.status == StatusCode::SERVICE_UNAVAILABLE => Ok(health),
            Ok(_) | Err(_) => Err(answer.into_error()),
        }
    }

    /// Orders whose sagas wait (`running`) or are `stuck`, the longest first.
    pub fn sagas(&self, state: &str) -> PagedQuery<WaitingSagaSummary> {
        PagedQuery::new(self, &["sagas"]).parameter("state", state)
    }

    /// Each step of an order's sagas: how far it is, what it waits for and why.
    pub fn order_sagas(&self, order_id: &str) -> ReadRequest<Value> {
        ReadRequest::new(self, &["orders", order_id, "saga"])
    }

    /// Begins to rebuild these read models.
    pub fn replay(&self, projections: &[&str]) -> Command<Replay> {
        Command::unkeyed(self, Method::POST, &["admin", "replays"], Some(&json!({ "projections": projections })))
    }

    /// The replays that there are.
    pub fn replays(&self) -> ReadRequest<Page<Replay>> {
        ReadRequest::new(self, &["admin", "replays"])
    }

    /// How far a replay is.
    pub fn replay_progress(&self, id: &str) -> ReadRequest<Replay> {
        ReadRequest::new(self, &["admin", "replays", id])
    }

    /// Cancels a replay.
    pub fn cancel_replay(&self, id: &str) -> Command<()> {
        Command::unkeyed(self, Method::DELETE, &["admin", "replays", id], None::<&()>)
    }

    /// The JSON of a route that has no method here.
    pub fn get(&self, segments: &[&str], parameters: &[(&str, &str)]) -> ReadRequest<Value> {
        parameters.iter().fold(ReadRequest::new(self, segments), |query, (name, value)| query.parameter(name, value))
    }
}

/// A saga of an order that waits or is stuck.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WaitingSagaSummary {
    pub order_id: String,
    /// `running` or `stuck`.
    pub state: String,
    #[serde(default)]
    pub step: Option<String>,
}

/// A rebuild of read models.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Replay {
    pub id: String,
    pub projections: Vec<String>,
    pub phase: String,
    /// Whether a process works on it right now.
    #[serde(default)]
    pub running: bool,
    #[serde(default)]
    pub events: u64,
    #[serde(default)]
    pub total: u64,
    #[serde(default)]
    pub error: Option<String>,
}

/// Whether a process has what it needs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// `ready`, `degraded` or `not-ready`.
    pub status: String,
    #[serde(default)]
    pub checks: Vec<HealthCheck>,
}

/// One thing that a process needs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct HealthCheck {
    pub name: String,
    pub ok: bool,
    #[serde(default)]
    pub error: Option<String>,
}

impl Health {
    /// Whether it takes requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.status.as_str(), "ready" | "degraded")
    }
}
