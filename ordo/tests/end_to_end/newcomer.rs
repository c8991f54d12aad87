//! The first steps in a fresh clone: `ordo up` in a folder, commands beside it, and what was exported yesterday.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::Signal;
use testkit::demo_order;

use crate::support::{Finished, Ordo, PATIENCE, Setting, folder, run, settled};

#[tokio::test]
async fn exports_of_yesterday_are_right_today() {
    // Given: the first day, with nothing set, and what is then exported from what it says.
    let data_dir = folder();
    let mut ordo = Ordo::up_on(data_dir.path(), &[]).await;
    ordo.client().order(&demo_order("first")).await;
    settled(&ordo.client(), "first").await;
    let place = [ordo.api.clone(), ordo.inbox.clone(), ordo.sqs.clone(), ordo.database.clone()];
    let exports = [
        ("DATABASE_URL", place[3].as_str()),
        ("AWS_ENDPOINT_URL_SQS", &place[2]),
        ("AWS_ENDPOINT_URL_SESV2", &place[1]),
    ];
    works(data_dir.path(), &exports).await;
    stopped(&mut ordo).await;

    // When: twice in a row, in that shell.
    for id in ["second", "third"] {
        let mut ordo = Ordo::up_on(data_dir.path(), &exports).await;

        // Then: it is the same platform, at the same place.
        assert_eq!([&ordo.api, &ordo.inbox, &ordo.sqs, &ordo.database], place.each_ref());
        assert_eq!(ordo.client().get("/orders/first").await.status, 200);
        ordo.client().order(&demo_order(id)).await;
        settled(&ordo.client(), id).await;
        works(data_dir.path(), &exports).await;
        works(data_dir.path(), &[]).await;
        assert!(ordo.log().contains("a setting that is not the default"), "what is exported is said: {}", ordo.log());
        stopped(&mut ordo).await;
    }
}

#[tokio::test]
async fn every_command_finds_the_platform_by_its_data_directory() {
    let data_dir = folder();
    let dir = data_dir.path().to_str().unwrap();
    let ordo = Ordo::up_on(data_dir.path(), &[]).await;
    works(data_dir.path(), &[]).await;
    let about = fs::metadata(data_dir.path().join("platform.json")).unwrap();
    assert_eq!(about.mode() & 0o777, 0o600, "it has the database's password");
    let demo = run(&["demo", "--json", "--data-dir", dir], &[]).await;
    assert_eq!(demo.code, 0, "{}", demo.err);
    let tail = run(&["tail", "--after", "0", "--limit", "1", "--data-dir", dir], &[]).await;
    assert!(tail.out.contains("OrderCreated"), "{tail:?}");

    // One that was killed is not taken for one that runs.
    drop(ordo);
    for command in [&["verify"][..], &["dlq", "list"], &["demo"], &["health"], &["tail"]] {
        let told = run(&[command, &["--data-dir", dir]].concat(), &[]).await;
        assert_eq!(told.code, 1, "{told:?}");
        assert_eq!(
            told.err,
            format!("ordo: no platform runs in {dir}: start one with `ordo up --data-dir {dir}`\n"),
            "{command:?}"
        );
    }
}

#[tokio::test]
async fn another_platforms_database_is_refused_where_a_data_directory_is_named() {
    let (one, other) = (folder(), folder());
    let theirs = Ordo::up_on(one.path(), &[]).await;
    let ours = Ordo::up_on(other.path(), &[]).await;
    let dir = other.path().to_str().unwrap();
    let settings = [("DATABASE_URL", theirs.database.as_str())];
    let names_another = |told: &Finished| {
        assert_eq!((told.code, told.err.lines().count()), (1, 1), "{told:?}");
        assert!(told.err.contains("DATABASE_URL (environment) names another database than"), "{told:?}");
    };
    names_another(&run(&["verify", "--data-dir", dir], &settings).await);
    drop(ours);
    let any = "127.0.0.1:0";
    let up = ["up", "--listen", any, "--sqs-listen", any, "--ses-listen", any, "--data-dir", dir];
    names_another(&run(&up, &settings).await);
}

#[tokio::test]
async fn another_platforms_queues_are_refused_for_a_database_of_ones_own() {
    let (one, other) = (folder(), folder());
    let theirs = Ordo::up_on(one.path(), &[]).await;
    let any = "127.0.0.1:0";
    let up = ["up", "--listen", any, "--sqs-listen", any, "--ses-listen", any];
    let other = ["--data-dir", other.path().to_str().unwrap()];
    for (more, name) in [(&other[..], "AWS_ENDPOINT_URL_SQS"), (&["--ephemeral"], "AWS_ENDPOINT_URL")] {
        let told = run(&[&up, more].concat(), &[(name, theirs.sqs.as_str())]).await;
        assert_eq!((told.code, told.err.lines().count()), (1, 1), "{told:?}");
        let says = format!("ordo: {name} (environment) names the queues of another platform, process ");
        assert!(told.err.starts_with(&says), "{told:?}");
    }
}

#[tokio::test]
async fn a_port_that_somebody_else_took_is_not_taken_for_the_database() {
    let data_dir = folder();
    let mut ordo = Ordo::up_on(data_dir.path(), &[]).await;
    let exported = ordo.database.clone();
    stopped(&mut ordo).await;
    let port = url::Url::parse(&exported).unwrap().port().unwrap();
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();

    let any = "127.0.0.1:0";
    let dir = data_dir.path().to_str().unwrap();
    let up = ["up", "--listen", any, "--sqs-listen", any, "--ses-listen", any, "--data-dir", dir];
    let told = run(&up, &[("DATABASE_URL", &exported)]).await;
    assert_eq!(told.code, 1);
    assert!(told.err.contains("another process has the port in DATABASE_URL by now: unset it"), "{told:?}");

    let ordo = Ordo::up_on(data_dir.path(), &[]).await;
    assert_ne!(ordo.database, exported);
    works(data_dir.path(), &[]).await;
}

/// The commands that the documents name for a platform that runs.
async fn works(data_dir: &Path, settings: &[Setting<'_>]) {
    let dir = data_dir.to_str().unwrap();
    for command in [
        &["health"][..],
        &["subscriptions", "list"],
        &["dlq", "list", "--json"],
        &["saga", "list"],
        &["replay", "--all", "--dry-run"],
        &["events", "export"],
        &["verify"],
    ] {
        let told = run(&[command, &["--data-dir", dir]].concat(), settings).await;
        assert_eq!(told.code, 0, "{command:?} with {settings:?}: {told:?}");
    }
}

async fn stopped(ordo: &mut Ordo) {
    ordo.signal(Signal::TERM);
    assert!(ordo.ended(PATIENCE).await.is_some_and(|status| status.success()), "{}", ordo.log());
}
