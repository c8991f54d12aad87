//! Commands that cannot be taken back ask first or are refused, and failures are one sentence.

use std::fs;

use testkit::demo_order;

use crate::support::{Ordo, folder, run};

#[tokio::test]
async fn an_export_replaces_no_file_unless_it_is_told_to() {
    let database = testkit::database().await;
    let settings = [("DATABASE_URL", database.url())];
    let folder = folder();
    let file = folder.path().join("log.ndjson");
    fs::write(&file, "precious").unwrap();
    let path = file.to_str().unwrap();

    let refused = run(&["events", "export", "--out", path], &settings).await;
    let says = format!("ordo: {path} is there already: --force replaces it\n");
    assert_eq!((refused.code, refused.err, fs::read_to_string(&file).unwrap()), (1, says, "precious".to_owned()));

    let forced = run(&["events", "export", "--out", path, "--force"], &settings).await;
    assert_eq!((forced.code, fs::read_to_string(&file).unwrap()), (0, String::new()), "{}", forced.err);
}

#[tokio::test]
async fn without_credentials_the_dead_letter_command_fails_with_one_sentence() {
    // Nobody says where they are: nobody is asked.
    let told = run(&["dlq", "list"], &[]).await;
    assert_eq!((told.code, told.out.as_str(), told.err.lines().count()), (1, "", 1), "{}", told.err);
    assert!(told.err.starts_with("ordo: no queues are named, and no platform runs in .ordo: "), "{}", told.err);

    // Nowhere to look for credentials.
    let folder = folder();
    let home = folder.path().to_str().unwrap();
    let told =
        run(&["dlq", "list"], &[("AWS_REGION", "eu-central-1"), ("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", home)])
            .await;
    assert_eq!((told.code, told.out.as_str(), told.err.lines().count()), (1, "", 1), "{}", told.err);
    assert!(
        told.err.starts_with("ordo: the queues cannot be found: ") && told.err.contains("credentials"),
        "{}",
        told.err
    );
    assert!(told.err.len() < 400, "{}", told.err);
}

/// A terminal, as `script` of util-linux makes one.
#[cfg(target_os = "linux")]
mod at_a_terminal {
    use std::process::Stdio;

    use tokio::io::AsyncWriteExt;
    use tokio::process::Command;

    use super::*;
    use crate::support::event_count;

    /// What a command says to somebody who sits there and answers that; and how it ends.
    async fn answering(answer: &str, arguments: &str, database: &str) -> (i32, String) {
        let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_ordo"));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("DATABASE_URL", database);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut running = command.spawn().unwrap();
        let mut keyboard = running.stdin.take().unwrap();
        keyboard.write_all(answer.as_bytes()).await.unwrap();
        let ended = running.wait_with_output().await.unwrap();
        drop(keyboard);
        (ended.status.code().unwrap(), String::from_utf8(ended.stdout).unwrap())
    }

    #[tokio::test]
    async fn before_an_order_is_undone_somebody_is_asked() {
        // Given: an order that no saga comes to.
        let database = testkit::durable_database().await;
        assert_eq!(run(&["migrate"], &[("DATABASE_URL", database.url())]).await.code, 0);
        let writes = Ordo::serve("command-api", &[("DATABASE_URL", database.url())]).await;
        assert_eq!(writes.client().order(&demo_order("a")).await.status, 201);
        let compensate = "saga compensate a --reason mistake";
        let question = "a waits for reserve_stock, due; nothing was done for it. Undo it and end the order? [y/N] ";

        // Who does not say yes changes nothing.
        for answer in ["n\n", "\n"] {
            let (code, told) = answering(answer, compensate, database.url()).await;
            assert!(
                code == 1 && told.contains(question) && told.contains("ordo: nothing is changed"),
                "{code}: {told}"
            );
        }
        assert_eq!(event_count(database.url()).await, 1);

        // Who says it, or said so in advance, undoes it.
        let (_, told) = answering("", &format!("{compensate} --yes"), database.url()).await;
        assert!(!told.contains("[y/N]"), "{told}");
        assert!(event_count(database.url()).await > 1, "{told}");
    }

    #[tokio::test]
    async fn on_a_terminal_a_page_has_colour_unless_nobody_wants_it() {
        let database = testkit::durable_database().await;
        assert_eq!(run(&["migrate"], &[("DATABASE_URL", database.url())]).await.code, 0);
        let writes = Ordo::serve("command-api", &[("DATABASE_URL", database.url())]).await;
        assert_eq!(writes.client().order(&demo_order("a")).await.status, 201);
        let (code, told) = answering("", "order show a", database.url()).await;
        assert!(code == 0 && told.contains("\u{1b}[33mpending\u{1b}[0m"), "{told}");
        let piped = run(&["order", "show", "a"], &[("DATABASE_URL", database.url())]).await;
        assert!(piped.out.starts_with("a  pending  "), "{}", piped.out);
    }
}

/// What it logged once it was to stop.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn ctrl_c_ends_a_command_without_an_error() {
    use rustix::process::Signal;

    use crate::support::{PATIENCE, settled};

    let mut ordo = Ordo::up(&[]).await;
    ordo.client().order(&demo_order("before")).await;
    settled(&ordo.client(), "before").await;
    let before = ordo.log().len();
    ordo.signal(Signal::INT);
    assert_eq!(ordo.ended(PATIENCE).await.and_then(|status| status.code()), Some(0));
    let log = ordo.log();
    let since = &log[before..];
    assert!(!since.contains(r#""level":"WARN""#) && !since.contains(r#""level":"ERROR""#), "{since}");
}
