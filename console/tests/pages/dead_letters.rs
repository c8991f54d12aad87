//! Messages that could not be handled: looked at, and decided about.

use access_control::Role;
use http::StatusCode;
use messaging::{
    DeadLetterOrigin, DeadLetterQueue, MessageSigningKeys, OutgoingMessage, Producer, ProducerSettings, Queue,
    QueueProvisioningSettings, queues,
};

use crate::support::{Answer, Fixture, as_role, session};

const REQUEST: &str = include_str!("../../../lib/messaging/golden/ordo.notification.requested.v1.json");
const HOSTILE: &str = "<script>alert(1)</script>\u{202e}";

/// The queues of an endpoint, with these dead letters of notifications: group, body and error.
async fn queues_with(url: &str, letters: &[(&str, &str, &str)], keys: MessageSigningKeys) -> Vec<DeadLetterQueue> {
    let client = testkit::sqs_client(url);
    let queues = queues::ensure(&client, &QueueProvisioningSettings::default()).await.unwrap();
    let notifications = &queues.notifications;
    let dead = Queue { url: notifications.dead_letter_url.clone(), ..notifications.clone() };
    let message = |(group, body, error): &(&str, &str, &str)| OutgoingMessage {
        group_id: (*group).to_owned(),
        dedup_id: format!("m-{group}"),
        body: (*body).to_owned(),
        attributes: vec![("ordo-error".to_owned(), (*error).to_owned())],
    };
    let producer = Producer::new(client.clone(), dead, keys, ProducerSettings::default());
    for sent in producer.send(letters.iter().map(message).collect()).await {
        sent.unwrap();
    }
    DeadLetterOrigin::ALL.map(|origin| DeadLetterQueue::of(client.clone(), origin, &queues)).into()
}

fn keys() -> MessageSigningKeys {
    testkit::MESSAGE_KEYS.parse().unwrap()
}

/// What a browser sends of the nth form with this action, with what was typed.
fn sent(page: &Answer, action: &str, nth: usize, typed: &[(&str, &str)]) -> Vec<(String, String)> {
    let start = page.body.match_indices(&format!("action=\"{action}\"")).nth(nth).unwrap().0;
    let form = Answer { body: page.body[start..].to_owned(), headers: page.headers.clone(), status: page.status };
    let typed = typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    form.hidden_fields(action).into_iter().chain(typed).collect()
}

/// The path of the first dead letter of a list.
fn first(list: &str) -> String {
    let at = list.split("href=\"/dead-letters/").nth(1).unwrap_or_else(|| panic!("no dead letter: {list}"));
    format!("/dead-letters/{}", at.split('"').next().unwrap())
}

#[tokio::test]
async fn one_is_changed_where_it_is_broken_and_sent_again() {
    let sqs = testkit::sqs().await;
    let queues = queues_with(&sqs.url(), &[("o-1", HOSTILE, HOSTILE)], keys()).await;
    let fixture = Fixture::with_dead_letters(queues.clone()).await;
    let operator = as_role(Role::Operator);
    let home = fixture.page("/", &operator).await.body;
    assert!(home.contains("href=\"/dead-letters\"") && home.contains("/dead-letters?queue=notifications"), "{home}");
    let list = fixture.page("/dead-letters?queue=&error=", &operator).await.body;
    assert!(!list.contains("<script>alert") && list.contains("⟨U+202E⟩"), "{list}");
    let path = first(&list);
    let page = fixture.page(&path, &operator).await;
    assert!(page.body.contains("Broken at") && page.body.contains("line 1"), "{}", page.body);
    assert!(!page.body.contains("<script>alert"), "{}", page.body);

    let action = format!("{path}/redrive");
    // The second form is the one with the body.
    let form = sent(&page, &action, 1, &[("/body", "still none"), ("/reason", "mended")]);
    let refused = fixture.send_form(&action, &session(&operator), &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.body.contains("still none</textarea>") && refused.body.contains("can&#39;t be sent"),
        "{}",
        refused.body
    );
    let form = sent(&page, &action, 1, &[("/body", REQUEST), ("/reason", "mended")]);
    let done = fixture.send_form(&action, &session(&operator), &form).await;
    assert_eq!(
        (done.status, &done.headers["location"]),
        (StatusCode::SEE_OTHER, &"/dead-letters".parse().unwrap()),
        "{}",
        done.body
    );
    assert_eq!(queues[0].count().await.unwrap(), 0);
    // A second click is told so.
    let again = fixture.send_form(&action, &session(&operator), &form).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.body);
    let audit = fixture.page("/audit", &operator).await.body;
    assert!(
        audit.contains("operator:test") && audit.contains("mended") && audit.contains("/dead-letters/notifications/"),
        "{audit}"
    );
    fixture.end().await;
    sqs.stop().await;
}

