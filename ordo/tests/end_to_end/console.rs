//! The console as a listener of the platform: who gets a page, and which requests are let in at all.

use access_control::Role;
use http::Method;
use testkit::demo_order;

use crate::access::{as_role, asking};
use crate::support::{Client, Ordo, run, settled};

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_of_up_shows_an_order_and_takes_nothing_from_other_sites() {
    let ordo = Ordo::up(&[]).await;
    assert_eq!(ordo.client().order(&demo_order("o-1")).await.status, 201);
    settled(&ordo.client(), "o-1").await;
    let console = Client::new(&ordo.console);
    let get = async |path: &str, more: (&str, &str)| console.send_with(Method::GET, path, &[BROWSER, more], "").await;

    let home = get("/", ("x-none", "")).await;
    assert_eq!(home.status, 200, "{}", home.text());
    assert!(home.text().contains("operator:local") && home.text().contains("order_fulfilment"), "{}", home.text());
    let order = get("/orders/o-1", ("x-none", "")).await;
    assert!(order.text().contains("Confirmed since") && order.text().contains("notify customer"), "{}", order.text());
    assert!(order.text().contains("SES id"), "{}", order.text());
    // The API and the operate listener have no pages, and the console answers nothing of theirs.
    assert_eq!(ordo.client().get("/parked-events").await.status, 404);
    assert_eq!(get("/metrics", ("x-none", "")).await.status, 404);

    assert_eq!(get("/", ("host", "rebound.example")).await.status, 421);
    assert_eq!(get("/orders", ("sec-fetch-site", "cross-site")).await.status, 403);
    // A proxy passes it on: whoever asks is not on this machine.
    assert_eq!(get("/orders", ("x-forwarded-for", "192.0.2.7")).await.status, 401);
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let form = ("content-type", "application/x-www-form-urlencoded");
        for path in ["/sign-in", "/sign-out"] {
            let sent = console.send_with(Method::POST, path, &[BROWSER, form, (name, value)], "token=x").await;
            assert_eq!(sent.status, 403, "{path} {name}");
            assert!(sent.headers.get("set-cookie").is_none());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_everyone_is_asked_the_console_asks_too() {
    let ordo = asking().await;
    let stranger = Client::new(&ordo.console).send_with(Method::GET, "/orders", &[BROWSER], "").await;
    assert_eq!(stranger.status, 401);
    assert!(stranger.text().contains("<h1>Sign in</h1>"), "{}", stranger.text());
    for (role, status) in [(Role::Operator, 200), (Role::Auditor, 200), (Role::Support, 403), (Role::Customer, 403)] {
        let caller = as_role(&ordo, role).at(&ordo.console);
        assert_eq!(caller.get("/sagas").await.status, status, "{role}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_runs_alone() {
    let (database, sqs) = tokio::join!(testkit::durable_database(), testkit::sqs());
    let sqs = sqs.url();
    let settings = [
        ("DATABASE_URL", database.url()),
        ("AWS_ENDPOINT_URL_SQS", &sqs),
        ("ORDO_DATABASE_CONNECTIONS", "8"),
        ("ORDO_READ_CONNECTIONS", "4"),
    ];
    let migrated = run(&["migrate"], &settings).await;
    assert_eq!(migrated.code, 0, "{}", migrated.err);
    let ordo = Ordo::serve("console", &settings).await;
    let console = Client::new(&ordo.console);
    for path in ["/", "/orders", "/sagas", "/stock", "/parked-events"] {
        let page = console.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
    }
    assert!(console.get("/").await.text().contains("not known to this process"));
    let without = Ordo::serve("command-api", &settings).await;
    assert_eq!(without.console, "");
}
