//! Endpoints: where events are posted to, and what operators do with them.

use access_control::Role;
use chrono::{DateTime, Utc};
use domain::order::OrderEvent;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::endpoint_url::EndpointUrl;
use crate::secret::WebhookSecret;

/// The most endpoints. Each event has a delivery for each of them.
pub(crate) const MOST_ENDPOINTS: i64 = 50;
const LONGEST_DESCRIPTION: usize = 512;
/// For how long what was signed with the secret before is signed with it as well.
const PREVIOUS_SECRET_SIGNS: &str = "24 hours";

/// The advisory lock of who records deliveries (shared) and of who makes or changes an endpoint (alone): no event is recorded by what
/// an endpoint was a moment ago.
const ENDPOINTS: i64 = 0x6f72_646f_5f77_6862;

/// The roles whose view of events an endpoint can have. Customers see their own orders alone, and the others see what the shop does.
pub const ENDPOINT_ROLES: [Role; 3] = [Role::Auditor, Role::Warehouse, Role::Shop];

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct NewEndpoint {
    url: EndpointUrl,
    description: String,
    event_types: Vec<String>,
    role: Role,
}

/// A mistake in what an endpoint is to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub struct EndpointMistake {
    /// `url`, `eventTypes`, `description` or `role`.
    pub field: &'static str,
    pub message: String,
}

impl NewEndpoint {
    /// `event_types`: empty for all. An error has all mistakes.
    pub fn new(
        url: Result<EndpointUrl, impl ToString>,
        description: String,
        mut event_types: Vec<String>,
        role: Role,
    ) -> Result<Self, Vec<EndpointMistake>> {
        let mut mistakes = Vec::new();
        let mut mistake = |field, message: String| mistakes.push(EndpointMistake { field, message });
        if description.len() > LONGEST_DESCRIPTION || description.chars().any(char::is_control) {
            let rule = format!("must have at most {LONGEST_DESCRIPTION} bytes and no control characters");
            mistake("description", rule);
        }
        event_types.sort();
        event_types.dedup();
        let known = |event_type: &&String| OrderEvent::NAMES.contains(&event_type.as_str());
        if let Some(unknown) = event_types.iter().find(|event_type| !known(event_type)) {
            let shown: String = unknown.chars().take(64).collect();
            mistake("eventTypes", format!("has {shown:?}; the events of orders are {}", OrderEvent::NAMES.join(", ")));
        }
        if !ENDPOINT_ROLES.contains(&role) {
            let roles = ENDPOINT_ROLES.map(Role::as_str).join(", ");
            mistake("role", format!("must be one of {roles}"));
        }
        match url {
            Ok(url) if mistakes.is_empty() => Ok(Self { url, description, event_types, role }),
            Ok(_) => Err(mistakes),
            Err(error) => {
                mistakes.insert(0, EndpointMistake { field: "url", message: error.to_string() });
                Err(mistakes)
            }
        }
    }
}

/// Why something about an endpoint could not be done.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("there are {MOST_ENDPOINTS} endpoints already: delete some")]
    TooMany,
    #[error("there is no endpoint {0}")]
    Unknown(Uuid),
    #[error("this machine has no random numbers")]
    Random,
    #[error("the endpoints can't be used")]
    Database(#[from] sqlx::Error),
}

