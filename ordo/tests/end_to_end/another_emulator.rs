//! The platform on somebody else's idea of SQS and SES: the embedded ones are not to be the measure of what it can talk to.

use std::collections::BTreeMap;

use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::Value;
use testkit::{demo_order, ses_client, sqs_client};

use crate::publication::nothing_is_lost_or_overtaken;
use crate::support::{Client, Ordo, PATIENCE, count_by_order, until_mailed};

const ORDERS: usize = 20;
const SENDER: &str = "orders@ordo.example";

#[tokio::test]
#[ignore = "needs moto_server, and its address in ORDO_TEST_MOTO: http://127.0.0.1:5000"]
async fn orders_are_told_of_once_over_motos_queues_and_mails() {
    // Given: a sender that SES knows, and queues that no other test uses.
    let moto = std::env::var("ORDO_TEST_MOTO").expect("the address of a moto_server in ORDO_TEST_MOTO");
    let identity = ses_client(&moto).create_email_identity().email_identity(SENDER).send().await;
    // It may be there from an earlier run.
    assert!(identity.is_ok() || identity.as_ref().is_err_and(|error| error.raw_response().is_some()), "{identity:?}");
    let run = uuid::Uuid::now_v7().simple().to_string();
    let settings = [("AWS_ENDPOINT_URL", moto.as_str()), ("ORDO_QUEUE_PREFIX", &run), ("ORDO_MAIL_FROM", SENDER)];
    let ordo = Ordo::up(&settings).await;
    let order_id = |nth: usize| format!("{run}-{nth}");

    // When
    for nth in 0..ORDERS {
        assert_eq!(ordo.client().order(&demo_order(&order_id(nth))).await.status, 201);
    }

    // Then
    until_mailed(&ordo.database, i64::try_from(ORDERS).unwrap()).await;
    let known = Client::new(&moto).get("/moto-api/data.json").await.json();
    let subjects = known["ses"]["Message"].as_array().unwrap().iter().map(|mail| mail["subject"].as_str().unwrap());
    let ours = subjects.filter(|subject| subject.contains(&run));
    assert_eq!(count_by_order(ours), (0..ORDERS).map(|nth| (order_id(nth), 1)).collect());
}

#[tokio::test]
#[ignore = "needs moto_server, and its address in ORDO_TEST_MOTO: http://127.0.0.1:5000"]
async fn events_are_published_on_motos_queue() {
    // Given
    let moto = std::env::var("ORDO_TEST_MOTO").expect("the address of a moto_server in ORDO_TEST_MOTO");
    let run = uuid::Uuid::now_v7().simple().to_string();
    let queue = format!("{run}-events.fifo");
    let settings =
        [("AWS_ENDPOINT_URL_SQS", moto.as_str()), ("ORDO_QUEUE_PREFIX", &run), ("ORDO_EVENTS_QUEUE", &queue)];
    let ordo = Ordo::up(&settings).await;

    // When
    for nth in 0..ORDERS {
        assert_eq!(ordo.client().order(&demo_order(&format!("{run}-{nth}"))).await.status, 201);
    }

    // Then
    let sqs = sqs_client(&moto);
    let url = sqs.get_queue_url().queue_name(&queue).send().await.unwrap().queue_url.unwrap();
    let mut versions: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let until = tokio::time::Instant::now() + PATIENCE;
    while versions.len() < ORDERS || versions.values().any(|versions| versions.len() < 5) {
        assert!(tokio::time::Instant::now() < until, "{versions:?}");
        let received = sqs.receive_message().queue_url(&url).max_number_of_messages(10).send().await.unwrap();
        for message in received.messages.unwrap_or_default() {
            let event: Value = serde_json::from_str(message.body().unwrap()).unwrap();
            let order = event["subject"].as_str().unwrap().to_owned();
            versions.entry(order).or_default().push(event["data"]["version"].as_i64().unwrap());
            let receipt = message.receipt_handle.unwrap();
            sqs.delete_message().queue_url(&url).receipt_handle(receipt).send().await.unwrap();
        }
    }
    for (order, versions) in versions {
        assert!(versions.is_sorted(), "{order}: {versions:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs moto_server, and its address in ORDO_TEST_MOTO: http://127.0.0.1:5000"]
async fn no_event_is_lost_or_overtaken_on_motos_topic_however_often_the_platform_is_killed() {
    // Given: a topic, a queue that gets all of it, and one that gets the events of one type.
    let moto = std::env::var("ORDO_TEST_MOTO").expect("the address of a moto_server in ORDO_TEST_MOTO");
    let run = uuid::Uuid::now_v7().simple().to_string();
    let (sns, sqs) = (testkit::sns_client(&moto), sqs_client(&moto));
    let topic = sns.create_topic().name(format!("{run}.fifo")).attributes("FifoTopic", "true").send().await.unwrap();
    let topic = topic.topic_arn.unwrap();
    let queue = async |name: &str, filter: Option<&str>| {
        let made = sqs.create_queue().queue_name(name).attributes(QueueAttributeName::FifoQueue, "true");
        let url = made.send().await.unwrap().queue_url.unwrap();
        let arn = sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn).send().await;
        let arn = arn.unwrap().attributes.unwrap()[&QueueAttributeName::QueueArn].clone();
        let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn);
        let subscribe = subscribe.attributes("RawMessageDelivery", "true");
        let subscribe = filter.into_iter().fold(subscribe, |it, filter| it.attributes("FilterPolicy", filter));
        subscribe.send().await.unwrap();
        url
    };
    let everything = format!("{run}-all.fifo");
    queue(&everything, None).await;
    let confirmed = queue(&format!("{run}-confirmed.fifo"), Some(r#"{"ce-type":["OrderConfirmed"]}"#)).await;

    // When, then
    let settings = [("AWS_ENDPOINT_URL_SNS", moto.as_str()), ("ORDO_EVENTS_TOPIC", topic.as_str())];
    nothing_is_lost_or_overtaken(&run, &settings, &moto, &everything).await;
    let received = sqs.receive_message().queue_url(&confirmed).max_number_of_messages(10).send().await.unwrap();
    let types = received.messages().iter().map(|message| {
        serde_json::from_str::<Value>(message.body().unwrap()).unwrap()["type"].as_str().unwrap().to_owned()
    });
    let types: Vec<String> = types.collect();
    assert!(!types.is_empty() && types.iter().all(|name| name == "OrderConfirmed"), "{types:?}");
}
