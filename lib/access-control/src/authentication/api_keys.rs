//! The API keys that are valid, and when each was used last.
//!
//! Each process has a copy of all of them, which it loads every few seconds. A key that is not in it, such as a new one, has the copy
//! loaded again, once a second at most: keys that somebody makes up cost the database nothing more than that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool};
use tokio_util::task::AbortOnDropHandle;

use super::api_key::{ApiKeyId, PlaintextApiKey};
use super::api_key_table::MOST_ACTIVE;
use super::refreshed::{LoadError, RefreshSource, RefreshTiming, RefreshedCopy};
use super::{AuthenticationError, InvalidCredential};
use crate::{Principal, Role};

/// How old the copy may be. So a revocation takes effect within this time.
pub(super) const OLDEST_COPY: Duration = Duration::from_secs(10);

pub(super) const TIMING: RefreshTiming = RefreshTiming {
    refresh: Duration::from_secs(5),
    retry: Duration::from_secs(5),
    pause: Duration::from_secs(1),
    timeout: Duration::from_secs(3),
};

/// How often the times of last use are written.
const USES_WRITTEN: Duration = Duration::from_secs(60);

/// Verifies API keys against a copy of their table, and records when each was last used.
#[derive(Debug)]
pub(super) struct ApiKeyVerifier {
    keys: RefreshedCopy<ActiveKeys>,
    uses: Arc<Uses>,
    database: PgPool,
    _writer: AbortOnDropHandle<()>,
}

/// By their ids.
type ActiveKeys = HashMap<ApiKeyId, ActiveApiKey>;

/// What is known of an API key that is neither revoked nor expired.
#[derive(Debug)]
pub(super) struct ActiveApiKey {
    hash: [u8; 32],
    principal: Principal,
}

impl ApiKeyVerifier {
    pub(super) fn start(database: PgPool, timing: RefreshTiming) -> Self {
        let uses = Arc::new(Uses::default());
        let writer = tokio::spawn(write_uses(database.clone(), Arc::clone(&uses)));
        let keys = RefreshedCopy::start(Table(database.clone()), timing);
        Self { keys, uses, database, _writer: AbortOnDropHandle::new(writer) }
    }

    pub(super) async fn verify(&self, text: &str) -> Result<Principal, AuthenticationError> {
        let secret = PlaintextApiKey::parse(text)?;
        let mut keys = self.keys.current();
        let is_recent = |as_of: tokio::time::Instant| as_of.elapsed() <= OLDEST_COPY;
        let is_known = keys.value.as_ref().is_some_and(|keys| keys.contains_key(&secret.id));
        if !is_known || !is_recent(keys.as_of) {
            keys = self.keys.reloaded().await;
        }
        let Some(active) = keys.value.filter(|_| is_recent(keys.as_of)) else {
            return Err(AuthenticationError::Unavailable("the API keys can't be loaded".into()));
        };
        let key = match active.get(&secret.id) {
            Some(key) => key,
            // It may have been made after the copy.
            None if keys.failed => {
                return Err(AuthenticationError::Unavailable("the API keys can't be loaded".into()));
            }
            None => return Err(InvalidCredential::UnknownApiKey(secret.id).into()),
        };
        if !secret.is_hashed_as(&key.hash) {
            return Err(InvalidCredential::ApiKeySecret(secret.id).into());
        }
        let now = SystemTime::now();
        if key.principal.expires_at().is_some_and(|expiry| expiry <= now) {
            return Err(InvalidCredential::ExpiredApiKey(secret.id).into());
        }
        self.uses.note(secret.id, now);
        Ok(key.principal.clone())
    }

    /// Writes the times of last use that are not written yet.
    pub(super) async fn write_uses(&self) {
        write_uses_once(&self.database, &self.uses).await;
    }
}

/// The table, of which the copy is made.
struct Table(PgPool);

#[derive(Debug, FromRow)]
struct Row {
    id: String,
    secret_hash: Vec<u8>,
    role: String,
    customer_id: Option<String>,
    name: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

impl RefreshSource for Table {
    type Value = ActiveKeys;

    fn name(&self) -> String {
        "the table of API keys".to_owned()
    }

