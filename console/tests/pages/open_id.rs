//! Signing in at the issuer of tokens, by OpenID Connect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use access_control::{IssuerUrl, OpenIdClient, OpenIdClientSecret, OpenIdSettings, RedirectUrl, Role};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::support::{Answer, Fixture, as_role};

const CALLBACK: &str = "https://console.shop.example/sign-in/callback";

/// An issuer on loopback, where a person has said yes. It ends when it is dropped.
struct Issuer {
    url: String,
    state: Arc<Mutex<IssuerState>>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct IssuerState {
    url: String,
    /// By its code, the challenge of each sign-in that is under way, and what is handed out, once.
    codes: HashMap<String, (String, Value)>,
}

type Shared = State<Arc<Mutex<IssuerState>>>;

impl Issuer {
    async fn start() -> Self {
        let state: Arc<Mutex<IssuerState>> = Arc::default();
        let document = |State(state): Shared| async move {
            let url = state.lock().unwrap().url.clone();
            Json(json!({
                "issuer": url, "authorization_endpoint": format!("{url}/authorize?tenant=shop"),
                "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/keys"),
            }))
        };
        let routes = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/token", post(hand_out))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        state.lock().unwrap().url.clone_from(&url);
        let server = AbortOnDropHandle::new(tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() }));
        Self { url, state, _server: server }
    }

    fn client(&self) -> OpenIdClient {
        client(&self.url)
    }

    /// The person says yes: the query with which the browser is sent back.
    fn authorize(&self, location: &str, tokens: &Value) -> HashMap<String, String> {
        let asked = Url::parse(location).unwrap();
        assert!(location.starts_with(&format!("{}/authorize?tenant=shop&", self.url)), "{location}");
        let asked: HashMap<String, String> = asked.query_pairs().into_owned().collect();
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "console"),
            ("redirect_uri", CALLBACK),
            ("scope", "openid"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(asked[name], value);
        }
        let mut state = self.state.lock().unwrap();
        let code = format!("code-of-{}", asked["state"]);
        state.codes.insert(code.clone(), (asked["code_challenge"].clone(), tokens.clone()));
        HashMap::from([("code".to_owned(), code), ("state".to_owned(), asked["state"].clone())])
    }
}

fn client(issuer: &str) -> OpenIdClient {
    OpenIdClient::start(OpenIdSettings {
        issuer: issuer.to_owned(),
        document: IssuerUrl::parse(&format!("{issuer}/.well-known/openid-configuration")).unwrap(),
        client_id: "console".to_owned(),
        client_secret: OpenIdClientSecret::parse("a-secret"),
        scopes: vec!["openid".to_owned()],
        redirect_url: RedirectUrl::new(CALLBACK.to_owned()).unwrap(),
    })
    .unwrap()
}

/// The token endpoint: it wants the client's secret and the verifier of the challenge, and takes a code once.
async fn hand_out(
    State(state): Shared,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let mut state = state.lock().unwrap();
    let secret = format!("Basic {}", STANDARD.encode("console:a-secret"));
    let verifier = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
    let holds = headers["authorization"] == secret.as_str()
        && form["grant_type"] == "authorization_code"
        && form["redirect_uri"] == CALLBACK;
    let verified = |(challenge, _): &(String, Value)| URL_SAFE_NO_PAD.encode(verifier) == *challenge;
    match state.codes.remove(&form["code"]).filter(|it| holds && verified(it)) {
        Some((_, tokens)) => (StatusCode::OK, Json(tokens)),
        None => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))),
    }
}

