//! Who calls, and what they may do.
//!
//! A [`Principal`] is decided once, at the edge of the HTTP interface, and carried from there on: as an extension of the request, in
//! the metadata of events and in logs. [`Authenticator`] makes it of the request's credential. [`ROUTES`] says what each role may do
//! at each route, and [`decide`] decides about a caller. [`AccessLayer`] does all of that for each request.

mod authentication;
mod grant;
mod layer;
mod principal;
mod redaction;
mod role;
mod routes;

pub use authentication::{
    ApiKeyError, ApiKeyId, ApiKeyRequest, ApiKeyRow, AuthenticationError, AuthenticationSettings,
    AuthenticationStartError, Authenticator, InvalidApiKeyId, InvalidCredential, IssuerCode, IssuerUrl, OpenIdClient,
    OpenIdClientSecret, OpenIdError, OpenIdSettings, PendingSignIn, PlaintextApiKey, RedirectUrl, TokenClaimSettings,
    TokenKeys, TokenRequest, TokenSecret, TokenSigningError,
};
pub use grant::{Denial, RoutePermission, decide};
pub use layer::{AccessLayer, AccessService, AuthorizedCaller, looks_at_credential};
pub use principal::Principal;
pub use redaction::{HandlerRedacted, Redaction};
pub use role::Role;
pub use routes::{ROUTES, Route, RouteClass};
