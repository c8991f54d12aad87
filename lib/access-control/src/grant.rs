//! What a role may do at a route, and the decision about a caller.

use std::fmt;

use crate::routes::Route;
use crate::{Principal, Role};

/// What a role may do at a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoutePermission {
    /// All that the route does.
    All,
    /// Only for orders of the principal's customer, and without what operators and providers noted. Another's order is answered like
    /// one that is not there.
    Own,
    /// All of it, but answers tell nothing of payments.
    WithoutPaymentDetails,
    /// All of it, but answers have personal data masked.
    Masked,
    /// Only up to an amount, which is a setting.
    UpToAmount,
}

impl RoutePermission {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Own => "own",
            Self::WithoutPaymentDetails => "without payment details",
            Self::Masked => "masked",
            Self::UpToAmount => "up to an amount",
        }
    }
}

impl fmt::Display for RoutePermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a caller may not call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It is not known who calls: 401.
    Unauthenticated,
    /// Its role may not do this: 403.
    Forbidden,
}

/// Decides what a caller may do at a route. This is the one place where it is decided.
///
/// `caller` is `None` if no credential came.
pub fn decide(route: &Route, caller: Option<&Principal>) -> Result<RoutePermission, Denial> {
    if route.class.is_public() {
        return Ok(RoutePermission::All);
    }
    let caller = caller.ok_or(Denial::Unauthenticated)?;
    // A customer who is no customer's would own everything or nothing.
    if caller.role() == Role::Customer && caller.customer_id().is_none() {
        return Err(Denial::Unauthenticated);
    }
    route.grant(caller.role()).ok_or(Denial::Forbidden)
}
