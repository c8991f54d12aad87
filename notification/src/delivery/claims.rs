//! Claims on mails, so that only one process sends a mail.
//!
//! A claim is an advisory lock. One session of this process holds all its claims: taking many of them is one statement,
//! and writes nothing. A claim is released when the outcome is recorded, or ends with the session: at once if the
//! process dies, and by `idle_session_timeout` if it freezes or is cut off. So no crash blocks a mail.
//!
//! The claim is taken first, and then the record is read, in a statement of its own: a statement does not see what was
//! committed after it began.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, Executor, PgConnection, PgPool, Postgres};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{DeliveryOutcome, DeliveryRecordError, DeliveryRecordRow, within};

/// Takes the claims of this process. Clones share the session.
#[derive(Debug, Clone)]
pub(super) struct MailClaims {
    commands: UnboundedSender<ClaimCommand>,
}

/// What a claim found.
#[derive(Debug)]
pub(super) enum ClaimResult {
    /// The mail has no outcome. The caller has claimed it now.
    Free(ClaimGuard),
    /// The mail has an outcome. The caller has claimed it all the same, in case it tries again.
    Decided(DeliveryOutcome, ClaimGuard),
    /// Another process has claimed it.
    Elsewhere,
}

/// Dropping it releases the claim.
#[derive(Debug)]
pub(super) struct ClaimGuard {
    id: Uuid,
    commands: UnboundedSender<ClaimCommand>,
}

impl MailClaims {
    /// `bound`: how long a claim outlives a frozen process, and how long the server may take. The task and its session
    /// end when all claims are dropped.
    pub(super) fn start(pool: PgPool, bound: Duration) -> (Self, JoinHandle<()>) {
        let (commands, received) = unbounded_channel();
        let keeper =
            ClaimKeeper { pool, bound, commands: commands.downgrade(), session: None, claimed: HashMap::new() };
        (Self { commands }, tokio::spawn(keeper.run(received)))
    }

    /// Claims the mail, after earlier claims of it in this process are released.
    pub(super) async fn claim(&self, id: Uuid) -> Result<ClaimResult, DeliveryRecordError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(ClaimCommand::Claim(id, answer)).map_err(|_| DeliveryRecordError::Ending)?;
        answered.await.unwrap_or(Err(DeliveryRecordError::Ending))
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        // Without the keeper there is no session, and so no claim.
        let _ = self.commands.send(ClaimCommand::Release(self.id));
    }
}

#[derive(Debug)]
enum ClaimCommand {
    Claim(Uuid, ClaimAnswer),
    Release(Uuid),
}

type ClaimAnswer = oneshot::Sender<Result<ClaimResult, DeliveryRecordError>>;

/// The most commands that are sent to the server at once.
const MAX_COMMANDS: usize = 1_000;

/// The owner of the session.
struct ClaimKeeper {
    pool: PgPool,
    bound: Duration,
    commands: WeakUnboundedSender<ClaimCommand>,
    session: Option<PoolConnection<Postgres>>,
    /// The claimed mails, each with the callers that wait for it here: the server would grant the lock again to the
    /// same session.
    claimed: HashMap<Uuid, Vec<ClaimAnswer>>,
}

impl ClaimKeeper {
    async fn run(mut self, mut received: UnboundedReceiver<ClaimCommand>) {
        let mut commands = Vec::new();
        loop {
            // Everything that came during the last exchange is sent together.
            match tokio::time::timeout(self.bound / 3, received.recv_many(&mut commands, MAX_COMMANDS)).await {
                Ok(0) => return,
                Ok(_) => self.execute(mem::take(&mut commands)).await,
                Err(_) => self.keep_alive().await,
            }
        }
    }

