//! What is done to one dead letter: it is sent again, with another body if need be, or deleted.

use std::time::Duration;

use domain::dead_letter::DeadLetterVerb;
use error_chain::error_chain;
use event_store::{IdempotencyKey, Metadata};
use messaging::{DeadLetter, DeadLetterError, DeadLetterOrigin, DeadLetterScan, OutgoingMessage, SendError};
use problem::{FieldError, Problem, ProblemType};
use uuid::Uuid;

use crate::body::check_body;
use crate::look::Whereabouts;
use crate::{DeadLetters, record};

/// A decision about a dead letter.
pub(crate) struct Decision {
    pub(crate) origin: DeadLetterOrigin,
    pub(crate) id: String,
    pub(crate) verb: DeadLetterVerb,
    /// The body that is sent in its place.
    pub(crate) body: Option<String>,
    pub(crate) reason: String,
    pub(crate) metadata: Metadata,
    pub(crate) key: Option<IdempotencyKey>,
}

/// What a decision came to.
pub(crate) struct CarriedOut {
    pub(crate) verb: DeadLetterVerb,
    /// Whether an earlier request did it.
    pub(crate) is_replayed: bool,
}

impl DeadLetters {
    /// Carries a decision out. What is not known to be done is no success, and says so: the same request again goes on.
    pub(crate) async fn carry_out(&self, decision: &Decision) -> Result<CarriedOut, Problem> {
        if let Some(body) = &decision.body {
            check_body(decision.origin, body)
                .map_err(|mistake| invalid("/body", format!("can't be sent: {mistake}")))?;
        }
        let _turn = self.turn().await?;
        // Before the queue is read: that takes long for one that is gone.
        match self.done_before(decision).await? {
            Some(verb) if verb == decision.verb => return Ok(CarriedOut { verb, is_replayed: true }),
            Some(verb) => return Err(others_decided(verb)),
            None => {}
        }
        let (mut scan, letter) = match self.search(decision.origin, &decision.id).await? {
            Whereabouts::Here(scan, letter) => (scan, letter),
            Whereabouts::NotSeen(unseen) => return self.not_seen(decision, unseen).await,
        };
        let done = self.do_to(&mut scan, &letter, decision).await;
        scan.release().await;
        self.forget();
        done
    }

    async fn do_to(
        &self,
        scan: &mut DeadLetterScan,
        letter: &DeadLetter,
        decision: &Decision,
    ) -> Result<CarriedOut, Problem> {
        let message = self.message(letter, decision)?;
        let (verb, store) = (decision.verb, &self.0.store);
        let stream = record::stream_of(decision.origin, letter);
        let event = record::decided(verb, decision.origin, letter, &decision.reason);
        let is_replayed = record::record(store, &stream, event, &decision.metadata, decision.key.as_ref()).await?;
        let done = match message {
            Some(message) => scan.redrive(vec![(letter, message)], &self.0.keys).await,
            None => scan.discard(&[letter]).await,
        };
        done.into_iter().next().unwrap_or(Ok(())).map_err(not_done)?;
        record::settle(store, &stream, verb).await;
        decision.log(letter, scan.letters().queue_name());
        Ok(CarriedOut { verb, is_replayed })
    }

    /// What is sent in its place; `None`: nothing, it is deleted.
    fn message(&self, letter: &DeadLetter, decision: &Decision) -> Result<Option<OutgoingMessage>, Problem> {
        let run = decision.run();
        match (decision.verb, &decision.body) {
            (DeadLetterVerb::Discard, _) => Ok(None),
            (DeadLetterVerb::Redrive | DeadLetterVerb::Edit, Some(body)) => Ok(Some(letter.edited(body, &run))),
            (DeadLetterVerb::Redrive | DeadLetterVerb::Edit, None) => match letter.redriven(&run, &self.0.keys) {
                Ok(message) => Ok(Some(message)),
                Err(forged) => {
                    let why = error_chain(&forged);
                    let message = format!("must be given: {why}, so only a whole body that you answer for can be sent");
                    Err(invalid("/body", message))
                }
            },
        }
    }

    /// What an earlier request with the key did, as far as that is recorded.
    async fn done_before(&self, decision: &Decision) -> Result<Option<DeadLetterVerb>, Problem> {
        match self.stream_of_key(decision).await? {
            Some(stream) => record::settled(&self.0.store, &stream).await,
            None => Ok(None),
        }
    }

