use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use uuid::Uuid;

use super::*;

fn reply(order_id: &str) -> MailReply {
    let answer = NotificationAnswer::Failed(messaging::NotificationFailed {
        notification_id: Uuid::from_u128(1),
        template: NotificationTemplate::OrderConfirmed,
        reason: "no mailbox".into(),
    });
    MailReply { order_id: order_id.to_owned(), answer }
}

#[tokio::test]
async fn an_answer_that_makes_the_recorder_panic_is_refused_by_itself_and_others_are_recorded() {
    let written: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&written);
    let consumer = ReplyConsumer::recorded_by(move |batch| {
        let log = Arc::clone(&log);
        async move {
            assert!(batch.iter().all(|reply| reply.order_id != "poison"), "this one");
            log.lock().unwrap_or_else(PoisonError::into_inner).extend(batch.iter().map(|reply| reply.order_id.clone()));
            vec![Ok(()); batch.len()]
        }
    });

    // They are sent in one turn of this task, so that they are one batch.
    let together = join_all(["a", "poison", "b"].map(|order_id| consumer.record(reply(order_id)))).await;
    let later = consumer.record(reply("c")).await;

    let refused = together.iter().map(|recorded| recorded.as_ref().err().map(ToString::to_string));
    assert_eq!(refused.collect::<Vec<_>>(), [None, Some("recording it panicked".to_owned()), None]);
    assert!(later.is_ok(), "the recorder lives on");
    assert_eq!(*written.lock().unwrap_or_else(PoisonError::into_inner), ["a", "b", "c"]);
}
