//! The roles of principals.

use std::fmt;
use std::str::FromStr;

/// What a principal is to the shop. It decides which routes it may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The shop's own back end: orders and stock.
    Shop,
    /// A person who buys: the own orders only.
    Customer,
    /// Ships, delivers, receives returns, counts stock.
    Warehouse,
    /// Helps customers: cancels, returns, notes, refunds up to an amount.
    Support,
    /// Refunds, sales, payments.
    Finance,
    /// Runs the platform.
    Operator,
    /// Reads what an operator sees, with personal data masked.
    Auditor,
}

impl Role {
    pub const ALL: [Self; 7] =
        [Self::Shop, Self::Customer, Self::Warehouse, Self::Support, Self::Finance, Self::Operator, Self::Auditor];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Customer => "customer",
            Self::Warehouse => "warehouse",
            Self::Support => "support",
            Self::Finance => "finance",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRole;

impl fmt::Display for UnknownRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it must be one of shop, customer, warehouse, support, finance, operator, auditor")
    }
}

impl std::error::Error for UnknownRole {}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_is_read_back_from_its_name() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!("Shop".parse::<Role>(), Err(UnknownRole));
        for role in Role::ALL {
            assert!(UnknownRole.to_string().contains(role.as_str()), "{role}");
        }
    }
}
