//! The pages, a file for each.

pub(crate) mod audit;
pub(crate) mod bulk_actions;
pub(crate) mod dead_letters;
pub(crate) mod event;
pub(crate) mod home;
pub(crate) mod log;
pub(crate) mod order;
pub(crate) mod orders;
pub(crate) mod parked;
pub(crate) mod platform;
pub(crate) mod read_models;
pub(crate) mod replay;
pub(crate) mod sagas;
pub(crate) mod sales;
pub(crate) mod sku;
pub(crate) mod stock;
pub(crate) mod subscriptions;

use std::fmt;

use serde::Deserialize;

use crate::display::Text;

/// An amount of money.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Amount {
    pub(crate) amount: Text,
    pub(crate) currency: Text,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

/// The query of a link, of these pairs.
pub(crate) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