    async fn load(&self) -> Result<ActiveKeys, LoadError> {
        let mut rows: Vec<Row> = sqlx::query_as(
            "select id, secret_hash, role, customer_id, name, expires_at from api_keys
             where revoked_at is null and (expires_at is null or expires_at > now())
             order by created_at, id limit $1",
        )
        .bind(MOST_ACTIVE + 1)
        .fetch_all(&self.0)
        .await?;
        // `ApiKeyRequest::create` makes no more. What was in use before stays.
        let most = usize::try_from(MOST_ACTIVE).unwrap_or(usize::MAX);
        if let Some(left_out) = rows.get(most..).filter(|rest| !rest.is_empty()) {
            let first = left_out.first().map(|row| row.id.as_str());
            tracing::error!(
                first,
                "there are more than {MOST_ACTIVE} valid API keys, so the newest are left out: revoke some"
            );
        }
        rows.truncate(most);
        Ok(rows.into_iter().filter_map(active).collect())
    }
}

/// The key of a row. A later build may know roles that this one does not: such a key is left out.
fn active(row: Row) -> Option<(ApiKeyId, ActiveApiKey)> {
    let Row { id, secret_hash, role, customer_id, name, expires_at } = row;
    let key = (|| {
        let (key_id, role) = (id.parse::<ApiKeyId>().ok()?, role.parse::<Role>().ok()?);
        let (subject, expires_at) = (name.as_ref().unwrap_or(&id), expires_at.map(SystemTime::from));
        let principal = match (role, customer_id) {
            (Role::Customer, Some(customer_id)) => Principal::customer(subject, customer_id, expires_at),
            (Role::Customer, None) | (_, Some(_)) => return None,
            (role, None) => Principal::new(role, subject, expires_at),
        };
        Some((key_id, ActiveApiKey { hash: secret_hash.try_into().ok()?, principal }))
    })();
    if key.is_none() {
        tracing::warn!(key = id, role, "an API key is not known to this build and is left out");
    }
    key
}

/// When keys were used last, as long as it is not written: one time for each key.
#[derive(Debug, Default)]
struct Uses {
    noted: Mutex<HashMap<ApiKeyId, SystemTime>>,
    /// Held while they are written, so that whoever writes them at a stop waits for a write that is under way.
    writing: tokio::sync::Mutex<()>,
}

impl Uses {
    fn note(&self, id: ApiKeyId, now: SystemTime) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(id, now);
    }

    fn take(&self) -> HashMap<ApiKeyId, SystemTime> {
        std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back what could not be written, but for keys that were used since.
    fn put_back(&self, uses: HashMap<ApiKeyId, SystemTime>) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, at) in uses {
            noted.entry(id).or_insert(at);
        }
    }
}

async fn write_uses(database: PgPool, uses: Arc<Uses>) {
    loop {
        tokio::time::sleep(USES_WRITTEN).await;
        write_uses_once(&database, &uses).await;
    }
}

async fn write_uses_once(database: &PgPool, uses: &Uses) {
    let _writing = uses.writing.lock().await;
    let noted = uses.take();
    if noted.is_empty() {
        return;
    }
    let (ids, times): (Vec<_>, Vec<_>) =
        noted.iter().map(|(id, at)| (id.to_string(), DateTime::<Utc>::from(*at))).unzip();
    // In the order of the ids, so that two processes never wait for each other.
    let written = sqlx::query(
        "with used as (select id, used_at from unnest($1::text[], $2::timestamptz[]) as used (id, used_at)),
              ours as (select id from api_keys where id in (select id from used) order by id for update)
         update api_keys set last_used_at = greatest(last_used_at, used.used_at)
         from used join ours using (id) where api_keys.id = used.id",
    );
    if let Err(error) = written.bind(ids).bind(times).execute(database).await {
        tracing::debug!(%error, "when API keys were used last is not written yet");
        uses.put_back(noted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::{ApiKeyRequest, ApiKeyRow};

    #[tokio::test]
    async fn the_last_use_is_written_once_and_never_goes_back() {
        let database = testkit::database().await;
        let new = ApiKeyRequest { role: Role::Shop, customer_id: None, name: None, expires_at: None };
        let secret = new.create(database.pool()).await.unwrap();
        let keys = ApiKeyVerifier::start(database.pool().clone(), TIMING);
        let last_use = async || ApiKeyRow::list(database.pool(), false).await.unwrap()[0].last_used_at;

        for _ in 0..3 {
            keys.verify(secret.expose()).await.unwrap();
        }
        assert_eq!(last_use().await, None, "not while requests are answered");
        keys.write_uses().await;
        let first = last_use().await.unwrap();
        assert!(keys.uses.take().is_empty());

        keys.uses.note(secret.id.clone(), SystemTime::UNIX_EPOCH);
        write_uses_once(database.pool(), &keys.uses).await;
        assert_eq!(last_use().await, Some(first), "another process noted a later one");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_later() {
        let options = sqlx::postgres::PgPoolOptions::new().acquire_timeout(Duration::from_millis(100));
        let nowhere = options.connect_lazy("postgres://ordo@127.0.0.1:1/ordo").unwrap();
        let (uses, id) = (Uses::default(), "0123456789abcdef".parse::<ApiKeyId>().unwrap());
        let now = SystemTime::now();
        uses.note(id.clone(), now);
        write_uses_once(&nowhere, &uses).await;
        assert_eq!(uses.take(), HashMap::from([(id, now)]));
    }
}
