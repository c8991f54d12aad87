//! The live stream, as `ordo tail` prints it, while the processes that serve it come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{demo_order, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{Client, Deployment, Ordo, PATIENCE, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_misses_nothing_and_sees_nothing_twice_whatever_becomes_of_the_servers() {
    // Given
    let deployment = Deployment::new(&[]).await;
    let intake = deployment.serve("command-api").await;
    let client = intake.client();
    let mut first = deployment.serve("projections").await;
    let relay = Relay::to(&first).await;
    post(&client, 0..10).await;

    // When
    let line = ["tail", "--api", &relay.url(), "--after", "0", "--json", "--limit", "50"];
    let servers = async {
        relay.until_passed(1).await;
        post(&client, 10..20).await;
        first.signal(Signal::TERM);
        assert!(first.ended(PATIENCE).await.unwrap().success());
        // Nobody waited for a stream that has no end.
        assert!(!first.log().contains("cut off"), "{}", first.log());

        post(&client, 20..30).await;
        let mut second = deployment.serve("projections").await;
        relay.goes_to(&second);
        relay.until_passed(2).await;
        second.kill().await;

        post(&client, 30..40).await;
        let third = deployment.serve("projections").await;
        relay.goes_to(&third);
        post(&client, 40..50).await;
        third
    };
    let (told, _third) = tokio::join!(run(&line, &[]), servers);

    // Then
    assert_eq!(told.code, 0, "{}", told.err);
    let events: Vec<Value> = told.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let orders: Vec<_> = events.iter().map(|event| event["streamId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(orders, (0..50).map(|nth| format!("o-{nth}")).collect::<Vec<_>>());
    assert!(told.err.lines().count() >= 2, "{}", told.err);
    assert!(told.err.contains("it goes on behind position"), "{}", told.err);
}

#[tokio::test]
async fn a_tail_shows_what_is_asked_for_as_lines_for_people() {
    let ordo = Ordo::up(&[]).await;
    let client = ordo.client();
    client.receive("sku-123", 5).await;
    let mut order = demo_order("a");
    order["paymentToken"] = json!("tok_ok");
    client.order(&order).await;

    let names = ["--type", "OrderConfirmed,NotificationSent"];
    let line = [&["tail", "--api", &ordo.api, "--after", "0", "--limit", "2"], names.as_slice()].concat();
    let confirmed = run(&line, &[]).await;
    assert_eq!((confirmed.code, confirmed.err.as_str()), (0, ""));
    let lines: Vec<_> = confirmed.out.lines().collect();
    assert!(lines[0].contains("  order/a  4 OrderConfirmed  {}"), "{lines:?}");
    assert!(lines[1].contains("  order/a  5 NotificationSent  {"), "{lines:?}");

    let stock =
        run(&["tail", "--api", &ordo.api, "--after", "0", "--stream", "stock/sku-123", "--limit", "2"], &[]).await;
    assert!(stock.out.contains("StockReceived  {\"quantity\":5}"), "{}", stock.out);
    assert!(stock.out.contains("ReservationMade"), "{}", stock.out);

    let all = run(&["tail", "--api", &ordo.api, "--after", "0", "--json", "--limit", "7"], &[]).await;
    assert!(!all.out.contains("tok_ok"), "{}", all.out);
}

#[tokio::test]
async fn a_tail_that_can_never_work_says_why() {
    let database = testkit::durable_database().await;
    let settings = [("DATABASE_URL", database.url())];
    assert_eq!(run(&["migrate"], &settings).await.code, 0);
    let ordo = Ordo::serve("projections", &settings).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (line, says) in [
        (vec!["tail", "--api", &ordo.api, "--after", "7"], "position 7 is beyond the end of the log, which is at 0"),
        (vec!["tail", "--api", &format!("http://{nobody}")], "start one with `ordo up`, or name it with --api"),
        (vec!["tail", "--api", &format!("{}/v3", ordo.api)], "answers 404"),
        (vec!["tail", "--api", "https://127.0.0.1:1"], "no platform: nothing answers at https://127.0.0.1:1"),
        (vec!["tail", "--api", "ftp://127.0.0.1:1"], "must begin with http:// or https://"),
    ] {
        let told = run(&line, &[]).await;
        assert_eq!((told.code, told.err.lines().count()), (1, 1), "{line:?}: {}", told.err);
        assert!(told.err.contains(says), "{line:?}: {}", told.err);
    }
    assert_eq!(run(&["tail", "--after=-1"], &[]).await.code, 2);
    assert_eq!(run(&["tail", "--stream", "order"], &[]).await.code, 2);
}

async fn post(client: &Client, orders: std::ops::Range<usize>) {
    for nth in orders {
        assert_eq!(client.order(&demo_order(&format!("o-{nth}"))).await.status, 201);
    }
}

/// One address for servers that come and go.
struct Relay {
    port: u16,
    target: watch::Sender<String>,
    /// How many connections have had an answer, or the beginning of one.
    passed: Arc<AtomicUsize>,
    _accepting: JoinSet<()>,
}

impl Relay {
    async fn to(server: &Ordo) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (target, passed) = (watch::Sender::new(address(server)), Arc::new(AtomicUsize::new(0)));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target.subscribe(), Arc::clone(&passed)));
        Self { port, target, passed, _accepting: accepting }
    }

    fn goes_to(&self, server: &Ordo) {
        self.target.send_replace(address(server));
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn until_passed(&self, connections: usize) {
        eventually(PATIENCE, || async { self.passed.load(Ordering::Relaxed) >= connections }).await;
    }
}

fn address(server: &Ordo) -> String {
    server.api.strip_prefix("http://").unwrap().to_owned()
}

async fn accept(listener: TcpListener, target: watch::Receiver<String>, passed: Arc<AtomicUsize>) {
    let mut open = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let (target, passed) = (target.borrow().clone(), Arc::clone(&passed));
        open.spawn(async move {
            // Nobody may be there: then the client finds its connection closed.
            let Ok(mut server) = TcpStream::connect(target).await else { return };
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            let answer = async {
                let mut beginning = [0; 4096];
                let length = from_server.read(&mut beginning).await.unwrap_or(0);
                if length > 0 && to_client.write_all(&beginning[..length]).await.is_ok() {
                    passed.fetch_add(1, Ordering::Relaxed);
                }
                let _ = copy(&mut from_server, &mut to_client).await;
            };
            tokio::select! {
                () = answer => {}
                // The client has gone, or says nothing more and waits.
                () = async { let _ = copy(&mut from_client, &mut to_server).await; } => {}
            }
        });
    }
}
