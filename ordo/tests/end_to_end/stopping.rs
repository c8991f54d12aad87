//! The ways in which `ordo up` ends, and what is left then: nothing that runs, everything that was acknowledged.
// Processes are looked for in /proc.
#![cfg(target_os = "linux")]

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testkit::{FaultyMailer, Response, demo_order, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{
    Client, Ordo, PATIENCE, SilenceableProxy, folder, only_says_what_is_set, processes, run, settled,
};

/// What a stop may take.
const STOP: Duration = Duration::from_secs(10);
/// What a start may take, recovery after a crash included.
const START: Duration = Duration::from_secs(30);
const AT_ONCE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn either_signal_ends_everything_within_ten_seconds() {
    for signal in [Signal::INT, Signal::TERM] {
        let data_dir = folder();
        let mut ordo = Ordo::up_on(data_dir.path(), &[]).await;
        ordo.client().order(&demo_order("before")).await;
        settled(&ordo.client(), "before").await;
        stops(&mut ordo, signal).await;
        assert!(!data_dir.path().join("postgres/postmaster.pid").exists(), "Postgres has not flushed and ended");
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_of_the_start_leaves_nothing_behind() {
    // While the cluster is made, while its server starts, when all is about to be ready.
    for wait in [100, 300, 600, 900, 1200] {
        let data_dir = folder();
        let mut ordo = Ordo::starting_on(data_dir.path(), &[]);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        ends(&mut ordo, Signal::TERM).await;
        let again = Ordo::up_on(data_dir.path(), &[]).await;
        assert_eq!(again.client().order(&demo_order("after")).await.status, 201);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_never_answer_do_not_keep_a_start_from_being_stopped() {
    let (data_dir, database) = (folder(), testkit::durable_database().await);
    assert_eq!(run(&["migrate"], &[("DATABASE_URL", database.url())]).await.code, 0);
    for serving in [false, true] {
        // Given
        let sqs = SilenceableProxy::silent().await;
        let sqs_url = sqs.http_url();
        let settings = [("AWS_ENDPOINT_URL_SQS", sqs_url.as_str()), ("DATABASE_URL", database.url())];
        let mut ordo = if serving {
            Ordo::starting_to_serve(&settings)
        } else {
            Ordo::starting_on(data_dir.path(), &settings[..1])
        };
        eventually(PATIENCE, || async { sqs.connections() > 0 }).await;

        // When
        stops(&mut ordo, Signal::TERM).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_that_fall_silent_do_not_keep_the_platform_from_stopping() {
    // Given
    let queues = testkit::sqs().await;
    let sqs = SilenceableProxy::in_front_of(&queues.url()).await;
    let (data_dir, sqs_url) = (folder(), sqs.http_url());
    let mut ordo = Ordo::up_on(data_dir.path(), &[("AWS_ENDPOINT_URL_SQS", sqs_url.as_str())]).await;
    ordo.client().order(&demo_order("before")).await;
    settled(&ordo.client(), "before").await;

    // When
    sqs.fall_silent();
    assert_eq!(ordo.client().order(&demo_order("meanwhile")).await.status, 201);

    // Then: what was under way may be cut off, and comes again.
    let status = ends(&mut ordo, Signal::TERM).await;
    assert!(matches!(status.code(), Some(0 | 1)), "{status:?}");
    let ordo = Ordo::up_on(data_dir.path(), &[]).await;
    assert_eq!(settled(&ordo.client(), "meanwhile").await["mails"][0]["status"], "sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_does_not_keep_the_roles_from_stopping() {
    // Given
    let (database, queues, inbox) = tokio::join!(testkit::durable_database(), testkit::sqs(), testkit::inbox());
    let silenceable = SilenceableProxy::in_front_of(database.url()).await;
    let (database_url, sqs_url, inbox_url) = (silenceable.url_like(database.url()), queues.url(), inbox.url());
    let settings = [
        ("DATABASE_URL", database_url.as_str()),
        ("AWS_ENDPOINT_URL_SQS", &sqs_url),
        ("AWS_ENDPOINT_URL_SESV2", &inbox_url),
    ];
    let migrated = run(&["migrate", "--queues"], &settings).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let mut ordo = Ordo::serve("command-api,projections,sagas,notification", &settings).await;
    assert_eq!(ordo.client().order(&demo_order("before")).await.status, 201);

    // When
    silenceable.fall_silent();

    // Then
    let status = ends(&mut ordo, Signal::TERM).await;
    assert!(matches!(status.code(), Some(0 | 1)), "{status:?}");
}

#[tokio::test]
async fn a_platform_whose_database_ends_says_so_and_ends() {
    for signal in [Signal::QUIT, Signal::KILL] {
        let data_dir = folder();
        let mut ordo = Ordo::up_on(data_dir.path(), &[]).await;
        assert_eq!(ordo.client().order(&demo_order("before")).await.status, 201);
        let everything = processes::descendants(ordo.pid());
        let notes = std::fs::read_to_string(data_dir.path().join("postgres/postmaster.pid")).unwrap();
        let server = Pid::from_raw(notes.lines().next().unwrap().parse().unwrap()).unwrap();

        kill_process(server, signal).unwrap();

        let status = ordo.ended(STOP).await.expect("it still runs ten seconds later");
        assert_eq!(status.code(), Some(1));
        let log = data_dir.path().join("postgres.log");
        let line = format!("ordo: the database ended by itself; its log is {}\n", log.display());
        assert!(ordo.log().ends_with(&line), "{}", ordo.log());
        assert!(processes::all_end(&everything, STOP), "something it started is left: {everything:?}");
        let ordo = up_again(&data_dir).await;
        assert_eq!(settled(&ordo.client(), "before").await["status"], "confirmed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_finished_first() {
    // Given: a mail that the mail service takes its time for, and an order of which half has arrived.
    let (data_dir, mailer) = (folder(), FaultyMailer::start().await);
    let mailer_url = mailer.url();
    let settings = [("AWS_ENDPOINT_URL_SESV2", mailer_url.as_str()), ("ORDO_NOTIFICATION_DEADLINE", "1")];
    let mut ordo = Ordo::up_on(data_dir.path(), &settings).await;
    mailer.next(1, Response::AcceptAfter(AT_ONCE));
    ordo.client().order(&demo_order("mailing")).await;
    eventually(PATIENCE, || async { mailer.accepted() == 1 }).await;
    let body = demo_order("arriving").to_string();
    let (half, rest) = body.split_at(body.len() / 2);
    let mut arriving = begin_post(&ordo, body.len(), half).await;

    // When
    let finish = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        arriving.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(STOP, arriving.read_to_string(&mut answer)).await.unwrap().unwrap();
        answer
    };
    let ((), answer) = tokio::join!(stops(&mut ordo, Signal::TERM), finish);

    // Then
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let ordo = Ordo::up_on(data_dir.path(), &settings).await;
    assert_eq!(settled(&ordo.client(), "mailing").await["mails"][0]["status"], "sent");
    assert_eq!(settled(&ordo.client(), "arriving").await["mails"][0]["status"], "sent");
    assert_eq!(mailer.accepted(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_does_not_wait() {
    // Given: work that would keep it for seconds.
    let (data_dir, mailer) = (folder(), FaultyMailer::start().await);
    mailer.always(Response::AcceptAfter(Duration::from_secs(60)));
    let mut ordo = Ordo::up_on(data_dir.path(), &[("AWS_ENDPOINT_URL_SESV2", &mailer.url())]).await;
    ordo.client().order(&demo_order("mailing")).await;
    eventually(PATIENCE, || async { mailer.accepted() == 1 }).await;
    let everything = processes::descendants(ordo.pid());

    // When
    ordo.signal(Signal::INT);
    assert_eq!(ordo.ended(AT_ONCE).await, None, "it did not wait for what is under way");
    ordo.signal(Signal::INT);

    // Then
    let status = ordo.ended(AT_ONCE).await.expect("it still runs a second later");
    assert_eq!(status.code(), Some(1));
    assert!(processes::all_end(&everything, STOP), "what it started goes on without it");
}

#[tokio::test]
async fn a_killed_platform_takes_its_database_along_and_comes_back_with_all_orders() {
    let data_dir = folder();
    let mut ordo = Ordo::up_on(data_dir.path(), &[]).await;
    assert_eq!(ordo.client().order(&demo_order("before")).await.status, 201);
    let everything = processes::descendants(ordo.pid());
    assert!(everything.len() > 2, "the watchdog, Postgres and its processes: {everything:?}");
    ordo.kill().await;
    assert!(processes::all_end(&everything, STOP), "what it started goes on without it");

    let mut ordo = up_again(&data_dir).await;
    assert_eq!(settled(&ordo.client(), "before").await["status"], "confirmed");

    // Nor does it need the time that takes.
    ordo.kill().await;
    let ordo = up_again(&data_dir).await;
    assert_eq!(settled(&ordo.client(), "before").await["version"], 5);
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_platform_at_a_time() {
    let data_dir = folder();
    let ordo = Ordo::up_on(data_dir.path(), &[]).await;
    let any = "127.0.0.1:0";
    let path = data_dir.path().to_str().unwrap();
    let line = ["up", "--data-dir", path, "--listen", any, "--sqs-listen", any, "--ses-listen", any];
    let refused = run(&line, &[]).await;
    assert!(refused.code == 1 && only_says_what_is_set(&refused.out), "{refused:?}");
    let expected = format!(
        "ordo: {path} is in use by process {}: stop that one first, or choose another data directory\n",
        ordo.pid()
    );
    assert_eq!(refused.err, expected);
    assert_eq!(ordo.client().order(&demo_order("undisturbed")).await.status, 201);
}

/// Asks it to stop, and sees that it does, in order.
async fn stops(ordo: &mut Ordo, signal: Signal) {
    let status = ends(ordo, signal).await;
    assert_eq!(status.code(), Some(0), "{}", ordo.log());
}

/// Sends a signal, and sees that it ends with all that it started. Before it listens to signals, it has no say in how.
async fn ends(ordo: &mut Ordo, signal: Signal) -> ExitStatus {
    let everything = processes::descendants(ordo.pid());
    let asked = Instant::now();
    ordo.signal(signal);
    let status = ordo.ended(STOP).await.unwrap_or_else(|| panic!("still running {STOP:?} after {signal:?}"));
    println!("stopped after {:?}", asked.elapsed());
    let left = STOP.saturating_sub(asked.elapsed());
    assert!(processes::all_end(&everything, left), "something it started is left: {everything:?}");
    status
}

async fn up_again(data_dir: &tempfile::TempDir) -> Ordo {
    let begun = Instant::now();
    let ordo = Ordo::up_on(data_dir.path(), &[]).await;
    println!("up again after {:?}", begun.elapsed());
    assert!(begun.elapsed() < START);
    ordo
}

/// Sends the head of a POST and the first part of its body.
async fn begin_post(ordo: &Ordo, length: usize, first: &str) -> TcpStream {
    // Answered first, so that the connection is known to be open when the stop comes.
    let client: Client = ordo.client();
    assert_eq!(client.get("/health/ready").await.status, 200);
    let mut stream = TcpStream::connect(ordo.api.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /orders HTTP/1.1\r\nhost: ordo\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{first}").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream
}
