//! What people did: `GET /audit`. It is read from the log, by the index of the events that people caused.

use access_control::{AuthorizedCaller, Role};
use axum::extract::State;
use axum::{Extension, Json};
use chrono::{DateTime, Utc};
use event_store::{EventFilter, LogDirection, StoredEvent};
use http::HeaderMap;
use problem::{ClientNetwork, Problem, QueryParameters};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{LogRequest, add_period, cursor, go_on};
use crate::described;
use crate::parameters::ParameterErrors;
use crate::reads::ReadRouteState;
use crate::timeline::TimelineEntry;

/// Who works for the shop or runs the platform. The index `events_of_people` has what they caused.
const PEOPLE: [Role; 4] = [Role::Operator, Role::Support, Role::Finance, Role::Warehouse];

pub(crate) fn routes() -> OpenApiRouter<ReadRouteState> {
    OpenApiRouter::new().routes(routes!(audit))
}

/// A page of what people did. If it has a cursor, there may be more, even if it has nothing.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditPage {
    items: Vec<AuditEntry>,
    cursor: Option<String>,
}

/// Something that a person did.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditEntry {
    /// Who did it: a role and a subject.
    #[schema(example = "operator:ann")]
    actor: String,
    recorded_at: DateTime<Utc>,
    /// The event that tells of it.
    #[serde(rename = "type")]
    event_type: String,
    /// What an operator decided about a step of a saga, or about a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "retry")]
    verb: Option<String>,
    /// The step of the saga that the decision is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Why, if it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// `order`, `stock` or `dead_letter`.
    stream_type: String,
    /// The id of the order, the SKU, or the queue and the id of the dead letter.
    stream_id: String,
    /// The version of the stream after it.
    version: i64,
    /// Its place in the log.
    position: i64,
    event_id: Uuid,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditParameters {
    /// Only what this person did.
    #[param(pattern = "^(operator|support|finance|warehouse):.", example = "operator:ann")]
    actor: Option<String>,
    /// Only what was recorded at this instant or later.
    #[param(schema_with = described::instant_or_day)]
    from: Option<String>,
    /// Only what was recorded before this instant.
    #[param(schema_with = described::instant_or_day)]
    to: Option<String>,
    /// The most entries of the page; 50 if it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
    /// The cursor of the page before.
    cursor: Option<String>,
    /// Only checked against the end of the log: the list is never behind it.
    #[param(minimum = 0)]
    min_position: Option<i64>,
}

/// What people did
///
/// What operators, support, finance and warehouse had done to orders, stock and dead letters, the newest first: not what the shop's own back end, its
/// customers and the sagas did. A page can be shorter than `limit`, or empty: as long as there is a `cursor`, there may be more.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "operations",
    operation_id = "listAudit",
    params(AuditParameters),
    responses((status = 200, description = "A page of what people did", body = AuditPage))
)]
pub(crate) async fn audit(
    State(reads): State<ReadRouteState>,
    parameters: Result<QueryParameters<AuditParameters>, Problem>,
    caller: AuthorizedCaller,
    peer: Option<Extension<ClientNetwork>>,
    headers: HeaderMap,
) -> Result<Json<AuditPage>, Problem> {
    let parameters = parameters?.0;
    let min_position = parameters.min_position;
    let request = parameters.parse()?;
    reads.position_in_log(min_position, &headers).await?;
    let page = request.read(&reads, &caller, peer).await?;
    let entries = page.events.into_iter().filter(|event| domain::streams::is_known(&event.stream_type));
    let items = entries.map(AuditEntry::of).collect::<Result<_, _>>().map_err(Problem::internal)?;
    Ok(Json(AuditPage { items, cursor: page.next.map(|next| next.to_string()) }))
}

impl AuditParameters {
    fn parse(self) -> Result<LogRequest, Problem> {
        let mut errors = ParameterErrors::default();
        let actor = errors.parse("actor", self.actor, |actor| {
            let role = actor.split_once(':').filter(|(_, subject)| !subject.is_empty()).map(|(role, _)| role.parse());
            match role {
                Some(Ok(role)) if PEOPLE.contains(&role) => Ok(actor),
                Some(_) | None => Err("must be operator, support, finance or warehouse, with a colon and who it is"),
            }
        });
        let mut filter = EventFilter { by_people: true, actor, ..EventFilter::default() };
        let limit = errors.page_limit(self.limit);
        add_period(&mut filter, &mut errors, self.from, self.to);
        go_on(&mut filter, LogDirection::NewestFirst, errors.parse("cursor", self.cursor, cursor));
        errors.into_result()?;
        Ok(LogRequest { filter, direction: LogDirection::NewestFirst, limit })
    }
}

impl AuditEntry {
    fn of(event: StoredEvent) -> Result<Self, serde_json::Error> {
        let known = event.metadata().actor.unwrap_or_default();
        let (stream_type, stream_id) = (event.stream_type.clone(), event.stream_id.clone());
        let entry = TimelineEntry::try_from(event)?;
        let data: Value = serde_json::from_str(entry.data()).unwrap_or_default();
        let text = |name: &str| data[name].as_str().map(str::to_owned);
        let role = known.split_once(':').and_then(|(role, _)| role.parse().ok());
        // Builds before roles: what is listed then is a decision of an operator, which says whose.
        let without_role = || format!("{}:{}", Role::Operator, text("actor").unwrap_or_default());
        let actor = if role.is_some_and(|role| PEOPLE.contains(&role)) { known } else { without_role() };
        Ok(Self {
            actor,
            recorded_at: entry.recorded_at,
            verb: verb(&data["verb"]),
            step: text("step"),
            reason: text("reason"),
            stream_type,
            stream_id,
            version: entry.version,
            position: entry.position,
            event_id: entry.event_id,
            event_type: entry.event_type,
        })
    }
}

/// The name of an operator's decision. One that has an input is stored as an object with its name.
fn verb(decision: &Value) -> Option<String> {
    match decision.as_str() {
        Some(name) => Some(name.to_owned()),
        None => decision.as_object()?.keys().next().cloned(),
    }
}

#[cfg(test)]
mod tests {
    use domain::order::saga::OperatorDecision;

    use super::*;

    #[test]
    fn every_decision_has_its_name() {
        let decisions = [
            OperatorDecision::Retry { payment_token: None },
            OperatorDecision::Skip,
            OperatorDecision::Compensate,
            OperatorDecision::MarkSucceeded { reference: "r-1".to_owned() },
            OperatorDecision::MarkFailed,
        ];
        let named = decisions.map(|decision| verb(&serde_json::to_value(decision).unwrap()).unwrap());
        assert_eq!(named, ["retry", "skip", "compensate", "markSucceeded", "markFailed"]);
        assert_eq!(verb(&Value::Null), None);
    }
}
