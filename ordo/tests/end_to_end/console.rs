//! The console as a listener of the platform: who gets a page, and which requests are let in at all.

use std::time::Duration;

use access_control::Role;
use http::Method;
use testkit::demo_order;

use crate::access::{SECRET, as_role, asking, token};
use crate::support::{Answer, Client, Ordo, run, settled};

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
    for path in ["/", "/orders", "/sagas", "/stock", "/sales", "/log", "/audit", "/read-models", "/parked-events"] {
        let page = console.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
    }
    assert!(console.get("/").await.text().contains("not known to this process"));
    let without = Ordo::serve("command-api", &settings).await;
    assert_eq!(without.console, "");
}

const HOUR: Duration = Duration::from_secs(3_600);
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The form that signs in, with this credential and these headers.
async fn sign_in(console: &Client, credential: &str, headers: &[(&str, &str)]) -> Answer {
    let page = console.send_with(Method::GET, "/sign-in", &[BROWSER], "").await;
    assert_eq!((page.status, page.header("referrer-policy")), (200, "same-origin"), "{}", page.text());
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = page.text();
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let mut with = vec![BROWSER, FORM, ("cookie", cookie.as_str())];
    with.extend(headers);
    console.send_with(Method::POST, "/sign-in", &with, format!("token={token}&credential={credential}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_works_without_https_and_what_fails_is_logged() {
    let ordo = asking().await;
    let console = Client::new(&ordo.console);
    let credential = token(Role::Operator, HOUR);
    // So browsers send it that do not tell the site of a page.
    assert_eq!(sign_in(&console, &credential, &[("origin", &ordo.console)]).await.status, 303);
    assert_eq!(sign_in(&console, &credential, &[("origin", "null")]).await.status, 403);
    assert_eq!(sign_in(&console, "no.such.token", &[]).await.status, 401);
    assert_eq!(sign_in(&console, &token(Role::Customer, HOUR), &[]).await.status, 403);
    let log = ordo.log();
    let line = |status: &str, named: &str| {
        log.lines().any(|line| line.contains("/sign-in") && line.contains(status) && line.contains(named))
    };
    assert!(line("401", "the token cannot be verified"), "{log}");
    assert!(line("403", "customer:"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_keep_nobody_from_the_console_who_is_signed_in_or_wants_to() {
    let settings =
        [("ORDO_REQUIRE_AUTH", "true"), ("ORDO_TOKEN_SECRET", SECRET), ("ORDO_RATE_LIMITS", "anonymous=1/h")];
    let ordo = Ordo::up(&settings).await;
    let console = Client::new(&ordo.console);
    let credential = token(Role::Operator, HOUR);
    // The address of all of them has used up what strangers may do.
    while Client::new(&ordo.api).get("/nowhere").await.status != 429 {}
    assert_eq!(console.send_with(Method::GET, "/", &[BROWSER], "").await.status, 429);
    let session = format!("ordo_session={credential}");
    for path in ["/", "/parked-events", "/sagas", "/console.css", "/console.svg"] {
        for _ in 0..3 {
            let page = console.send_with(Method::GET, path, &[BROWSER, ("cookie", &session)], "").await;
            assert_eq!(page.status, 200, "{path}: {}", page.text());
        }
    }
    for _ in 0..3 {
        assert_eq!(sign_in(&console, &credential, &[]).await.status, 303);
    }
    // Whoever tries credentials out has one bucket for it, wherever they are tried.
    assert_eq!(sign_in(&console, "no.such.token", &[]).await.status, 401);
    assert_eq!(sign_in(&console, "no.such.token", &[]).await.status, 429);
    let other = console.send_with(Method::GET, "/", &[BROWSER, ("cookie", "ordo_session=no.such.token")], "").await;
    assert_eq!(other.status, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_route_takes_a_form_from_another_site_whatever_its_page_calls_itself() {
    let ordo = Ordo::up(&[]).await;
    assert_eq!(ordo.client().order(&demo_order("o-1")).await.status, 201);
    settled(&ordo.client(), "o-1").await;
    let console = Client::new(&ordo.console);
    let page = console.send_with(Method::GET, "/orders/o-1", &[BROWSER], "").await;
    let cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
    let before = ordo.client().get("/orders/o-1").await.json();
    let (other_port, bare) = (&*ordo.api, ordo.console.trim_end_matches(|letter: char| letter.is_ascii_digit()));
    let bare = bare.trim_end_matches(':');
    let own = ("origin", &*ordo.console);
    let mut routes = 0;
    for route in access_control::ROUTES.iter().filter(|route| route.method != "GET") {
        let path = route.path.replace("{order_id}", "o-1").replace(['{', '}'], "");
        let body = format!("method={}&token=x&%2Freason=forged&back=%2F", route.method);
        let send = async |more: &[(&str, &str)]| {
            let own: [(&str, &str); 3] = [("accept", "application/json"), FORM, ("cookie", &cookie)];
            let headers = [&own[..], more].concat();
            console.send_with(Method::POST, &path, &headers, body.clone()).await
        };
        for foreign in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", other_port)],
            &[("origin", bare)],
            &[("origin", "https://localhost.evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[own, ("sec-fetch-site", "cross-site")],
        ] {
            let refused = send(foreign).await;
            assert_eq!(refused.problem(403)["code"], "cross-site", "{path} {foreign:?}");
            assert!(refused.headers.get("set-cookie").is_none(), "{path} {foreign:?}");
        }
        // From its own pages it gets as far as its token.
        let stale = send(&[own]).await;
        assert_eq!(stale.problem(403)["code"], "forbidden", "{path}");
        routes += 1;
    }
    assert!(routes > 30, "{routes}");
    assert_eq!(ordo.client().get("/orders/o-1").await.json(), before);
}
