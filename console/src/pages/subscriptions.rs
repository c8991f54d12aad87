//! The followers of the log, as `GET /subscriptions` answers about them.

use problem::Problem;
use serde::Deserialize;

use crate::Console;
use crate::admission::Reader;
use crate::answer::shown;
use crate::display::Text;

#[derive(Deserialize)]
struct SubscriptionsAnswer {
    items: Vec<Subscription>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subscription {
    pub(crate) name: Text,
    pub(crate) position: i64,
    pub(crate) lag_events: i64,
    /// The age of the oldest event that it has not handled.
    pub(crate) lag_seconds: f64,
    pub(crate) parked: i64,
    pub(crate) stops: Vec<Stop>,
    pub(crate) owners: Vec<Owner>,
}

#[derive(Deserialize)]
pub(crate) struct Stop {
    pub(crate) error: Text,
}

#[derive(Deserialize)]
pub(crate) struct Owner {
    /// `None`: nobody.
    pub(crate) owner: Option<Text>,
    pub(crate) alive: bool,
    pub(crate) rebuild: bool,
    partitions: Vec<i16>,
}

impl Owner {
    pub(crate) fn partitions(&self) -> String {
        self.partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// All of them, by name.
pub(crate) async fn read(console: &Console, reader: &Reader) -> Result<Vec<Subscription>, Problem> {
    let caller = reader.at("/subscriptions")?;
    let found = projections::read_subscriptions(console.0.store.pool()).await?;
    Ok(shown::<SubscriptionsAnswer>(&caller, &found)?.items)
}