/// An endpoint as operators see it, without its secret.
#[derive(Debug, Clone, FromRow)]
pub struct WebhookEndpoint {
    pub id: Uuid,
    pub url: String,
    pub description: String,
    /// Empty: all.
    pub event_types: Vec<String>,
    /// Whose view of the events it gets.
    pub role: String,
    pub created_at: DateTime<Utc>,
    /// It is told of the events after this position.
    pub from_position: i64,
    pub disabled_at: Option<DateTime<Utc>>,
    /// `operator`, `gone` (it answered 410) or `failing` (for too long).
    pub disabled_because: Option<String>,
    /// The position of the first event that was not recorded for it while it was disabled, and that no replay makes up for.
    pub missed_from: Option<i64>,
    /// The first of its failures since the last success, or since nothing was tried for more than a day.
    pub failing_since: Option<DateTime<Utc>>,
    /// How many there are.
    pub failures: i32,
    /// When it asked to be called again.
    pub not_before: Option<DateTime<Utc>>,
    /// Until when the secret before the last rotation signs as well.
    pub previous_secret_until: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "id, url, description, event_types, role, created_at, from_position, disabled_at, disabled_because, \
                       missed_from, failing_since, failures, not_before, \
                       case when previous_secret_until > now() then previous_secret_until end as previous_secret_until";

impl WebhookEndpoint {
    /// Makes an endpoint, which is told of all events from now on. Its secret is shown here only.
    pub async fn create(pool: &PgPool, new: &NewEndpoint) -> Result<(Self, WebhookSecret), EndpointError> {
        let secret = WebhookSecret::generate().ok_or(EndpointError::Random)?;
        let mut transaction = pool.begin().await?;
        change_alone(&mut transaction).await?;
        let insert = format!(
            "insert into webhook_endpoints (id, url, description, event_types, role, secret, from_position)
             select $1, $2, $3, $4, $5, $6, (select coalesce(max(global_position), 0) from events)
              where (select count(*) from webhook_endpoints where deleted_at is null) < $7
             returning {COLUMNS}"
        );
        let created: Option<Self> = sqlx::query_as(&insert)
            .bind(Uuid::now_v7())
            .bind(new.url.as_str())
            .bind(&new.description)
            .bind(&new.event_types)
            .bind(new.role.as_str())
            .bind(secret.as_bytes())
            .bind(MOST_ENDPOINTS)
            .fetch_optional(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok((created.ok_or(EndpointError::TooMany)?, secret))
    }

    /// All endpoints, the oldest first.
    pub async fn list(pool: &PgPool) -> Result<Vec<Self>, EndpointError> {
        let query = format!("select {COLUMNS} from webhook_endpoints where deleted_at is null order by created_at, id");
        Ok(sqlx::query_as(&query).fetch_all(pool).await?)
    }

    pub async fn find(pool: &PgPool, id: Uuid) -> Result<Self, EndpointError> {
        let query = format!("select {COLUMNS} from webhook_endpoints where id = $1 and deleted_at is null");
        let found = sqlx::query_as(&query).bind(id).fetch_optional(pool).await?;
        found.ok_or(EndpointError::Unknown(id))
    }

    /// Stops deliveries. Pending ones wait; events that come meanwhile have none.
    pub async fn disable(pool: &PgPool, id: Uuid) -> Result<Self, EndpointError> {
        let set = "disabled_because = case when disabled_at is null then 'operator' else disabled_because end,
                   disabled_at = coalesce(disabled_at, now())";
        change(pool, id, set).await
    }

    /// Delivers again. What waits is tried at once. Events that were missed are delivered by a replay only: `missed_from` says from
    /// where until there is one.
    pub async fn enable(pool: &PgPool, id: Uuid) -> Result<Self, EndpointError> {
        let mut transaction = pool.begin().await?;
        change_alone(&mut transaction).await?;
        let set = format!(
            "update webhook_endpoints set disabled_at = null, disabled_because = null, failing_since = null, failures = 0,
                                          not_before = null where id = $1 and deleted_at is null returning {COLUMNS}"
        );
        let enabled: Option<Self> = sqlx::query_as(&set).bind(id).fetch_optional(&mut *transaction).await?;
        let enabled = enabled.ok_or(EndpointError::Unknown(id))?;
        // Those that are in work have a claim.
        let due =
            "update webhook_queues set due_at = now() where endpoint_id = $1 and due_at > now() and claim is null";
        sqlx::query(due).bind(id).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(enabled)
    }

    /// Deletes it for good. What is under way may still arrive.
    pub async fn delete(pool: &PgPool, id: Uuid) -> Result<(), EndpointError> {
        let set = "deleted_at = now(), disabled_at = coalesce(disabled_at, now()),
                   disabled_because = coalesce(disabled_because, 'operator')";
        change(pool, id, set).await.map(drop)
    }

    /// Makes another secret, which is shown here only. The one before signs as well for a day.
    pub async fn rotate_secret(pool: &PgPool, id: Uuid) -> Result<(Self, WebhookSecret), EndpointError> {
        let secret = WebhookSecret::generate().ok_or(EndpointError::Random)?;
        let rotate = format!(
            "update webhook_endpoints set previous_secret = secret, secret = $2,
                                          previous_secret_until = now() + interval '{PREVIOUS_SECRET_SIGNS}'
              where id = $1 and deleted_at is null returning {COLUMNS}"
        );
        let rotated = sqlx::query_as(&rotate).bind(id).bind(secret.as_bytes()).fetch_optional(pool).await?;
        Ok((rotated.ok_or(EndpointError::Unknown(id))?, secret))
    }

    /// Disables one that has answered 410, or that has failed for too long. `None`: it is disabled already, or has succeeded since.
    pub(crate) async fn disable_by_itself(
        pool: &PgPool,
        id: Uuid,
        is_gone: bool,
        failing_for: std::time::Duration,
    ) -> Result<Option<&'static str>, sqlx::Error> {
        const HOPELESS: &str = "id = $1 and disabled_at is null and ($2 or failing_since < now() - $3)";
        // Nearly always it is not, and then nobody is to wait for the lock.
        let look = format!("select exists (select from webhook_endpoints where {HOPELESS})");
        let look = sqlx::query_scalar(&look).bind(id).bind(is_gone).bind(failing_for);
        if !look.fetch_one(pool).await? {
            return Ok(None);
        }
        let mut transaction = pool.begin().await?;
        change_alone(&mut transaction).await?;
        let disable = format!(
            "update webhook_endpoints
                set disabled_at = now(), disabled_because = case when $2 then 'gone' else 'failing' end where {HOPELESS}"
        );
        let disabled =
            sqlx::query(&disable).bind(id).bind(is_gone).bind(failing_for).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok((disabled.rows_affected() > 0).then_some(if is_gone { "gone" } else { "failing" }))
    }
}

/// How many endpoints were disabled because they were gone or failed for too long.
pub async fn disabled_endpoints(pool: &PgPool) -> Result<i64, sqlx::Error> {
    let query =
        "select count(*) from webhook_endpoints where disabled_because in ('gone', 'failing') and deleted_at is null";
    sqlx::query_scalar(query).fetch_one(pool).await
}

/// Changes an endpoint.
async fn change(pool: &PgPool, id: Uuid, set: &str) -> Result<WebhookEndpoint, EndpointError> {
    let mut transaction = pool.begin().await?;
    change_alone(&mut transaction).await?;
    let update = format!("update webhook_endpoints set {set} where id = $1 and deleted_at is null returning {COLUMNS}");
    let changed = sqlx::query_as(&update).bind(id).fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    changed.ok_or(EndpointError::Unknown(id))
}

/// Waits for those who record deliveries. Until the end of the transaction nobody records any.
async fn change_alone(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(ENDPOINTS).execute(connection).await.map(drop)
}

/// Until the end of the transaction no endpoint is made, enabled, disabled or deleted.
pub(crate) async fn keep_endpoints(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock_shared($1)").bind(ENDPOINTS).execute(connection).await.map(drop)
}