    /// The stream where a request with the key was recorded.
    async fn stream_of_key(&self, decision: &Decision) -> Result<Option<String>, Problem> {
        let Some(key) = &decision.key else { return Ok(None) };
        let recorded = self.0.store.find_idempotency_record(key).await.map_err(record::unavailable)?;
        match recorded {
            Some(recorded) if recorded.request_hash != key.request_hash => Err(record::key_reused()),
            Some(recorded) => Ok(Some(recorded.stream_id)),
            None => Ok(None),
        }
    }

    async fn not_seen(&self, decision: &Decision, unseen: u64) -> Result<CarriedOut, Problem> {
        let Some(stream) = self.stream_of_key(decision).await? else {
            return Err(no_such_letter(&decision.id, unseen));
        };
        // An earlier request was recorded, and the answer of the queue was lost.
        if unseen > 0 {
            return Err(unknown("it was asked for before, and the dead letter is gone, or others hold it"));
        }
        match decision.verb {
            DeadLetterVerb::Discard => {
                record::settle(&self.0.store, &stream, decision.verb).await;
                Ok(CarriedOut { verb: decision.verb, is_replayed: true })
            }
            // Whoever deleted it may have sent nothing.
            DeadLetterVerb::Redrive | DeadLetterVerb::Edit => {
                let detail =
                    "it was asked for before, and the dead letter is gone: it was sent, or somebody else discarded it";
                Err(Problem::new(ProblemType::OutcomeUnknown, detail))
            }
        }
    }
}

impl Decision {
    /// The name of what sends it. The same request has the same one, so that SQS drops what it sends a second time.
    fn run(&self) -> String {
        match &self.key {
            Some(key) => Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{} {}", key.scope, key.key).as_bytes()),
            None => Uuid::now_v7(),
        }
        .to_string()
    }

    fn log(&self, letter: &DeadLetter, queue: &str) {
        let what = match self.verb {
            DeadLetterVerb::Redrive => "dead letter sent again",
            DeadLetterVerb::Edit => "dead letter changed and sent again",
            DeadLetterVerb::Discard => "dead letter discarded",
        };
        let (dead_letter, order_id, kind, error) = (&letter.id, &letter.order_id, letter.kind.as_deref(), letter.why());
        let (actor, reason) = (self.metadata.actor.as_deref(), &self.reason);
        tracing::warn!(dead_letter, order_id, queue, kind, error, actor, reason, "{what}");
    }
}

/// Another decision than this was carried out.
fn others_decided(verb: DeadLetterVerb) -> Problem {
    let done = match verb {
        DeadLetterVerb::Redrive => "sent it again as it was",
        DeadLetterVerb::Edit => "sent it with another body",
        DeadLetterVerb::Discard => "discarded it",
    };
    Problem::new(ProblemType::Conflict, format!("somebody else {done} meanwhile"))
}

pub(crate) fn no_such_letter(id: &str, unseen: u64) -> Problem {
    Problem::not_found(match unseen {
        0 => format!("there is no dead letter {id}"),
        _ => format!(
            "no dead letter {id} can be seen; about {unseen} were not looked at: they come later in the queue, wait behind earlier \
             ones of their orders, or are in someone else's hands"
        ),
    })
}

pub(crate) fn invalid(pointer: &str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError { pointer: pointer.into(), code: "invalid".into(), message: message.into() }])
}

/// Why it is not known to be done. It was recorded that it was asked for.
fn not_done(error: DeadLetterError) -> Problem {
    let problem = match &error {
        DeadLetterError::Send { source: SendError::TooLong { .. }, .. } => {
            return invalid("/body", error_chain(&error));
        }
        DeadLetterError::Send { source: SendError::Refused { .. } | SendError::Build { .. }, .. } => {
            let detail = format!("the queue refused it, and it is still a dead letter: {}", error_chain(&error));
            Problem::new(ProblemType::Overloaded, detail)
        }
        DeadLetterError::Send { .. } => unknown("the queue did not say whether it took the message"),
        DeadLetterError::SentOnly { .. } => unknown("the message was sent, but it could not be deleted here"),
        DeadLetterError::Delete { .. } => unknown("the queue did not say whether it is deleted"),
        DeadLetterError::Receive { .. } | DeadLetterError::Count { .. } => unknown("the queue does not answer"),
    };
    problem.retry_after(Duration::from_secs(5)).caused_by(error)
}

fn unknown(what: &str) -> Problem {
    let detail =
        format!("{what}; send the request again with the same Idempotency-Key, within five minutes: it is done once");
    Problem::new(ProblemType::OutcomeUnknown, detail).retry_after(Duration::from_secs(5))
}
