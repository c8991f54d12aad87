//! Queues that are lost with their server, and queues that outlive it.

use std::path::Path;
use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName::ApproximateNumberOfMessages;
use embedded::sqs::Sqs;
use serde_json::Value;
use testkit::{demo_order, eventually, sqs_client};

use crate::support::{Ordo, PATIENCE, Setting, folder, mails_by_order, run, until_mailed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_come_back_empty_cost_no_order_its_mail() {
    // Given: an order whose mail's request waits in a queue.
    let (database, sqs, inbox) = tokio::join!(testkit::durable_database(), testkit::sqs(), testkit::inbox());
    let (sqs_url, inbox_url) = (sqs.url(), inbox.url());
    let settings = roles(database.url(), &sqs_url, &inbox_url);
    assert_eq!(run(&["migrate", "--queues"], &settings).await.code, 0);
    let ordo = Ordo::serve("command-api,sagas", &settings).await;
    assert_eq!(ordo.client().order(&demo_order("lost")).await.status, 201);
    waits(&sqs_url, 1).await;

    // When
    let address = sqs.address();
    sqs.stop().await;

    // Then
    let queues = || async {
        let answer = ordo.client().get("/health/ready").await.json();
        let checks = answer["checks"].as_array().unwrap().clone();
        (answer["status"].clone(), checks.into_iter().find(|check| check["name"] == "queues").unwrap())
    };
    eventually(PATIENCE, || async {
        let (status, check) = queues().await;
        status == "degraded" && check["error"].as_str().is_some_and(|error| error.contains("SQS"))
    })
    .await;

    // When it is back without anything, and nobody makes the queues.
    let _sqs = Sqs::start(address).await.unwrap();
    assert_eq!(ordo.client().order(&demo_order("after")).await.status, 201);
    let _notification = Ordo::serve("notification", &settings).await;

    // Then
    until_mailed(database.url(), 2).await;
    eventually(PATIENCE, || async { queues().await.0 == "ready" }).await;
    assert_eq!(mails_by_order(&inbox.messages()), [("lost".to_owned(), 1), ("after".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_of_their_own_keep_what_waits_when_they_are_killed() {
    // Given: a request that waits, which nobody makes again within this test.
    let (database, inbox) = tokio::join!(testkit::durable_database(), testkit::inbox());
    let (folder, inbox_url) = (folder(), inbox.url());
    let (mut queues, address) = alone(folder.path(), "127.0.0.1:0").await;
    let sqs_url = format!("http://{address}");
    let mut settings = roles(database.url(), &sqs_url, &inbox_url);
    settings.push(("ORDO_NOTIFICATION_DEADLINE", "3600"));
    assert_eq!(run(&["migrate", "--queues"], &settings).await.code, 0);
    let ordo = Ordo::serve("command-api,sagas", &settings).await;
    assert_eq!(ordo.client().order(&demo_order("kept")).await.status, 201);
    waits(&sqs_url, 1).await;

    // When
    queues.kill().await;
    let (_queues, again) = alone(folder.path(), &address).await;
    assert_eq!(again, address);
    waits(&sqs_url, 1).await;
    let _notification = Ordo::serve("notification", &settings).await;

    // Then
    until_mailed(database.url(), 1).await;
    assert_eq!(mails_by_order(&inbox.messages()), [("kept".to_owned(), 1)].into());
    let health = crate::support::Client::new(&sqs_url).get("/health").await;
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_mail_does_not_wait_for_a_notification_that_was_killed() {
    // Given: a consumer that waits for messages, and is killed.
    let (database, inbox) = tokio::join!(testkit::durable_database(), testkit::inbox());
    let (folder, inbox_url) = (folder(), inbox.url());
    let (_queues, address) = alone(folder.path(), "127.0.0.1:0").await;
    let sqs_url = format!("http://{address}");
    let mut settings = roles(database.url(), &sqs_url, &inbox_url);
    // Neither the saga nor the queue hands it out again.
    settings.extend([("ORDO_NOTIFICATION_DEADLINE", "3600"), ("ORDO_NOTIFICATIONS_VISIBILITY_TIMEOUT", "3600")]);
    assert_eq!(run(&["migrate", "--queues"], &settings).await.code, 0);
    let ordo = Ordo::serve("command-api,sagas", &settings).await;
    for nth in 0..3 {
        let mut notification = Ordo::serve("notification", &settings).await;
        let first = format!("before-{nth}");
        assert_eq!(ordo.client().order(&demo_order(&first)).await.status, 201);
        until_mailed(database.url(), 2 * nth + 1).await;
        notification.kill().await;

        // When
        let next = format!("after-{nth}");
        assert_eq!(ordo.client().order(&demo_order(&next)).await.status, 201);
        waits(&sqs_url, 1).await;
        let _another = Ordo::serve("notification", &settings).await;

        // Then
        until_mailed(database.url(), 2 * nth + 2).await;
    }
}

#[tokio::test]
async fn a_server_says_where_it_listens_in_its_log_and_what_is_wrong_with_its_arguments() {
    let folder = folder();
    let (queues, address) = alone(folder.path(), "0.0.0.0:0").await;
    assert!(address.starts_with("0.0.0.0:"), "{address}");
    for line in queues.log().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let data_dir = folder.path().to_str().unwrap();
    for (line, told) in [
        (&["queues", "--listen", "127.0.0.1:0", "--data-dir", data_dir][..], "another process keeps its queues in"),
        (&["queues", "--public-url", "https://queues"], "--public-url is http://HOST:PORT"),
    ] {
        let refused = run(line, &[("ORDO_LOG_FORMAT", "json")]).await;
        assert_eq!(refused.code, 1);
        let error: Value = serde_json::from_str(refused.err.lines().last().unwrap()).unwrap();
        assert_eq!(error["level"], "ERROR");
        assert!(error["message"].as_str().unwrap().contains(told), "{error}");
    }
}

fn roles<'a>(database: &'a str, sqs: &'a str, inbox: &'a str) -> Vec<Setting<'a>> {
    vec![
        ("DATABASE_URL", database),
        ("AWS_ENDPOINT_URL_SQS", sqs),
        ("AWS_ENDPOINT_URL_SESV2", inbox),
        ("ORDO_NOTIFICATION_DEADLINE", "1"),
        ("ORDO_NOTIFICATIONS_ERROR_BACKOFF", "1"),
        ("ORDO_REPLIES_ERROR_BACKOFF", "1"),
    ]
}

/// `ordo queues` on a folder, and where it listens.
async fn alone(folder: &Path, address: &str) -> (Ordo, String) {
    let data_dir = folder.to_str().unwrap();
    let queues = Ordo::starting(&["queues", "--listen", address, "--data-dir", data_dir], &[]);
    let listens = || {
        let log = queues.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| Some(line["address"].as_str()?.to_owned())).next()
    };
    eventually(Duration::from_secs(60), || async { listens().is_some() }).await;
    let address = listens().unwrap();
    (queues, address)
}

/// Until so many requests for mails wait.
async fn waits(sqs: &str, messages: usize) {
    let queues = sqs_client(sqs);
    let url = queues.get_queue_url().queue_name("ordo-notifications.fifo").send().await.unwrap().queue_url.unwrap();
    eventually(PATIENCE, || async {
        let asked = queues.get_queue_attributes().queue_url(&url).attribute_names(ApproximateNumberOfMessages);
        let answer = asked.send().await.unwrap();
        answer.attributes.unwrap()[&ApproximateNumberOfMessages].parse::<usize>().unwrap() >= messages
    })
    .await;
}