#[tokio::test]
async fn a_forged_one_is_only_replaced_or_discarded() {
    let sqs = testkit::sqs().await;
    let forger = MessageSigningKeys::random("test").unwrap();
    let queues = queues_with(&sqs.url(), &[("o-1", REQUEST, "not genuine")], forger).await;
    let fixture = Fixture::with_dead_letters(queues.clone()).await;
    let operator = as_role(Role::Operator);
    let path = first(&fixture.page("/dead-letters", &operator).await.body);
    let page = fixture.page(&path, &operator).await;
    let (redrive, discard) = (format!("{path}/redrive"), format!("{path}/discard"));
    assert!(page.body.matches(&format!("action=\"{redrive}\"")).count() == 1 && page.body.contains("Not genuine"));
    let form = sent(&page, &discard, 0, &[("/reason", "forged")]);
    let done = fixture.send_form(&discard, &session(&operator), &form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    assert_eq!(queues[0].count().await.unwrap(), 0);
    fixture.end().await;
    sqs.stop().await;
}

#[tokio::test]
async fn those_that_are_ticked_and_those_of_an_error_become_bulk_actions() {
    let sqs = testkit::sqs().await;
    let letters =
        [("o-1", REQUEST, "no answer & more"), ("o-2", REQUEST, "no answer & more"), ("o-3", REQUEST, "other")];
    let queues = queues_with(&sqs.url(), &letters, keys()).await;
    let fixture = Fixture::with_dead_letters(queues).await;
    let operator = as_role(Role::Operator);
    let list = fixture.page("/dead-letters", &operator).await.body;
    assert_eq!(list.matches("name=\"ids\"").count(), 3, "{list}");
    let new = "/bulk-actions/new?kind=redrive_dead_letters&queue=notifications&error=no+answer+%26+more";
    assert!(list.contains("kind=redrive_dead_letters&amp;queue=notifications&#38;error=no"), "{list}");
    let page = fixture.page(new, &operator).await;
    assert!(page.body.contains("<strong>2</strong> of the 3 dead letters"), "{}", page.body);
    let form = sent(&page, "/bulk-actions", 0, &[("/reason", "it answers"), ("/rate:number", "20")]);
    let begun = fixture.send_form("/bulk-actions", &session(&operator), &form).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.body);
    let stored: (String, String, String) =
        sqlx::query_as("select kind, filter ->> 'queue', filter ->> 'error' from bulk_actions")
            .fetch_one(fixture.database.pool())
            .await
            .unwrap();
    let expected = ("redrive_dead_letters", "notifications", "no answer & more");
    assert_eq!((stored.0.as_str(), stored.1.as_str(), stored.2.as_str()), expected);
    let ticked = fixture.page("/bulk-actions/new?queue=&error=&kind=discard_dead_letters&ids=a&ids=b", &operator).await;
    let fields = ticked.hidden_fields("/bulk-actions");
    assert!(fields.contains(&("/filter/ids/1".to_owned(), "b".to_owned())), "{fields:?}");
    for wrong in ["", "&queue=mails", "&x=1"] {
        let page = fixture.page(&format!("/bulk-actions/new?kind=discard_dead_letters{wrong}"), &operator).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    fixture.end().await;
    sqs.stop().await;
}

#[tokio::test]
async fn an_auditor_sees_them_masked_and_does_nothing() {
    let sqs = testkit::sqs().await;
    let queues = queues_with(&sqs.url(), &[("o-1", REQUEST, "about ada@example.com")], keys()).await;
    let fixture = Fixture::with_dead_letters(queues.clone()).await;
    let auditor = as_role(Role::Auditor);
    let list = fixture.page("/dead-letters", &auditor).await.body;
    let path = first(&list);
    let page = fixture.page(&path, &auditor).await.body;
    for shown in [&list, &page] {
        assert!(
            !shown.contains("ada@example.com")
                && shown.contains("***")
                && !shown.contains("method=\"post\" action=\"/dead"),
            "{shown}"
        );
    }
    assert!(!list.contains("/bulk-actions/new"), "{list}");
    assert_eq!(fixture.page("/dead-letters?error=ada", &auditor).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fixture.page("/dead-letters", &as_role(Role::Support)).await.status, StatusCode::FORBIDDEN);
    // A form of an operator is not the auditor's.
    let action = format!("{path}/discard");
    let form = sent(&fixture.page(&path, &as_role(Role::Operator)).await, &action, 0, &[("/reason", "forged")]);
    assert_eq!(fixture.send_form(&action, &session(&auditor), &form).await.status, StatusCode::FORBIDDEN);
    assert_eq!(queues[0].count().await.unwrap(), 1);
    fixture.end().await;
    sqs.stop().await;
}
