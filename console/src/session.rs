//! The session of a browser: its cookie carries the credential. Nothing is kept here, so there is nothing to expire: a credential that is
//! revoked or has expired ends the session.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue};
use problem::Problem;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::Console;

/// Longer ones do not fit into a cookie, which browsers bound to 4,096 bytes with its name.
pub(crate) const LONGEST_CREDENTIAL: usize = 3_800;

/// A cookie of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsoleCookie<'a> {
    /// Has the credential.
    Session,
    /// Has a random text, which forms are bound to where there is no session, as the one that signs in.
    Form,
    /// Has the sign-in that has begun at the issuer with this state. Each has a cookie of its own, so that several tabs can sign in at the
    /// same time.
    PendingSignIn(&'a str),
    /// Has what the next page says.
    Said,
}

/// The credential that came in a cookie: an extension of the request.
#[derive(Clone)]
pub(crate) struct SessionCredential(pub(crate) String);

impl ConsoleCookie<'_> {
    /// Over HTTPS the prefix keeps other hosts from setting it.
    fn name(self, is_encrypted: bool) -> String {
        let prefix = if is_encrypted { "__Host-" } else { "" };
        match self {
            Self::Session => format!("{prefix}ordo_session"),
            Self::Form => format!("{prefix}ordo_form"),
            Self::PendingSignIn(state) => format!("{prefix}ordo_sign_in_{state}"),
            Self::Said => format!("{prefix}ordo_said"),
        }
    }

    /// Who comes back from the issuer comes from another site.
    fn same_site(self) -> &'static str {
        match self {
            Self::Session | Self::Form | Self::Said => "Strict",
            Self::PendingSignIn(_) => "Lax",
        }
    }

    /// Its value. `None`: it did not come, or more than once, or can be none of ours.
    pub(crate) fn read(self, headers: &HeaderMap, is_encrypted: bool) -> Option<String> {
        let name = self.name(is_encrypted);
        let mut values = pairs(headers).filter(|(key, _)| *key == name).map(|(_, value)| value);
        let value = values.next().filter(|value| can_be_credential(value))?;
        values.next().is_none().then(|| value.to_owned())
    }

    /// The header that sets it until the browser is closed, or a sign-in has taken too long.
    pub(crate) fn set(self, value: &str, is_encrypted: bool) -> Result<HeaderValue, Problem> {
        let more = match self {
            Self::Session | Self::Form | Self::Said => "",
            Self::PendingSignIn(_) => "; Max-Age=600",
        };
        self.header(value, more, is_encrypted)
    }

    /// The header that removes it.
    pub(crate) fn remove(self, is_encrypted: bool) -> Result<HeaderValue, Problem> {
        self.header("", "; Max-Age=0", is_encrypted)
    }

    fn header(self, value: &str, more: &str, is_encrypted: bool) -> Result<HeaderValue, Problem> {
        let secure = if is_encrypted { "; Secure" } else { "" };
        let name = self.name(is_encrypted);
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={}{secure}{more}", self.same_site());
        HeaderValue::try_from(text).map_err(Problem::internal)
    }
}

/// The names and values of all cookies that came.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

/// The states of the sign-ins that have begun at the issuer, and how many bytes their cookies have. Browsers send the oldest first
/// (RFC 6265, 5.4).
pub(crate) fn pending_sign_ins(headers: &HeaderMap, is_encrypted: bool) -> Vec<(&str, usize)> {
    let prefix = ConsoleCookie::PendingSignIn("").name(is_encrypted);
    let size = |name: &str, value: &str| name.len() + value.len();
    pairs(headers).filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?, size(name, value)))).collect()
}

/// Whether a text can be a token or an API key, and in a cookie.
pub(crate) fn can_be_credential(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    !text.is_empty() && text.len() <= LONGEST_CREDENTIAL && text.bytes().all(fits)
}

/// The layer that takes the session's credential for the request's, unless it has one of its own.
pub async fn use_session(State(console): State<Console>, mut request: Request, next: Next) -> Response {
    let credential = ConsoleCookie::Session.read(request.headers(), console.0.is_encrypted);
    let credential = credential.filter(|_| !request.headers().contains_key(AUTHORIZATION));
    let bearer = credential.as_ref().and_then(|it| HeaderValue::try_from(format!("Bearer {it}")).ok());
    if let Some((credential, mut bearer)) = credential.zip(bearer) {
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        request.extensions_mut().insert(SessionCredential(credential));
    }
    next.run(request).await
}

/// The token of a form, which only a page can have that was made for whoever has the cookie: the cookie's value is its key.
pub(crate) fn form_token(cookie: &str, form: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, cookie.as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, form.as_bytes()))
}

/// Whether a form was made for whoever has the cookie.
pub(crate) fn is_form_token(cookie: &str, form: &str, token: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, cookie.as_bytes());
    URL_SAFE_NO_PAD.decode(token).is_ok_and(|token| hmac::verify(&key, form.as_bytes(), &token).is_ok())
}

/// A text that nobody can guess.
pub(crate) fn random_text() -> Result<String, Problem> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Problem::internal("there are no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::try_from(*cookie).unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_and_once() {
        let read = |cookies: &[&str]| ConsoleCookie::Session.read(&headers(cookies), false);
        assert_eq!(read(&["a=b; ordo_session=e.y.z; c=d"]).as_deref(), Some("e.y.z"));
        assert_eq!(read(&["a=b", "ordo_session=abc=="]).as_deref(), Some("abc=="));
        for none in [
            &["xordo_session=a"][..],
            &["ordo_session="],
            &["__Host-ordo_session=a"],
            &["ordo_session=a", "ordo_session=b"],
            &["ordo_session=a b"],
            &["ordo_session=\"a\""],
            &[],
        ] {
            assert_eq!(read(none), None, "{none:?}");
        }
        assert_eq!(read(&[&format!("ordo_session={}", "a".repeat(LONGEST_CREDENTIAL + 1))]), None);
    }

    #[test]
    fn over_https_a_cookie_goes_nowhere_else() {
        let set = |is_encrypted| ConsoleCookie::Session.set("v", is_encrypted).unwrap().to_str().unwrap().to_owned();
        assert_eq!(set(true), "__Host-ordo_session=v; Path=/; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(set(false), "ordo_session=v; Path=/; HttpOnly; SameSite=Strict");
    }

    #[test]
    fn a_form_is_good_for_its_cookie_and_purpose_alone() {
        let token = form_token("one", "sign-out");
        assert!(is_form_token("one", "sign-out", &token));
        for (cookie, form, token) in [
            ("two", "sign-out", token.as_str()),
            ("one", "sign-in", token.as_str()),
            ("one", "sign-out", ""),
            ("one", "sign-out", "é"),
        ] {
            assert!(!is_form_token(cookie, form, token), "{cookie} {form} {token}");
        }
        assert_ne!(random_text().unwrap(), random_text().unwrap());
    }
}
