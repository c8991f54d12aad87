//! What the next page says, once something is done: in a cookie, signed, so that nobody else has the page say anything.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Extensions, HeaderMap, HeaderValue};
use problem::Problem;

use crate::display::Text;
use crate::session::{ConsoleCookie, form_token, is_form_token};

/// The longest that is said.
const LONGEST: usize = 400;

/// What a page says of what was done: an extension of the request.
#[derive(Debug, Clone)]
pub(crate) struct Said(pub(crate) Text);

impl Said {
    /// The cookie that has the next page say it.
    pub(super) fn set(text: &str, secret: &str, is_encrypted: bool) -> Result<HeaderValue, Problem> {
        let text: String = text.chars().take(LONGEST).collect();
        let value = format!("{}.{}", URL_SAFE_NO_PAD.encode(&text), form_token(secret, &signed(&text)));
        ConsoleCookie::Said.set(&value, is_encrypted)
    }

    pub(super) fn read(headers: &HeaderMap, secret: &str, is_encrypted: bool) -> Option<Self> {
        let cookie = ConsoleCookie::Said.read(headers, is_encrypted)?;
        let (text, token) = cookie.split_once('.')?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        is_form_token(secret, &signed(&text), token).then(|| Self(text.into()))
    }

    pub(super) fn extension(self) -> Extensions {
        super::extension(self)
    }
}

fn signed(text: &str) -> String {
    format!("said {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_was_said_to_its_browser_alone() {
        let cookie = Said::set("Hold: done.", "secret", false).unwrap();
        let value = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::try_from(value.clone()).unwrap());
        assert!(Said::read(&headers, "secret", false).unwrap().0.is("Hold: done."));
        assert!(Said::read(&headers, "other", false).is_none());
        headers.insert("cookie", HeaderValue::try_from(format!("{value}A")).unwrap());
        assert!(Said::read(&headers, "secret", false).is_none());
    }
}