    async fn execute(&mut self, commands: Vec<ClaimCommand>) {
        let (mut released, mut wanted) = (Vec::new(), Vec::new());
        for command in commands {
            let again = match command {
                ClaimCommand::Claim(id, answer) => (id, vec![answer]),
                ClaimCommand::Release(id) => {
                    released.push(id);
                    (id, self.claimed.remove(&id).unwrap_or_default())
                }
            };
            for answer in again.1 {
                match self.claimed.entry(again.0) {
                    Entry::Occupied(claimed) => claimed.into_mut().push(answer),
                    Entry::Vacant(free) => {
                        free.insert(Vec::new());
                        wanted.push((again.0, answer));
                    }
                }
            }
        }
        let ids: Vec<Uuid> = wanted.iter().map(|(id, _)| *id).collect();
        match self.exchange(&released, &ids).await {
            Ok(found) => wanted.into_iter().zip(found).for_each(|((id, answer), found)| self.answer(id, answer, found)),
            Err(source) => {
                let source = Arc::new(source);
                for (id, answer) in wanted {
                    for answer in self.claimed.remove(&id).unwrap_or_default().into_iter().chain([answer]) {
                        let _ = answer.send(Err(DeliveryRecordError::Claim { source: Arc::clone(&source) }));
                    }
                }
            }
        }
    }

    fn answer(&mut self, id: Uuid, answer: ClaimAnswer, found: ClaimLockResult) {
        // If the answer is not taken, the guard is dropped and its release comes back as a command.
        let held =
            || self.commands.upgrade().map(|commands| ClaimGuard { id, commands }).ok_or(DeliveryRecordError::Ending);
        let _ = match found {
            ClaimLockResult::Undecided => answer.send(held().map(ClaimResult::Free)),
            ClaimLockResult::Decided(outcome) => answer.send(held().map(|held| ClaimResult::Decided(outcome, held))),
            ClaimLockResult::Elsewhere => {
                for waiting in self.claimed.remove(&id).unwrap_or_default() {
                    let _ = waiting.send(Ok(ClaimResult::Elsewhere));
                }
                answer.send(Ok(ClaimResult::Elsewhere))
            }
        };
    }

    /// A lost session is usually noticed here. Then the exchange is repeated in a new one.
    async fn exchange(&mut self, released: &[Uuid], wanted: &[Uuid]) -> Result<Vec<ClaimLockResult>, sqlx::Error> {
        let had_session = self.session.is_some();
        match self.exchange_once(released, wanted).await {
            Err(error) if had_session => {
                tracing::debug!(%error, "the session of the claims is gone");
                self.exchange_once(released, wanted).await
            }
            answered => answered,
        }
    }

    async fn exchange_once(&mut self, released: &[Uuid], wanted: &[Uuid]) -> Result<Vec<ClaimLockResult>, sqlx::Error> {
        within(self.bound, async {
            // Taken out: a session in which anything failed is closed, and its claims end.
            let (mut session, released) = match self.session.take() {
                Some(session) => (session, released),
                None => (self.open(wanted).await?, [].as_slice()),
            };
            let found = exchange(&mut session, released, wanted).await?;
            self.session = Some(session);
            Ok(found)
        })
        .await
    }

    /// Opens a session that takes all claims of this process again, except `wanted`.
    async fn open(&self, wanted: &[Uuid]) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let mut session = self.pool.acquire().await?;
        session.close_on_drop();
        session.execute(format!("set idle_session_timeout = {}", self.bound.as_millis()).as_str()).await?;
        let claimed: Vec<Uuid> = self.claimed.keys().filter(|id| !wanted.contains(id)).copied().collect();
        if !claimed.is_empty() {
            let lost = exchange(&mut session, &[], &claimed).await?;
            let lost = lost.iter().filter(|found| matches!(found, ClaimLockResult::Elsewhere)).count();
            tracing::warn!(claims = claimed.len(), lost, "the session of the claims was lost, and taken up again");
        }
        Ok(session)
    }

    /// Pings the server, so that it keeps the session. Opens a new one if it did not.
    async fn keep_alive(&mut self) {
        let Some(session) = &mut self.session else { return };
        if within(self.bound, session.ping()).await.is_err() {
            self.session = None;
            if !self.claimed.is_empty()
                && let Err(error) = self.exchange_once(&[], &[]).await
            {
                tracing::warn!(%error, "claims can't be renewed");
            }
        }
    }
}

enum ClaimLockResult {
    Undecided,
    Decided(DeliveryOutcome),
    Elsewhere,
}