fn query(pairs: &HashMap<String, String>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn come_back(fixture: &Fixture, cookies: &[String], pairs: &HashMap<String, String>) -> Answer {
    let cookies = cookies.join("; ");
    // As a browser says that comes from another site.
    let headers = [("cookie", cookies.as_str()), ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    fixture.visit_with(&format!("/sign-in/callback?{}", query(pairs)), &headers).await
}

/// The cookie of a sign-in that has begun, as a header removes it.
fn removed(cookies: &[String]) -> String {
    let name = cookies.iter().find_map(|cookie| cookie.split_once('=')).unwrap().0;
    assert!(name.starts_with("ordo_sign_in_"), "{name}");
    format!("{name}=")
}

fn session(answer: &Answer) -> Option<String> {
    answer.cookies().into_iter().find(|cookie| cookie.starts_with("ordo_session=") && !cookie.ends_with('='))
}

#[tokio::test]
async fn a_person_signs_in_at_the_issuer_and_comes_back_to_the_page() {
    let issuer = Issuer::start().await;
    let fixture = Fixture::signing_in_at(issuer.client()).await;
    let asked = fixture.visit("/sign-in?next=/orders%3Fq%3Da").await;
    assert!(asked.body.contains(r#"href="/sign-in/issuer?next=%2Forders%3Fq%3Da""#), "{}", asked.body);
    // The second issuer hands out access tokens that only it can read.
    let tokens = [
        json!({ "access_token": as_role(Role::Support), "token_type": "Bearer" }),
        json!({
            "access_token": "opaque", "token_type": "Bearer", "id_token": as_role(Role::Support), "expires_in": 300,
        }),
    ];
    for tokens in tokens {
        let away = fixture.visit("/sign-in/issuer?next=/orders%3Fq%3Da").await;
        assert_eq!(away.status, StatusCode::SEE_OTHER);
        let set = away.headers["set-cookie"].to_str().unwrap();
        assert!(
            set.starts_with("ordo_sign_in_") && set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=600"),
            "{set}"
        );
        let back = issuer.authorize(away.headers["location"].to_str().unwrap(), &tokens);
        let answer = come_back(&fixture, &away.cookies(), &back).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let session = session(&answer).unwrap();
        assert!(answer.cookies().contains(&removed(&away.cookies())));
        assert!(answer.body.contains("url=/sign-in?next=%2Forders%3Fq%3Da"), "{}", answer.body);
        let on = fixture.visit_with("/sign-in?next=/orders%3Fq%3Da", &[("cookie", &session)]).await;
        assert_eq!(on.headers["location"], "/orders?q=a");
        let home = fixture.visit_with("/", &[("cookie", &session)]).await;
        assert!(home.body.contains("support:test"), "{}", home.body);
        // The code is used up.
        let again = come_back(&fixture, &away.cookies(), &back).await;
        assert_eq!((again.status, self::session(&again)), (StatusCode::FORBIDDEN, None));
    }
    fixture.end().await;
}

#[tokio::test]
async fn what_this_browser_did_not_ask_for_begins_no_session() {
    let issuer = Issuer::start().await;
    let fixture = Fixture::signing_in_at(issuer.client()).await;
    let begin_for = async |token: String| {
        let away = fixture.visit("/sign-in/issuer").await;
        let tokens = json!({ "access_token": token, "token_type": "Bearer" });
        let back = issuer.authorize(away.headers["location"].to_str().unwrap(), &tokens);
        (away.cookies(), back)
    };
    let begin = async |role| begin_for(as_role(role)).await;
    let changed = |back: &HashMap<String, String>, name: &str, value: &str| {
        let mut back = back.clone();
        back.insert(name.to_owned(), value.to_owned());
        back
    };
    let (others, _) = begin(Role::Operator).await;
    let (cookies, back) = begin(Role::Operator).await;
    let none: &[String] = &[];
    let forged = format!("{}AAAA", removed(&cookies));
    for (cookies, back, is_ended) in [
        (none, back.clone(), false),
        (&[forged][..], back.clone(), false),
        (&others, back.clone(), false),
        (&cookies, changed(&back, "state", "forged"), false),
        (&cookies, HashMap::new(), false),
        (&cookies, changed(&back, "error", "access_denied"), true),
        (&cookies, changed(&back, "iss", "https://another.example"), true),
        (&cookies, changed(&back, "code", "another"), true),
    ] {
        let answer = come_back(&fixture, cookies, &back).await;
        assert_eq!((answer.status, session(&answer)), (StatusCode::FORBIDDEN, None), "{back:?}: {}", answer.body);
        // Where it can be tried again, and without what whoever made the address wrote.
        assert!(
            answer.body.contains("You are not signed in") && answer.body.contains("/sign-in/issuer"),
            "{}",
            answer.body
        );
        assert!(!answer.body.contains("access_denied"));
        // A forged address ends no sign-in.
        let ended = answer.cookies().into_iter().find(|cookie| cookie.starts_with("ordo_sign_in"));
        assert_eq!(ended, is_ended.then(|| removed(cookies)));
    }
    let (cookies, back) = begin_for("opaque".to_owned()).await;
    let answer = come_back(&fixture, &cookies, &back).await;
    assert_eq!((answer.status, session(&answer)), (StatusCode::UNAUTHORIZED, None));
    assert!(answer.body.contains("You are not signed in"), "{}", answer.body);
    let (cookies, back) = begin(Role::Customer).await;
    let answer = come_back(&fixture, &cookies, &back).await;
    assert_eq!((answer.status, session(&answer)), (StatusCode::FORBIDDEN, None));
    fixture.end().await;
}

/// Begins a sign-in in a tab of a browser that has these cookies, and changes them as the browser does.
async fn open_tab(fixture: &Fixture, jar: &mut Vec<String>, next: &str) -> Answer {
    let away = fixture.visit_with(&format!("/sign-in/issuer?next={next}"), &[("cookie", &jar.join("; "))]).await;
    assert_eq!(away.status, StatusCode::SEE_OTHER, "{}", away.body);
    for set in away.cookies() {
        let name = format!("{}=", set.split_once('=').unwrap().0);
        jar.retain(|cookie| !cookie.starts_with(&name));
        jar.extend((set != name).then_some(set));
    }
    away
}

#[tokio::test]
async fn two_tabs_sign_in_at_the_same_time() {
    let issuer = Issuer::start().await;
    let fixture = Fixture::signing_in_at(issuer.client()).await;
    let tokens = json!({ "access_token": as_role(Role::Support), "token_type": "Bearer" });
    let long = |name: &str| format!("/{name}?q={}", "x".repeat(1_000));
    let mut jar = Vec::new();
    let tabs = [long("orders"), long("stock")];
    let mut backs = Vec::new();
    for next in &tabs {
        let away = open_tab(&fixture, &mut jar, next).await;
        backs.push(issuer.authorize(away.headers["location"].to_str().unwrap(), &tokens));
    }
    assert_eq!(jar.len(), 2);
    for (back, next) in backs.iter().zip(&tabs) {
        let answer = come_back(&fixture, &jar, back).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(
            session(&answer).is_some() && answer.body.contains(&format!("next=%2F{}", &next[1..6])),
            "{}",
            answer.body
        );
        let ended = answer.cookies().into_iter().filter(|cookie| cookie.starts_with("ordo_sign_in_")).count();
        assert_eq!(ended, 1);
    }
    fixture.end().await;
}

#[tokio::test]
async fn a_browser_has_a_bounded_number_of_sign_ins_that_have_begun() {
    let issuer = Issuer::start().await;
    let fixture = Fixture::signing_in_at(issuer.client()).await;
    let mut jar = vec!["ordo_form=a".to_owned()];
    let first = open_tab(&fixture, &mut jar, "/").await.cookies().remove(0);
    for _ in 0..9 {
        open_tab(&fixture, &mut jar, "/").await;
    }
    assert!(jar.len() == 11 && jar.contains(&first), "{jar:?}");
    // The oldest makes room, and no other cookie does.
    open_tab(&fixture, &mut jar, "/").await;
    assert!(jar.len() == 11 && !jar.contains(&first) && jar[0] == "ordo_form=a", "{jar:?}");
    for _ in 0..3 {
        open_tab(&fixture, &mut jar, &format!("/orders?q={}", "x".repeat(1_980))).await;
    }
    let bytes: usize = jar.iter().map(String::len).sum();
    assert!(jar.len() == 2 && bytes < 4_000, "{bytes}: {jar:?}");
    fixture.end().await;
}

#[tokio::test]
async fn an_issuer_that_is_away_or_another_is_said() {
    // Nobody listens there.
    let fixture = Fixture::signing_in_at(client("http://127.0.0.1:1")).await;
    assert_eq!(fixture.visit("/sign-in/issuer").await.status, StatusCode::SERVICE_UNAVAILABLE);
    fixture.end().await;
    let issuer = Issuer::start().await;
    let client = issuer.client();
    issuer.state.lock().unwrap().url = "https://another.example".to_owned();
    let fixture = Fixture::signing_in_at(client).await;
    assert_eq!(fixture.visit("/sign-in/issuer").await.status, StatusCode::SERVICE_UNAVAILABLE);
    fixture.end().await;
    let fixture = Fixture::new().await;
    assert_eq!(fixture.visit("/sign-in/issuer").await.status, StatusCode::NOT_FOUND);
    assert!(!fixture.visit("/sign-in").await.body.contains("/sign-in/issuer"));
    fixture.end().await;
}
