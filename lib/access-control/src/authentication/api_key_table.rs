//! The table of API keys.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};

use super::api_key::{ApiKeyId, PlaintextApiKey};
use super::claims::{is_customer, is_subject};
use crate::Role;

/// The most keys that are valid at the same time: each process has them all in memory, some 300 bytes each.
pub(super) const MOST_ACTIVE: i64 = 10_000;
/// The advisory lock of whoever makes a key.
const CREATING: i64 = 0x6f72_646f_5f6b_6579;
/// The most keys that are listed.
const MOST_LISTED: i64 = 20_000;

/// An API key to be made.
#[derive(Debug, Clone)]
pub struct ApiKeyRequest {
    pub role: Role,
    /// Whose orders it sees: for the role `customer`, and for it alone.
    pub customer_id: Option<String>,
    /// The subject of its principal; `None`: its id.
    pub name: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// Why an API key is not made, listed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    #[error("the name must have 1 to 255 bytes and no control characters")]
    Name,
    #[error("the role customer needs a customer's id: 1 to 128 of A-Z a-z 0-9 . _ : -")]
    CustomerMissing,
    #[error("a customer's id goes with the role customer alone")]
    CustomerGiven,
    #[error("an API key of another customer has this name")]
    NameTaken,
    #[error("there are {MOST_ACTIVE} API keys already: revoke some")]
    TooMany,
    #[error("there is no API key {0}")]
    Unknown(ApiKeyId),
    #[error("this machine has no random numbers")]
    Random,
    #[error("the table of API keys can't be used")]
    Database(#[from] sqlx::Error),
}

/// A stored API key, without its secret and without the secret's hash.
#[derive(Debug, Clone, FromRow)]
pub struct ApiKeyRow {
    pub id: String,
    pub role: String,
    pub customer_id: Option<String>,
    pub name: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// To the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl ApiKeyRequest {
    /// Makes the key. Its secret is known from here only.
    pub async fn create(&self, database: &PgPool) -> Result<PlaintextApiKey, ApiKeyError> {
        if self.name.as_deref().is_some_and(|name| !is_subject(name)) {
            return Err(ApiKeyError::Name);
        }
        match (self.role, &self.customer_id) {
            (Role::Customer, Some(id)) if is_customer(id) => {}
            (Role::Customer, _) => return Err(ApiKeyError::CustomerMissing),
            (_, Some(_)) => return Err(ApiKeyError::CustomerGiven),
            (_, None) => {}
        }
        let key = PlaintextApiKey::generate().ok_or(ApiKeyError::Random)?;
        // One after the other, so that two that are made at the same time count each other.
        let mut transaction = database.begin().await?;
        sqlx::query("select pg_advisory_xact_lock($1)").bind(CREATING).execute(&mut *transaction).await?;
        // Events name a customer by this name.
        let taken = sqlx::query_scalar(
            "select exists (select 1 from api_keys
             where role = $1 and customer_id <> $2 and name = $3 and revoked_at is null)",
        );
        let taken = taken.bind(Role::Customer.as_str()).bind(&self.customer_id).bind(&self.name);
        if taken.fetch_one(&mut *transaction).await? {
            return Err(ApiKeyError::NameTaken);
        }
        let created = sqlx::query(
            "insert into api_keys (id, secret_hash, role, customer_id, name, expires_at)
             select $1, $2, $3, $4, $5, $6
             where (select count(*) from api_keys
                    where revoked_at is null and (expires_at is null or expires_at > now())) < $7",
        )
        .bind(key.id.to_string())
        .bind(key.hash().as_slice())
        .bind(self.role.as_str())
        .bind(&self.customer_id)
        .bind(&self.name)
        .bind(self.expires_at)
        .bind(MOST_ACTIVE)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        if created.rows_affected() == 0 { Err(ApiKeyError::TooMany) } else { Ok(key) }
    }
}

impl ApiKeyRow {
    /// The keys, those made last first. `with_ended`: also those that were revoked or have expired.
    pub async fn list(database: &PgPool, with_ended: bool) -> Result<Vec<Self>, ApiKeyError> {
        let keys = sqlx::query_as(
            "select id, role, customer_id, name, created_at, expires_at, revoked_at, last_used_at from api_keys
             where $1 or (revoked_at is null and (expires_at is null or expires_at > now()))
             order by created_at desc, id limit $2",
        );
        Ok(keys.bind(with_ended).bind(MOST_LISTED).fetch_all(database).await?)
    }

    /// Revokes a key for good. One that was revoked before keeps the time of that.
    pub async fn revoke(database: &PgPool, id: &ApiKeyId) -> Result<(), ApiKeyError> {
        let revoked = sqlx::query("update api_keys set revoked_at = coalesce(revoked_at, now()) where id = $1");
        let revoked = revoked.bind(id.to_string()).execute(database).await?;
        if revoked.rows_affected() == 0 { Err(ApiKeyError::Unknown(id.clone())) } else { Ok(()) }
    }
}
