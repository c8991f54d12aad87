//! How many requests each role may make.

use std::fmt::{self, Display};
use std::time::Duration;

use access_control::Role;
use bounds::TokenRate;

/// What requests without a principal are called.
const ANONYMOUS: &str = "anonymous";
const UNLIMITED: &str = "unlimited";
const UNITS: [(&str, u64); 3] = [("s", 1), ("min", 60), ("h", 3600)];

/// The rate of each role's principals, and of each address without one. `None`: unlimited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    anonymous: Option<TokenRate>,
    roles: [Option<TokenRate>; Role::ALL.len()],
}

impl Default for RateLimits {
    fn default() -> Self {
        let a_minute = |requests| TokenRate::new(requests, Duration::from_secs(60));
        let of = |role| match role {
            // They are the shop's own programs, and a limit on them is one on its sales.
            Role::Shop | Role::Operator => None,
            // A page of a shop's front end asks for some dozens of things at once.
            Role::Customer => a_minute(600),
            // Programs of people, some of whom share one credential.
            Role::Warehouse | Role::Support | Role::Finance | Role::Auditor => a_minute(6_000),
        };
        Self { anonymous: a_minute(600), roles: Role::ALL.map(of) }
    }
}

impl RateLimits {
    /// Completes "must be …".
    pub(crate) const ALLOWED: &str =
        "a comma list such as customer=20/s,support=6000/min,anonymous=unlimited of roles and anonymous, each once";

    /// Reads what is not the default: `customer=20/s,anonymous=unlimited`. `None`: it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut quotas, mut named) = (Self::default(), Vec::new());
        for entry in text.split(',').filter(|_| !text.trim().is_empty()) {
            let (name, rate) = entry.split_once('=')?;
            let (name, rate) = (name.trim(), parse_rate(rate.trim())?);
            if named.contains(&name) {
                return None;
            }
            named.push(name);
            *quotas.named(name)? = rate;
        }
        Some(quotas)
    }

    /// Without a limit on requests that have no credential: for a process that lets everyone in.
    #[must_use]
    pub fn for_everyone(self) -> Self {
        Self { anonymous: None, ..self }
    }

    pub(super) fn anonymous(&self) -> Option<TokenRate> {
        self.anonymous
    }

    pub(super) fn of(&self, role: Role) -> Option<TokenRate> {
        self.roles.iter().zip(Role::ALL).find(|(_, of)| *of == role).and_then(|(rate, _)| *rate)
    }

    fn named(&mut self, name: &str) -> Option<&mut Option<TokenRate>> {
        if name == ANONYMOUS {
            return Some(&mut self.anonymous);
        }
        self.roles.iter_mut().zip(Role::ALL).find(|(_, role)| role.as_str() == name).map(|(rate, _)| rate)
    }
}

/// Every quota, in the form that is parsed.
impl Display for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (role, rate) in Role::ALL.iter().zip(&self.roles) {
            write!(f, "{role}={},", Shown(*rate))?;
        }
        write!(f, "{ANONYMOUS}={}", Shown(self.anonymous))
    }
}

struct Shown(Option<TokenRate>);

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rate) = self.0 else { return f.write_str(UNLIMITED) };
        let unit = UNITS.iter().find(|(_, seconds)| Duration::from_secs(*seconds) == rate.window());
        write!(f, "{}/{}", rate.tokens(), unit.map_or("?", |(unit, _)| unit))
    }
}

/// `Some(None)`: unlimited.
fn parse_rate(text: &str) -> Option<Option<TokenRate>> {
    if text == UNLIMITED {
        return Some(None);
    }
    let (requests, unit) = text.split_once('/')?;
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(Some(TokenRate::new(requests.parse().ok()?, Duration::from_secs(*seconds))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_differs_from_the_default() {
        let quotas = RateLimits::parse("customer=20/s, shop=5000/s,anonymous=unlimited").unwrap();
        assert_eq!(quotas.of(Role::Customer), TokenRate::new(20, Duration::from_secs(1)));
        assert_eq!(quotas.of(Role::Shop), TokenRate::new(5_000, Duration::from_secs(1)));
        assert_eq!(quotas.anonymous(), None);
        assert_eq!(quotas.of(Role::Support), RateLimits::default().of(Role::Support));
        assert_eq!(RateLimits::parse(""), Some(RateLimits::default()));
        for shown in [quotas, RateLimits::default()] {
            assert_eq!(RateLimits::parse(&shown.to_string()), Some(shown));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [
            "customer",
            "customer=",
            "customer=20",
            "customer=20/d",
            "customer=0/s",
            "customer=-1/s",
            "customer=99999999999/s",
            "nobody=20/s",
            "customer=20/s,customer=30/s",
            "customer=20/s,",
            "Customer=20/s",
        ] {
            assert_eq!(RateLimits::parse(wrong), None, "{wrong}");
        }
    }
}
