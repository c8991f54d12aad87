//! Requests through real queues and a database to an SES endpoint, and the answers back.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that lacks its surroundings can only fail")]

use std::time::Duration;

use aws_sdk_sqs::types::Message;
use chrono::DateTime;
use messaging::{
    Backoff, CloudEvent, ConsumerSettings, Line, NotificationAnswer, NotificationFailed, NotificationRequested,
    NotificationSent, Outgoing, Producer, ProducerSettings, QueueSettings, Queues, Template, queues,
};
use notification::{NOTIFICATION_ID_HEADER, NotificationDeps, NotificationSettings};
use testkit::{FaultyMailer, Response};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

#[tokio::test]
async fn a_request_becomes_one_mail_one_record_and_one_answer() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);

    let mail = stage.ses.messages().remove(0);
    assert_eq!(mail.to, ["ada@example.com"]);
    assert_eq!(mail.from, "Ordo <orders@ordo.example>");
    assert_eq!(mail.subject, "Order o-1 confirmed");
    assert!(mail.text.as_ref().unwrap().contains("Wireless Headphones"));
    assert!(mail.html.as_ref().unwrap().contains("129.99 USD"));
    assert_eq!(mail.headers[NOTIFICATION_ID_HEADER], NOTIFICATION.to_string());
    let sent = NotificationSent {
        notification_id: NOTIFICATION,
        template: Template::OrderConfirmed,
        recipient: "ada@example.com".into(),
        provider_message_id: mail.id.clone(),
    };
    assert_eq!(answer.data, NotificationAnswer::Sent(sent));
    assert_eq!(answer.subject, "o-1");
    assert_eq!(answer.traceparent.as_deref(), Some("00-trace"));
    assert_eq!(stage.record().await, ("sent".into(), Some("ada@example.com".into()), None, 1));
    worker.stop().await;
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test]
async fn without_a_recipient_the_mail_goes_to_the_default_one() {
    let stage = Stage::new().await;
    let _worker = stage.worker(NotificationSettings { default_recipient: "shop@example.com".into(), ..quick() });

    stage.ask(&NotificationRequested { recipient: None, ..request(1) }).await;
    stage.answers(1).await;

    assert_eq!(stage.ses.messages().remove(0).to, ["shop@example.com"]);
}

#[tokio::test]
async fn a_mail_asked_for_twice_is_sent_once_and_answered_twice() {
    let stage = Stage::new().await;
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    stage.ask(&request(2)).await;
    let answers = stage.answers(2).await;

    assert_eq!(stage.ses.accepted(), 1);
    assert_eq!(answers[0].data, answers[1].data);
    assert_eq!(answers[0].id, answers[1].id);
}

#[tokio::test]
async fn two_consumers_with_the_same_request_at_the_same_time_send_one_mail() {
    let stage = Stage::new().await;
    stage.ses.always(Response::AcceptAfter(Duration::from_millis(500)));
    let _workers = [stage.worker(quick()), stage.worker(quick())];

    // Groups of their own, so that the queue lets both out at once.
    stage.ask_in_group("one", &request(1)).await;
    stage.ask_in_group("other", &request(2)).await;
    let answers = stage.answers(2).await;

    assert_eq!(stage.ses.requests(), 1);
    assert_eq!(answers[0].data, answers[1].data);
}

#[tokio::test]
async fn a_throttled_mail_is_sent_once_and_costs_no_attempt() {
    let stage = Stage::new().await;
    stage.ses.next(3, Response::Throttle);
    let last_chance = ConsumerSettings { max_attempts: 1, ..quick().consumer };
    let _worker = stage.worker(NotificationSettings { consumer: last_chance, ..quick() });

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);

    assert!(matches!(answer.data, NotificationAnswer::Sent(_)), "{answer:?}");
    assert_eq!((stage.ses.requests(), stage.ses.accepted()), (4, 1));
    assert_eq!(stage.record().await.3, 1);
}

#[tokio::test]
async fn a_paused_account_holds_mails_back_until_it_may_send_again() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::Pause);
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);

    assert!(matches!(answer.data, NotificationAnswer::Sent(_)), "{answer:?}");
    assert_eq!((stage.ses.requests(), stage.ses.accepted()), (2, 1));
}

