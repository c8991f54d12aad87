//! Who may send a mail now.
//!
//! A claim is an advisory lock, held by the one session that this process has for all its claims: taking many is one statement,
//! and writes nothing. It is let go when the mail is decided, or ends with the session: at once if the process dies, and by the
//! server's own clock (`idle_session_timeout`) if it freezes or is cut off. So no crash holds up a mail.
//!
//! A claim says that nobody else is at work on the mail, and then the record is read: in this order, and in statements of their own,
//! because a statement does not see what was committed after it began.

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

use super::{DeliveryError, Outcome, Row, within};

/// Takes claims for the whole process; clones share its session.
#[derive(Debug, Clone)]
pub(super) struct Claims {
    asks: UnboundedSender<Ask>,
}

/// What was found about a mail.
#[derive(Debug)]
pub(super) enum Found {
    /// It is nobody's and undecided: it is the caller's now.
    Free(Held),
    /// It is decided. It is the caller's all the same, should that be decided anew.
    Decided(Outcome, Held),
    /// Another process is at work on it.
    Elsewhere,
}

/// A claim. Dropping it lets go of it.
#[derive(Debug)]
pub(super) struct Held {
    id: Uuid,
    asks: UnboundedSender<Ask>,
}

impl Claims {
    /// `bound` is how long a claim outlives a process that froze, and how long the server may take. The task ends, with its session,
    /// once the claims are dropped.
    pub(super) fn start(pool: PgPool, bound: Duration) -> (Self, JoinHandle<()>) {
        let (asks, asked) = unbounded_channel();
        let desk = Desk { pool, bound, asks: asks.downgrade(), session: None, claimed: HashMap::new() };
        (Self { asks }, tokio::spawn(desk.serve(asked)))
    }

    /// Claims the mail, once whoever is at work on it in this process is through.
    pub(super) async fn claim(&self, id: Uuid) -> Result<Found, DeliveryError> {
        let (answer, answered) = oneshot::channel();
        self.asks.send(Ask::Claim(id, answer)).map_err(|_| DeliveryError::Ending)?;
        answered.await.unwrap_or(Err(DeliveryError::Ending))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Without a desk there is no session, and so no claim.
        let _ = self.asks.send(Ask::Release(self.id));
    }
}

#[derive(Debug)]
enum Ask {
    Claim(Uuid, Answer),
    Release(Uuid),
}

type Answer = oneshot::Sender<Result<Found, DeliveryError>>;

/// The most that is asked of the server at once.
const MOST: usize = 1_000;

/// The one place that talks to the session.
struct Desk {
    pool: PgPool,
    bound: Duration,
    asks: WeakUnboundedSender<Ask>,
    session: Option<PoolConnection<Postgres>>,
    /// What is claimed here, each with those who wait for it here: the server would give a session the same lock again.
    claimed: HashMap<Uuid, Vec<Answer>>,
}

impl Desk {
    async fn serve(mut self, mut asked: UnboundedReceiver<Ask>) {
        let mut asks = Vec::new();
        loop {
            // Whatever came while the server was asked is asked for together.
            match tokio::time::timeout(self.bound / 3, asked.recv_many(&mut asks, MOST)).await {
                Ok(0) => return,
                Ok(_) => self.round(mem::take(&mut asks)).await,
                Err(_) => self.stay().await,
            }
        }
    }

    async fn round(&mut self, asks: Vec<Ask>) {
        let (mut released, mut wanted) = (Vec::new(), Vec::new());
        for ask in asks {
            let again = match ask {
                Ask::Claim(id, answer) => (id, vec![answer]),
                Ask::Release(id) => {
                    released.push(id);
                    (id, self.claimed.remove(&id).unwrap_or_default())
                }
            };
            for answer in again.1 {
                match self.claimed.entry(again.0) {
                    Entry::Occupied(at_work) => at_work.into_mut().push(answer),
                    Entry::Vacant(free) => {
                        free.insert(Vec::new());
                        wanted.push((again.0, answer));
                    }
                }
            }
        }
        let ids: Vec<Uuid> = wanted.iter().map(|(id, _)| *id).collect();
        match self.ask(&released, &ids).await {
            Ok(found) => wanted.into_iter().zip(found).for_each(|((id, answer), found)| self.tell(id, answer, found)),
            Err(source) => {
                let source = Arc::new(source);
                for (id, answer) in wanted {
                    for answer in self.claimed.remove(&id).unwrap_or_default().into_iter().chain([answer]) {
                        let _ = answer.send(Err(DeliveryError::Claim { source: Arc::clone(&source) }));
                    }
                }
            }
        }
    }

    fn tell(&mut self, id: Uuid, answer: Answer, found: Locked) {
        // Dropped unless it is handed over, and then its release comes round.
        let held = || self.asks.upgrade().map(|asks| Held { id, asks }).ok_or(DeliveryError::Ending);
        let _ = match found {
            Locked::Undecided => answer.send(held().map(Found::Free)),
            Locked::Decided(outcome) => answer.send(held().map(|held| Found::Decided(outcome, held))),
            Locked::Elsewhere => {
                for waiting in self.claimed.remove(&id).unwrap_or_default() {
                    let _ = waiting.send(Ok(Found::Elsewhere));
                }
                answer.send(Ok(Found::Elsewhere))
            }
        };
    }

