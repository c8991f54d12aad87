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
    /// The challenge of the sign-in that is under way.
    challenge: String,
    /// What is handed out for its code, once.
    tokens: Option<Value>,
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
        state.challenge.clone_from(&asked["code_challenge"]);
        state.tokens = Some(tokens.clone());
        HashMap::from([("code".to_owned(), "good".to_owned()), ("state".to_owned(), asked["state"].clone())])
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
        && URL_SAFE_NO_PAD.encode(verifier) == state.challenge
        && form["grant_type"] == "authorization_code"
        && form["redirect_uri"] == CALLBACK
        && form["code"] == "good";
    match state.tokens.take().filter(|_| holds) {
        Some(tokens) => (StatusCode::OK, Json(tokens)),
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
            set.starts_with("ordo_sign_in=") && set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=600"),
            "{set}"
        );
        let back = issuer.authorize(away.headers["location"].to_str().unwrap(), &tokens);
        let answer = come_back(&fixture, &away.cookies(), &back).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let session = session(&answer).unwrap();
        assert!(answer.cookies().contains(&"ordo_sign_in=".to_owned()));
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
    let tokens = |role| json!({ "access_token": as_role(role), "token_type": "Bearer" });
    let begin = async |role| {
        let away = fixture.visit("/sign-in/issuer").await;
        let back = issuer.authorize(away.headers["location"].to_str().unwrap(), &tokens(role));
        (away.cookies(), back)
    };
    let changed = |back: &HashMap<String, String>, name: &str, value: &str| {
        let mut back = back.clone();
        back.insert(name.to_owned(), value.to_owned());
        back
    };
    let (others, _) = begin(Role::Operator).await;
    let (cookies, back) = begin(Role::Operator).await;
    let none: &[String] = &[];
    for (cookies, back) in [
        (none, back.clone()),
        (&["ordo_sign_in=AAAA".to_owned()][..], back.clone()),
        (&others, back.clone()),
        (&cookies, changed(&back, "state", "forged")),
        (&cookies, HashMap::new()),
        (&cookies, changed(&back, "error", "access_denied")),
        (&cookies, changed(&back, "iss", "https://another.example")),
        (&cookies, changed(&back, "code", "another")),
    ] {
        let answer = come_back(&fixture, cookies, &back).await;
        assert_eq!((answer.status, session(&answer)), (StatusCode::FORBIDDEN, None), "{back:?}: {}", answer.body);
        // Where it can be tried again, and without what whoever made the address wrote.
        assert!(
            answer.body.contains("You are not signed in") && answer.body.contains("/sign-in/issuer"),
            "{}",
            answer.body
        );
        assert!(!answer.body.contains("access_denied") && answer.cookies().contains(&"ordo_sign_in=".to_owned()));
    }
    let (cookies, back) = begin(Role::Operator).await;
    issuer.state.lock().unwrap().tokens = Some(json!({ "access_token": "opaque", "token_type": "Bearer" }));
    let answer = come_back(&fixture, &cookies, &back).await;
    assert_eq!((answer.status, session(&answer)), (StatusCode::UNAUTHORIZED, None));
    assert!(answer.body.contains("You are not signed in"), "{}", answer.body);
    let (cookies, back) = begin(Role::Customer).await;
    let answer = come_back(&fixture, &cookies, &back).await;
    assert_eq!((answer.status, session(&answer)), (StatusCode::FORBIDDEN, None));
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