#[tokio::test]
async fn a_refused_mail_is_recorded_and_answered_as_failed_and_lies_in_the_dead_letter_queue() {
    let stage = Stage::new().await;
    stage.ses.always(Response::Reject);
    let worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);
    worker.stop().await;

    let reason = "SES answered MessageRejected: Email address is not verified.";
    assert_eq!(answer.data, failed(reason));
    let recorded = ("failed".into(), Some("ada@example.com".into()), Some(reason.into()), 1);
    assert_eq!(stage.record().await, recorded);
    assert_eq!(stage.ses.requests(), 1);
    assert_eq!(error_of(&stage.dead_letters().await.remove(0)), reason);
}

#[tokio::test]
async fn a_mail_that_failed_is_not_tried_again_when_asked_for_again() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::Reject);
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    stage.answers(1).await;
    stage.ask(&request(2)).await;
    let again = stage.answers(1).await.remove(0);

    assert!(matches!(again.data, NotificationAnswer::Failed(_)), "{again:?}");
    assert_eq!(stage.ses.requests(), 1);
}

#[tokio::test]
async fn a_mail_that_failed_is_tried_again_when_an_operator_asks_for_it_and_one_that_was_sent_never() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::Reject);
    let _worker = stage.worker(quick());
    let once_more = |attempt| NotificationRequested {
        retry_failed: true,
        recipient: Some("bob@example.com".into()),
        ..request(attempt)
    };

    stage.ask(&request(1)).await;
    stage.answers(1).await;
    stage.ask(&once_more(2)).await;
    let again = stage.answers(1).await.remove(0);
    stage.ask(&once_more(3)).await;
    let never = stage.answers(1).await.remove(0);

    assert!(matches!(again.data, NotificationAnswer::Sent(_)), "{again:?}");
    assert_eq!(never.data, again.data);
    assert_eq!((stage.ses.requests(), stage.ses.accepted()), (2, 1));
    assert_eq!(stage.record().await, ("sent".into(), Some("bob@example.com".into()), None, 1));
}

#[tokio::test]
async fn a_mail_that_is_withdrawn_is_never_sent_and_one_that_was_sent_is_answered_as_that() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());
    let withdraw = |attempt, nth: u128| {
        let notification_id = Uuid::from_u128(nth << 64);
        let recipient = Some(NotificationRequested::NOBODY.to_owned());
        NotificationRequested { notification_id, withdraw: true, recipient, ..request(attempt) }
    };
    let ask_for =
        |attempt, nth: u128| NotificationRequested { notification_id: Uuid::from_u128(nth << 64), ..request(attempt) };

    stage.ask(&ask_for(1, 1)).await;
    let sent = stage.answers(1).await.remove(0);
    stage.ask(&withdraw(2, 1)).await;
    let known = stage.answers(1).await.remove(0);
    assert_eq!((stage.ses.requests(), &known.data), (1, &sent.data));

    stage.ask(&withdraw(1, 2)).await;
    let never = stage.answers(1).await.remove(0);
    let NotificationAnswer::Failed(failed) = &never.data else { panic!("{never:?}") };
    assert_eq!(failed.reason, "withdrawn before it was sent");
    stage.ask(&withdraw(2, 2)).await;
    assert_eq!(stage.answers(1).await.remove(0).data, never.data);
    testkit::eventually(PATIENCE, || async { stage.is_drained().await }).await;
    assert!(stage.dead_letters().await.is_empty(), "that is what was asked for");

    // Should the request for it come after all.
    for (attempt, retry_failed) in [(3, false), (4, true)] {
        stage.ask(&NotificationRequested { retry_failed, ..ask_for(attempt, 2) }).await;
        assert_eq!(stage.answers(1).await.remove(0).data, never.data);
    }
    testkit::eventually(PATIENCE, || async { stage.is_drained().await }).await;
    assert!(stage.dead_letters().await.is_empty(), "it is not wanted any more");

    // To a build that does not know of withdrawals it is a mail that can't be sent.
    stage.ask(&NotificationRequested { withdraw: false, ..withdraw(1, 3) }).await;
    let failed = stage.answers(1).await.remove(0);
    assert!(matches!(failed.data, NotificationAnswer::Failed(_)), "{failed:?}");
    assert_eq!(stage.ses.requests(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn a_broken_mail_service_is_asked_once_per_attempt_and_again_later() {
    let stage = Stage::new().await;
    stage.ses.next(2, Response::Break);
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);

    assert!(matches!(answer.data, NotificationAnswer::Sent(_)), "{answer:?}");
    assert_eq!((stage.ses.requests(), stage.ses.accepted()), (3, 1), "the SDK must not retry by itself");
    assert_eq!(stage.record().await.3, 3);
}

#[tokio::test]
async fn after_the_last_attempt_a_mail_has_failed_for_good() {
    let stage = Stage::new().await;
    stage.ses.always(Response::Break);
    let consumer = ConsumerSettings { max_attempts: 2, ..quick().consumer };
    let worker = stage.worker(NotificationSettings { consumer, ..quick() });

    stage.ask(&request(1)).await;
    let answer = stage.answers(1).await.remove(0);
    worker.stop().await;

    let reason = "given up after 2 attempts: SES answered InternalFailure: \
                  The request processing has failed because of an unknown error.";
    assert_eq!(answer.data, failed(reason));
    assert_eq!(stage.ses.requests(), 2);
    assert_eq!(error_of(&stage.dead_letters().await.remove(0)), reason);
}

#[tokio::test]
async fn a_mail_accepted_and_not_recorded_is_sent_again_and_both_bear_the_same_id() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::AcceptAndHangUp);
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    stage.answers(1).await;

    let mails = stage.ses.messages();
    assert_eq!(mails.len(), 2, "the one window that is left");
    for mail in mails {
        assert_eq!(mail.headers[NOTIFICATION_ID_HEADER], NOTIFICATION.to_string());
    }
}