    /// A session that is gone is noticed here, most of the time: then it is asked again in a new one.
    async fn ask(&mut self, released: &[Uuid], wanted: &[Uuid]) -> Result<Vec<Locked>, sqlx::Error> {
        let had_session = self.session.is_some();
        match self.ask_once(released, wanted).await {
            Err(error) if had_session => {
                tracing::debug!(%error, "the session of the claims is gone");
                self.ask_once(released, wanted).await
            }
            answered => answered,
        }
    }

    async fn ask_once(&mut self, released: &[Uuid], wanted: &[Uuid]) -> Result<Vec<Locked>, sqlx::Error> {
        within(self.bound, async {
            // Taken: a session in which anything failed ends, and with it whatever it may hold.
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

    /// A session that claims at once what is at work here, all but `wanted`.
    async fn open(&self, wanted: &[Uuid]) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let mut session = self.pool.acquire().await?;
        session.close_on_drop();
        session.execute(format!("set idle_session_timeout = {}", self.bound.as_millis()).as_str()).await?;
        let at_work: Vec<Uuid> = self.claimed.keys().filter(|id| !wanted.contains(id)).copied().collect();
        if !at_work.is_empty() {
            let lost = exchange(&mut session, &[], &at_work).await?;
            let lost = lost.iter().filter(|found| matches!(found, Locked::Elsewhere)).count();
            tracing::warn!(claims = at_work.len(), lost, "the session of the claims was lost, and taken up again");
        }
        Ok(session)
    }

    /// A sign of life, so that the server keeps the session; and if it did not, another.
    async fn stay(&mut self) {
        let Some(session) = &mut self.session else { return };
        if within(self.bound, session.ping()).await.is_err() {
            self.session = None;
            if !self.claimed.is_empty()
                && let Err(error) = self.ask_once(&[], &[]).await
            {
                tracing::warn!(%error, "claims can't be renewed");
            }
        }
    }
}

enum Locked {
    Undecided,
    Decided(Outcome),
    Elsewhere,
}

/// Lets go of some and takes others, and says of each of those what was found.
async fn exchange(session: &mut PgConnection, released: &[Uuid], wanted: &[Uuid]) -> Result<Vec<Locked>, sqlx::Error> {
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
        return Ok(taken.iter().map(|_| Locked::Elsewhere).collect());
    }
    let decided: Vec<Row> = sqlx::query_as(
        "select notification_id, recipient, outcome, provider_message_id, reason
           from notification_deliveries where notification_id = any($1)",
    )
    .bind(ours)
    .fetch_all(session)
    .await?;
    let mut decided: HashMap<Uuid, Outcome> =
        decided.into_iter().map(|row| (row.notification_id, row.into())).collect();
    let found = |(id, ours)| match decided.remove(&id) {
        Some(outcome) => Locked::Decided(outcome),
        None if ours => Locked::Undecided,
        None => Locked::Elsewhere,
    };
    Ok(taken.into_iter().map(found).collect())
}

/// Two ids with the same key would only keep each other waiting.
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
        let (ours, _) = Claims::start(database.pool().clone(), BOUND);
        let (theirs, _) = Claims::start(database.pool().clone(), BOUND);
        let Found::Free(held) = ours.claim(id(1)).await.unwrap() else { panic!("it is nobody's") };
        assert!(matches!(theirs.claim(id(1)).await.unwrap(), Found::Elsewhere));

        let ending = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 1
                      and database = (select oid from pg_database where datname = current_database())";
        sqlx::query(ending).execute(database.pool()).await.unwrap();
        assert!(matches!(ours.claim(id(2)).await.unwrap(), Found::Free(_)), "a new session is made for it");

        assert!(matches!(theirs.claim(id(1)).await.unwrap(), Found::Elsewhere));
        drop(held);
        testkit::eventually(BOUND, || async { matches!(theirs.claim(id(1)).await.unwrap(), Found::Free(_)) }).await;
    }

    #[tokio::test]
    async fn those_who_want_the_same_mail_here_get_it_one_after_the_other() {
        let database = testkit::database().await;
        let (claims, _) = Claims::start(database.pool().clone(), BOUND);
        let first = claims.claim(id(1)).await.unwrap();
        let [second, third] =
            [claims.clone(), claims.clone()].map(|it| tokio::spawn(async move { it.claim(id(1)).await }));
        // Asked for later, and answered: the others have been looked at by then, and wait.
        assert!(matches!(claims.claim(id(2)).await.unwrap(), Found::Free(_)));
        assert!(!second.is_finished() && !third.is_finished());

        drop(first);

        for waiting in [second, third] {
            assert!(matches!(waiting.await.unwrap().unwrap(), Found::Free(_)));
        }
    }

    #[tokio::test]
    async fn the_session_ends_with_the_last_claim() {
        let database = testkit::database().await;
        let (claims, serving) = Claims::start(database.pool().clone(), BOUND);
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
