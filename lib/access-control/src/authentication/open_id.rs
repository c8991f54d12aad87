//! Signing in at the issuer of tokens: the authorization code flow of OpenID Connect, with PKCE (RFC 7636).
//!
//! What the issuer hands out is a credential like any other. It is not checked here: whoever takes it asks the
//! [`Authenticator`](crate::Authenticator), as with each later request.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use error_chain::error_chain;
use http::Request;
use http::header::ACCEPT;
pub use oauth2::RedirectUrl;
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AsyncHttpClient, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, Scope, StandardRevocableToken,
    StandardTokenResponse, TokenResponse, TokenUrl,
};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::time::timeout;

use super::AuthenticationStartError;
use super::issuer_http::IssuerHttpClient;
use super::issuer_url::IssuerUrl;
use super::jwks::TIMING;
use super::refreshed::{LoadError, RefreshSource, RefreshedCopy};

/// How long the issuer has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client's secret. It is not shown.
#[derive(Clone)]
pub struct OpenIdClientSecret(String);

impl OpenIdClientSecret {
    /// `None`: it is empty, or has characters that are not visible ASCII.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_visible = (1..=1_024).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_visible.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for OpenIdClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where and as whom people sign in.
#[derive(Debug, Clone)]
pub struct OpenIdSettings {
    /// The issuer, as its tokens and its document name it.
    pub issuer: String,
    /// Where its document is, and whose certificates it may have: the issuer with `/.well-known/openid-configuration` behind it.
    pub document: IssuerUrl,
    pub client_id: String,
    /// `None`: a public client.
    pub client_secret: Option<OpenIdClientSecret>,
    pub scopes: Vec<String>,
    /// Where the issuer sends browsers back to.
    pub redirect_url: RedirectUrl,
}

/// Why nobody can sign in at the issuer.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// It does not answer, or not as it should.
    #[error("the issuer can't be asked")]
    Unavailable(#[source] LoadError),
    /// It refuses the code.
    #[error("the issuer refuses: {0}")]
    Refused(String),
    /// What came back was not asked for by this browser.
    #[error("this sign-in was not begun in this browser, or too long ago")]
    NotAsked,
}

/// A sign-in that has begun, which the browser keeps meanwhile.
#[derive(Serialize, Deserialize)]
pub struct PendingSignIn {
    state: String,
    verifier: String,
}

impl PendingSignIn {
    /// What the browser brings back.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }
}

/// What the browser brings back from the issuer (RFC 6749, 4.1.2).
pub struct IssuerCode {
    pub state: String,
    pub code: Option<String>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    /// Who answers (RFC 9207), if it says so.
    pub issuer: Option<String>,
}

/// A client of the issuer. Its copy of the issuer's document ends with it.
#[derive(Debug)]
pub struct OpenIdClient {
    settings: OpenIdSettings,
    http: IssuerHttpClient,
    endpoints: RefreshedCopy<Endpoints>,
}

/// What the issuer's document says (OpenID Connect Discovery 1.0, 3).
#[derive(Debug, Deserialize)]
struct Endpoints {
    issuer: String,
    authorization_endpoint: AuthUrl,
    token_endpoint: TokenUrl,
}

/// What comes with an access token.
#[derive(Debug, Serialize, Deserialize)]
struct IdToken {
    id_token: Option<String>,
}

impl ExtraTokenFields for IdToken {}

type Tokens = StandardTokenResponse<IdToken, BasicTokenType>;
type CodeClient = oauth2::Client<
    BasicErrorResponse,
    Tokens,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl OpenIdClient {
    /// Has to be called in a runtime. It waits for nothing: an issuer that is away is asked again.
    pub fn start(settings: OpenIdSettings) -> Result<Self, AuthenticationStartError> {
        let http = IssuerHttpClient::new(settings.document.authority()).map_err(AuthenticationStartError::Roots)?;
        let (document, issuer) = (settings.document.clone(), settings.issuer.clone());
        let endpoints = RefreshedCopy::start(OpenIdDocument { document, issuer, http: http.clone() }, TIMING);
        Ok(Self { settings, http, endpoints })
    }

    /// Where the browser has to go, and what it has to bring back.
    pub async fn begin(&self) -> Result<(String, PendingSignIn), OpenIdError> {
        let client = self.client().await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, state) =
            client.authorize_url(CsrfToken::new_random).set_pkce_challenge(challenge).add_scopes(scopes).url();
        let pending = PendingSignIn { state: state.into_secret(), verifier: verifier.into_secret() };
        Ok((url.into(), pending))
    }