#[tokio::test]
async fn a_worker_that_is_stopped_in_the_middle_leaves_no_record_and_the_next_one_sends() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::AcceptAfter(Duration::from_secs(600)));
    let at_once = ConsumerSettings { shutdown_grace: Duration::ZERO, ..quick().consumer };
    let first = stage.worker(NotificationSettings { consumer: at_once, ..quick() });

    stage.ask(&request(1)).await;
    testkit::eventually(PATIENCE, || std::future::ready(stage.ses.requests() == 1)).await;
    first.stop().await;
    let _second = stage.worker(quick());
    let answer = stage.answers(1).await.remove(0);

    assert!(matches!(answer.data, NotificationAnswer::Sent(_)), "{answer:?}");
    assert_eq!(stage.ses.requests(), 2);
}

#[tokio::test]
async fn an_address_that_would_break_a_header_fails_for_good() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());
    let recipient = Some("ada@example.com\r\nBcc: eve@example.com".to_owned());

    stage.ask(&NotificationRequested { recipient, ..request(1) }).await;
    let answer = stage.answers(1).await.remove(0);
    worker.stop().await;

    let reason = "the recipient is no address: \"ada@example.com\\r\\nBcc: eve@example.com\" is no e-mail address: \
                  it has a character that an address can't have";
    assert_eq!(answer.data, failed(reason));
    assert_eq!(stage.record().await, ("failed".into(), None, Some(reason.into()), 1));
    assert_eq!(stage.ses.requests(), 0);
}

#[tokio::test]
async fn a_message_that_is_no_request_lies_in_the_dead_letter_queue_with_the_reason_and_others_go_on() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());
    let event = CloudEvent::new("o-2", DateTime::UNIX_EPOCH, request(1));
    let garbage = Outgoing { body: "{\"specversion\":\"1.0\"}".into(), ..Outgoing::event(&event, 9).unwrap() };

    stage.send(garbage).await;
    stage.ask(&request(1)).await;
    stage.answers(1).await;
    testkit::eventually(PATIENCE, || async { stage.is_drained().await }).await;
    worker.stop().await;

    let dead = stage.dead_letters().await.remove(0);
    assert_eq!(dead.body(), Some("{\"specversion\":\"1.0\"}"));
    assert_eq!(error_of(&dead), "the attribute `source` is missing");
}