/// Releases some claims and takes others. Returns what it found for each of the latter.
async fn exchange(
    session: &mut PgConnection,
    released: &[Uuid],
    wanted: &[Uuid],
) -> Result<Vec<ClaimLockResult>, sqlx::Error> {
    if released.is_empty() && wanted.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<i64> = released.iter().chain(wanted).map(key).collect();
    let answers: Vec<bool> = sqlx::query_scalar(
        "select case when nth > $2 then pg_try_advisory_lock(key) else pg_advisory_unlock(key) end
           from unnest($1::bigint[]) with ordinality as claims(key, nth)",
    )
    .bind(keys)
    .bind(i64::try_from(released.len()).unwrap_or(i64::MAX))
    .fetch_all(&mut *session)
    .await?;
    let taken = answers.into_iter().skip(released.len());
    let taken: Vec<(Uuid, bool)> = wanted.iter().copied().zip(taken).collect();
    let ours: Vec<Uuid> = taken.iter().filter(|(_, ours)| *ours).map(|(id, _)| *id).collect();
    if ours.is_empty() {
        return Ok(taken.iter().map(|_| ClaimLockResult::Elsewhere).collect());
    }
    let decided: Vec<DeliveryRecordRow> = sqlx::query_as(
        "select notification_id, recipient, outcome, provider_message_id, reason
           from notification_deliveries where notification_id = any($1)",
    )
    .bind(ours)
    .fetch_all(session)
    .await?;
    let mut decided: HashMap<Uuid, DeliveryOutcome> =
        decided.into_iter().map(|row| (row.notification_id, row.into())).collect();
    let found = |(id, ours)| match decided.remove(&id) {
        Some(outcome) => ClaimLockResult::Decided(outcome),
        None if ours => ClaimLockResult::Undecided,
        None => ClaimLockResult::Elsewhere,
    };
    Ok(taken.into_iter().map(found).collect())
}

/// The lock key of a mail. Two mails with the same key would only wait for each other.
fn key(id: &Uuid) -> i64 {
    let (high, _) = id.as_u64_pair();
    high.cast_signed()
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    const BOUND: Duration = Duration::from_secs(15);

    #[tokio::test]
    async fn a_claim_is_taken_anew_when_its_session_is_lost() {
        let database = testkit::database().await;
        let (ours, _) = MailClaims::start(database.pool().clone(), BOUND);
        let (theirs, _) = MailClaims::start(database.pool().clone(), BOUND);
        let ClaimResult::Free(held) = ours.claim(id(1)).await.unwrap() else { panic!("it is nobody's") };
        assert!(matches!(theirs.claim(id(1)).await.unwrap(), ClaimResult::Elsewhere));

        let ending = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 1
                      and database = (select oid from pg_database where datname = current_database())";
        sqlx::query(ending).execute(database.pool()).await.unwrap();
        assert!(matches!(ours.claim(id(2)).await.unwrap(), ClaimResult::Free(_)), "a new session is made for it");

        assert!(matches!(theirs.claim(id(1)).await.unwrap(), ClaimResult::Elsewhere));
        drop(held);
        testkit::eventually(BOUND, || async { matches!(theirs.claim(id(1)).await.unwrap(), ClaimResult::Free(_)) })
            .await;
    }

    #[tokio::test]
    async fn those_who_want_the_same_mail_here_get_it_one_after_the_other() {
        let database = testkit::database().await;
        let (claims, _) = MailClaims::start(database.pool().clone(), BOUND);
        let first = claims.claim(id(1)).await.unwrap();
        let [second, third] =
            [claims.clone(), claims.clone()].map(|it| tokio::spawn(async move { it.claim(id(1)).await }));
        // Asked for later, and answered: the others have been looked at by then, and wait.
        assert!(matches!(claims.claim(id(2)).await.unwrap(), ClaimResult::Free(_)));
        assert!(!second.is_finished() && !third.is_finished());

        drop(first);

        for waiting in [second, third] {
            assert!(matches!(waiting.await.unwrap().unwrap(), ClaimResult::Free(_)));
        }
    }

    #[tokio::test]
    async fn the_session_ends_with_the_last_claim() {
        let database = testkit::database().await;
        let (claims, serving) = MailClaims::start(database.pool().clone(), BOUND);
        let held = claims.claim(id(1)).await.unwrap();
        drop(claims);
        assert!(!serving.is_finished());

        drop(held);

        testkit::eventually(BOUND, || ready(serving.is_finished())).await;
    }

    fn id(nth: u128) -> Uuid {
        Uuid::from_u128(nth << 64)
    }
}
