//! Routes that will go away.

use std::time::{Duration, SystemTime};

use http::header::LINK;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Routes that clients should not use any more. Their answers say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deprecation {
    /// The route's template, or what the templates of several begin with: `/v1`, `/orders/{order_id}/saga`.
    pub path: &'static str,
    /// Since when, in seconds since 1970: `Deprecation` (RFC 9745).
    pub since: u64,
    /// From when on there may be no answer any more, in seconds since 1970: `Sunset` (RFC 8594). Not before `since`.
    pub sunset: Option<u64>,
    /// A page about what to do instead.
    pub link: Option<&'static str>,
}

impl Deprecation {
    /// Whether a route, which has this template, is one of them.
    #[must_use]
    pub fn is_of(&self, template: &str) -> bool {
        template.strip_prefix(self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        let mut set = |name: HeaderName, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name, value);
            }
        };
        set(HeaderName::from_static("deprecation"), format!("@{}", self.since));
        if let Some(sunset) = self.sunset {
            let sunset = SystemTime::UNIX_EPOCH + Duration::from_secs(sunset);
            set(HeaderName::from_static("sunset"), httpdate::fmt_http_date(sunset));
        }
        if let Some(link) = self.link {
            set(LINK, format!("<{link}>; rel=\"deprecation\"; type=\"text/html\""));
        }
    }
}