#[tokio::test]
async fn while_the_database_is_away_no_mail_goes_out() {
    let stage = Stage::new().await;
    stage.sql("alter table notification_deliveries rename to away").await;
    let mut settings = quick();
    // Without a pause the attempts would be used up before the database is back.
    settings.consumer.retry_backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(1) };
    let _worker = stage.worker(settings);

    stage.ask(&request(1)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.ses.requests(), 0);
    stage.sql("alter table away rename to notification_deliveries").await;

    stage.answers(1).await;
    assert_eq!(stage.ses.accepted(), 1);
}

#[tokio::test]
async fn a_mail_that_went_out_is_recorded_even_if_its_claim_was_lost() {
    let stage = Stage::new().await;
    stage.ses.next(1, Response::AcceptAfter(Duration::from_millis(500)));
    let _worker = stage.worker(quick());

    stage.ask(&request(1)).await;
    testkit::eventually(PATIENCE, || std::future::ready(stage.ses.requests() == 1)).await;
    let ending = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 1
                   and database = (select oid from pg_database where datname = current_database())";
    stage.sql(ending).await;

    stage.answers(1).await;
    assert_eq!(stage.ses.accepted(), 1);
    assert_eq!(stage.record().await.0, "sent");
}

#[tokio::test]
async fn a_mail_that_is_claimed_elsewhere_goes_out_once_that_claim_has_ended_with_its_session() {
    let stage = Stage::new().await;
    let mut elsewhere = stage.database.pool().acquire().await.unwrap().detach();
    let claimed = sqlx::query("select pg_advisory_lock($1)").bind(NOTIFICATION.as_u64_pair().0.cast_signed());
    claimed.execute(&mut elsewhere).await.unwrap();
    let _worker = stage.worker(quick());

    // Behind it in another group, so that it is through when the first has been looked at.
    let other = NotificationRequested { notification_id: Uuid::from_u128(7), ..request(1) };
    stage.ask_in_group("claimed", &request(1)).await;
    stage.ask_in_group("free", &other).await;
    stage.answers(1).await;
    assert_eq!(stage.ses.requests(), 1);
    drop(elsewhere);

    stage.answers(1).await;
    assert_eq!(stage.ses.accepted(), 2);
    assert_eq!(stage.record().await.0, "sent");
}

#[tokio::test]
async fn many_requests_at_once_each_of_them_doubled_are_one_mail_each_and_answered_twice() {
    const MAILS: usize = 60;
    let stage = Stage::new().await;
    let _workers = [stage.worker(quick()), stage.worker(quick())];

    for nth in 0..MAILS {
        let notification_id = Uuid::from_u128(1 + nth as u128);
        for attempt in [1, 2] {
            let request = NotificationRequested { notification_id, ..request(attempt) };
            stage.ask_in_group(&format!("{nth}-{attempt}"), &request).await;
        }
    }
    let answers = stage.answers(2 * MAILS).await;

    assert_eq!(stage.ses.requests(), MAILS as u64);
    let mut answered = std::collections::BTreeMap::new();
    for answer in answers {
        *answered.entry(answer.id).or_insert(0) += 1;
    }
    assert!(answered.len() == MAILS && answered.values().all(|times| *times == 2), "{answered:?}");
}

#[tokio::test]
async fn nobody_is_flooded_and_nobody_waits_for_those_who_would_be() {
    let stage = Stage::new().await;
    let hour = Duration::from_secs(3_600);
    let few = NotificationSettings { recipient_burst: 2, recipient_spacing: hour, ..quick() };
    let _worker = stage.worker(few);
    for nth in 0..40 {
        let request = NotificationRequested { notification_id: Uuid::from_u128(1 + nth), ..request(1) };
        stage.ask_in_group(&format!("flood-{nth}"), &request).await;
    }
    let others = ["bob@example.com", "eve@example.com"];
    for (nth, other) in (1_000..).zip(others) {
        let notification_id = Uuid::from_u128(nth);
        let request = NotificationRequested { notification_id, recipient: Some(other.into()), ..request(1) };
        stage.ask_in_group(other, &request).await;
    }

    stage.answers(4).await;

    let mails = stage.ses.messages();
    let to = |recipient: &str| mails.iter().filter(|mail| mail.to == [recipient]).count();
    assert_eq!(["ada@example.com", others[0], others[1]].map(to), [2, 1, 1]);
}