    /// The credentials that the issuer gives for a code: the access token, and the ID token if there is one.
    pub async fn finish(&self, pending: PendingSignIn, answer: IssuerCode) -> Result<Vec<String>, OpenIdError> {
        let IssuerCode { state, code, error, error_description, issuer } = answer;
        let is_another = issuer.is_some_and(|issuer| issuer != self.settings.issuer);
        if is_another || !bool::from(pending.state.as_bytes().ct_eq(state.as_bytes())) {
            return Err(OpenIdError::NotAsked);
        }
        let code = match (code, error) {
            (Some(code), None) => code,
            (_, Some(error)) => {
                let more = error_description.map_or_else(String::new, |more| format!(": {more}"));
                return Err(OpenIdError::Refused(format!("{error}{more}")));
            }
            (None, None) => return Err(OpenIdError::NotAsked),
        };
        let client = self.client().await?;
        let asked = client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier));
        let answered = timeout(PATIENCE, asked.request_async(&self.http)).await;
        let answered = answered.map_err(|_| OpenIdError::Unavailable("there is no answer in time".into()))?;
        let tokens = answered.map_err(|error| match error {
            oauth2::RequestTokenError::ServerResponse(said) if is_about_client(said.error()) => {
                OpenIdError::Unavailable(format!("it refuses this client: {said}").into())
            }
            oauth2::RequestTokenError::ServerResponse(said) => OpenIdError::Refused(said.to_string()),
            oauth2::RequestTokenError::Request(failed) => OpenIdError::Unavailable(failed.into()),
            oauth2::RequestTokenError::Parse(failed, _) => OpenIdError::Unavailable(error_chain(&failed).into()),
            oauth2::RequestTokenError::Other(failed) => OpenIdError::Unavailable(failed.into()),
        })?;
        let access_token = tokens.access_token().secret().clone();
        Ok([Some(access_token), tokens.extra_fields().id_token.clone()].into_iter().flatten().collect())
    }

    async fn client(&self) -> Result<CodeClient, OpenIdError> {
        let known = self.endpoints.current();
        // The first load may be under way.
        let known = if known.value.is_some() { known } else { self.endpoints.reloaded().await };
        let away = || OpenIdError::Unavailable("its document could not be loaded yet".into());
        let endpoints = known.value.ok_or_else(away)?;
        let settings = &self.settings;
        let client = oauth2::Client::new(ClientId::new(settings.client_id.clone()))
            .set_auth_uri(endpoints.authorization_endpoint.clone())
            .set_token_uri(endpoints.token_endpoint.clone())
            .set_redirect_uri(settings.redirect_url.clone());
        Ok(match &settings.client_secret {
            Some(secret) => client.set_client_secret(ClientSecret::new(secret.0.clone())),
            None => client,
        })
    }
}

impl<'c> AsyncHttpClient<'c> for IssuerHttpClient {
    type Error = IssuerCallError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, IssuerCallError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async {
            let answer = self.send(request.map(Bytes::from)).await.map_err(IssuerCallError)?;
            Ok(answer.map(Vec::from))
        })
    }
}

/// Whether the console is refused, and not the code that a browser brought.
fn is_about_client(error: &BasicErrorResponseType) -> bool {
    matches!(error, BasicErrorResponseType::InvalidClient | BasicErrorResponseType::UnauthorizedClient)
}

/// There was no answer.
#[derive(Debug, thiserror::Error)]
#[error("{}", error_chain(&*self.0))]
pub(super) struct IssuerCallError(LoadError);

/// Where the issuer's document is.
struct OpenIdDocument {
    document: IssuerUrl,
    issuer: String,
    http: IssuerHttpClient,
}

impl RefreshSource for OpenIdDocument {
    type Value = Endpoints;

    fn name(&self) -> String {
        format!("the issuer's document at {}", self.document.to_text())
    }

    async fn load(&self) -> Result<Endpoints, LoadError> {
        let request = Request::get(self.document.uri().clone()).header(ACCEPT, "application/json");
        let answer = self.http.send(request.body(Bytes::new())?).await?;
        if !answer.status().is_success() {
            return Err(format!("the answer is {}", answer.status()).into());
        }
        let endpoints: Endpoints = serde_json::from_slice(answer.body())?;
        if endpoints.issuer != self.issuer {
            return Err(format!("it is the document of {:?}", endpoints.issuer).into());
        }
        // Passwords and codes go there.
        for url in [endpoints.authorization_endpoint.as_str(), endpoints.token_endpoint.as_str()] {
            if IssuerUrl::parse(url).is_none() {
                return Err(format!("{url} is neither https nor on this machine").into());
            }
        }
        Ok(endpoints)
    }
}