#[tokio::test]
async fn of_many_mails_to_one_recipient_each_waits_for_its_turn_and_none_is_lost() {
    const MAILS: usize = 24;
    let stage = Stage::new().await;
    let consumer = ConsumerSettings { max_attempts: 1, ..quick().consumer };
    let spacing = Duration::from_millis(300);
    let worker =
        stage.worker(NotificationSettings { recipient_burst: 2, recipient_spacing: spacing, consumer, ..quick() });
    for nth in 0..MAILS {
        let request = NotificationRequested { notification_id: Uuid::from_u128(1 + nth as u128), ..request(1) };
        stage.ask_in_group(&format!("o-{nth}"), &request).await;
    }

    let answers = stage.answers(MAILS).await;
    testkit::eventually(PATIENCE, || async { stage.is_drained().await }).await;
    worker.stop().await;

    assert!(answers.iter().all(|it| matches!(it.data, NotificationAnswer::Sent(_))), "{answers:?}");
    assert_eq!(stage.ses.accepted(), MAILS as u64);
    assert!(stage.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_stopped_worker_leaves_no_session_behind() {
    let stage = Stage::new().await;
    let worker = stage.worker(quick());
    stage.ask(&request(1)).await;
    stage.answers(1).await;

    worker.stop().await;

    let claims = "select count(*) from pg_locks where locktype = 'advisory' and objsubid = 1
                   and database = (select oid from pg_database where datname = current_database())";
    testkit::eventually(PATIENCE, || async {
        let left: i64 = sqlx::query_scalar(claims).fetch_one(stage.database.pool()).await.unwrap();
        left == 0
    })
    .await;
}

const PATIENCE: Duration = Duration::from_secs(20);

const NOTIFICATION: Uuid = Uuid::from_u128(0x019a_a0b1_c2d3_7e4f_8a5b_6c7d_8e9f_a0b1);

fn request(attempt: u32) -> NotificationRequested {
    NotificationRequested {
        notification_id: NOTIFICATION,
        attempt,
        template: Template::OrderConfirmed,
        recipient: Some("ada@example.com".into()),
        order_id: "o-1".into(),
        customer_id: "customer-42".into(),
        currency: "USD".into(),
        total_amount: "129.99".into(),
        lines: vec![Line {
            sku: "sku-123".into(),
            title: "Wireless Headphones".into(),
            quantity: 1,
            unit_price: "129.99".into(),
            line_total: "129.99".into(),
        }],
        omitted_lines: 0,
        reason: None,
        shipment: None,
        refund_amount: None,
        retry_failed: false,
        withdraw: false,
    }
}

fn failed(reason: &str) -> NotificationAnswer {
    NotificationAnswer::Failed(NotificationFailed {
        notification_id: NOTIFICATION,
        template: Template::OrderConfirmed,
        reason: reason.into(),
    })
}

/// What failed comes again at once; pauses are as short as can be.
fn quick() -> NotificationSettings {
    let none = Backoff { first: Duration::ZERO, most: Duration::ZERO };
    let short = Duration::from_millis(20);
    NotificationSettings {
        throttle_backoff: Backoff { first: short, most: short },
        paused_wait: Duration::from_secs(1),
        recipient_burst: 1_000,
        consumer: ConsumerSettings {
            wait_seconds: 1,
            retry_backoff: none,
            max_attempts: 100,
            ..ConsumerSettings::default()
        },
        ..NotificationSettings::default()
    }
}

fn error_of(dead: &Message) -> &str {
    dead.message_attributes.as_ref().unwrap()["ordo-error"].string_value().unwrap()
}

struct Stage {
    database: testkit::Database,
    sqs: aws_sdk_sqs::Client,
    queues: Queues,
    ses: FaultyMailer,
    _endpoint: embedded::sqs::Sqs,
}

impl Stage {
    async fn new() -> Self {
        let endpoint = testkit::sqs().await;
        let sqs = testkit::sqs_client(&endpoint.url());
        // Tests that try often must not meet SQS's own limit.
        let settings = QueueSettings { max_receive_count: 1000, ..QueueSettings::default() };
        let queues = queues::ensure(&sqs, &settings).await.unwrap();
        let (database, ses) = tokio::join!(testkit::database(), FaultyMailer::start());
        Self { database, sqs, queues, ses, _endpoint: endpoint }
    }

    fn worker(&self, settings: NotificationSettings) -> Worker {
        let deps = NotificationDeps {
            pool: self.database.pool().clone(),
            sqs: self.sqs.clone(),
            queues: self.queues.clone(),
            ses: retrying_ses_client(&self.ses.url()),
        };
        let cancel = CancellationToken::new();
        let task = tokio::spawn(notification::run(deps, settings, cancel.clone()));
        Worker { cancel: cancel.drop_guard(), task }
    }

    async fn ask(&self, request: &NotificationRequested) {
        self.ask_in_group("o-1", request).await;
    }

    async fn ask_in_group(&self, group: &str, request: &NotificationRequested) {
        let event = CloudEvent::new("o-1", DateTime::UNIX_EPOCH, request.clone()).traced(Some("00-trace".into()));
        let message = Outgoing::event(&event, request.attempt).unwrap();
        self.send(Outgoing { group_id: group.into(), ..message }).await;
    }

    async fn send(&self, message: Outgoing) {
        let producer = Producer::new(self.sqs.clone(), &self.queues.notifications.url, ProducerSettings::default());
        producer.send(vec![message]).await.remove(0).unwrap();
    }

    /// The next answers, taken from the queue.
    async fn answers(&self, count: usize) -> Vec<CloudEvent<NotificationAnswer>> {
        let mut answers = Vec::new();
        let taking = async {
            while answers.len() < count {
                for message in self.take(&self.queues.replies.url, 5).await {
                    answers.push(NotificationAnswer::parse(message.body().unwrap()).unwrap());
                }
            }
        };
        tokio::time::timeout(PATIENCE, taking).await.expect("an answer");
        answers
    }

    async fn dead_letters(&self) -> Vec<Message> {
        self.take(&self.queues.notifications.dead_letter_url, 0).await
    }

    async fn take(&self, url: &str, wait: i32) -> Vec<Message> {
        let receive = self.sqs.receive_message().queue_url(url).wait_time_seconds(wait).max_number_of_messages(10);
        let messages = receive.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default();
        for message in &messages {
            let receipt = message.receipt_handle().unwrap();
            self.sqs.delete_message().queue_url(url).receipt_handle(receipt).send().await.unwrap();
        }
        messages
    }

    /// No request is left, hidden or not.
    async fn is_drained(&self) -> bool {
        let described = self.sqs.get_queue_attributes().queue_url(&self.queues.notifications.url);
        let described = described.attribute_names("All".into()).send().await.unwrap().attributes.unwrap();
        ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            .iter()
            .all(|&name| described[&name.into()] == "0")
    }

    /// Outcome, recipient, reason, attempts.
    async fn record(&self) -> (String, Option<String>, Option<String>, i32) {
        sqlx::query_as(
            "select outcome, recipient, reason, attempts from notification_deliveries where notification_id = $1",
        )
        .bind(NOTIFICATION)
        .fetch_one(self.database.pool())
        .await
        .unwrap()
    }

    async fn sql(&self, statement: &str) {
        sqlx::query(statement).execute(self.database.pool()).await.unwrap();
    }
}

/// A client with the SDK's usual retries, as a platform might pass in: none of them may happen.
fn retrying_ses_client(url: &str) -> aws_sdk_sesv2::Client {
    let retries = aws_sdk_sesv2::config::retry::RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
    let config = testkit::ses_client(url).config().to_builder().retry_config(retries).build();
    aws_sdk_sesv2::Client::from_conf(config)
}

/// A running worker, cancelled when dropped.
struct Worker {
    cancel: DropGuard,
    task: JoinHandle<Result<(), messaging::InvalidSettings>>,
}

impl Worker {
    async fn stop(self) {
        drop(self.cancel);
        tokio::time::timeout(PATIENCE, self.task).await.expect("the worker stops").unwrap().unwrap();
    }
}
