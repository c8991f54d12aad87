//! The outcome of the orders, by the log.

use std::time::Duration;

use anyhow::{bail, ensure};
use chrono::{DateTime, Utc};
use domain::stock::{self, Stock, StockEvent};
use sqlx::PgPool;
use sqlx::types::Json;
use tokio::time::Instant;

use crate::args::FlashSale;
use crate::databases::Database;

/// How often the log is looked at. It takes some of the database's time, so not too often.
const LOOK: Duration = Duration::from_millis(100);

/// How many orders have reached each step.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Seen {
    pub(super) confirmed: u64,
    pub(super) rejected: u64,
    /// Mails that orders know of, sent or given up.
    pub(super) told: u64,
    pub(super) last_confirmed: Option<DateTime<Utc>>,
    pub(super) last_decided: Option<DateTime<Utc>>,
    pub(super) last_told: Option<DateTime<Utc>>,
}

/// Counts what is new in the log since it started. Positions follow commit order, so nothing is missed.
pub(super) struct Watch {
    pool: PgPool,
    position: i64,
    pub(super) seen: Seen,
}

/// An event's name, how many there are of it, the last one's position and time.
type Counted = (String, i64, i64, DateTime<Utc>);

impl Watch {
    pub(super) async fn start(database: &Database) -> anyhow::Result<Self> {
        let last = sqlx::query_scalar("select coalesce(max(global_position), 0) from events");
        let position = last.fetch_one(&database.pool).await?;
        Ok(Self { pool: database.pool.clone(), position, seen: Seen::default() })
    }

    /// Waits until enough has been seen.
    pub(super) async fn until(&mut self, timeout: Duration, enough: impl Fn(&Seen) -> bool) -> anyhow::Result<()> {
        let until = Instant::now() + timeout;
        loop {
            self.look().await?;
            if enough(&self.seen) {
                return Ok(());
            }
            if Instant::now() >= until {
                let Seen { confirmed, rejected, told, .. } = self.seen;
                let far = format!("{confirmed} confirmed, {rejected} rejected, {told} told");
                bail!("it was not done within {} s: {far}", timeout.as_secs_f64());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&mut self) -> anyhow::Result<()> {
        let counted: Vec<Counted> = sqlx::query_as(
            "select event_type, count(*), max(global_position), max(recorded_at)
               from events where global_position > $1 group by event_type",
        )
        .bind(self.position)
        .fetch_all(&self.pool)
        .await?;
        let seen = &mut self.seen;
        for (name, count, position, at) in counted {
            self.position = self.position.max(position);
            let count = u64::try_from(count)?;
            match name.as_str() {
                "OrderConfirmed" => {
                    seen.confirmed += count;
                    seen.last_confirmed = seen.last_confirmed.max(Some(at));
                    seen.last_decided = seen.last_decided.max(Some(at));
                }
                "OrderRejected" => {
                    seen.rejected += count;
                    seen.last_decided = seen.last_decided.max(Some(at));
                }
                "NotificationSent" | "NotificationFailed" => {
                    seen.told += count;
                    seen.last_told = seen.last_told.max(Some(at));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What the outcome has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    units: u64,
    confirmed: u64,
    rejected: u64,
    /// Whether it is known at the end that the SKU is low.
    is_low: bool,
}

impl Outcome {
    pub(super) fn due(args: &FlashSale) -> Self {
        let FlashSale { orders, units, low_stock, .. } = *args;
        let confirmed = orders.min(units);
        let is_low = low_stock.is_some_and(|threshold| units - confirmed < threshold);
        Self { units, confirmed, rejected: orders - confirmed, is_low }
    }
}

/// Checks orders and stock by what is stored, and not by what was counted on the way.
pub(super) async fn check(database: &Database, prefix: &str, sku: &str, due: Outcome) -> anyhow::Result<()> {
    let (confirmed, rejected, short): (i64, i64, i64) = sqlx::query_as(
        "select count(*) filter (where event_type = 'OrderConfirmed'), count(*) filter (where event_type = 'OrderRejected'),
                count(*) filter (where payload #>> '{StockReservationFailed,shortages,0,sku}' = $2)
           from events
          where aggregate_type = 'order' and aggregate_id like $1 || '%'
            and event_type in ('OrderConfirmed', 'OrderRejected', 'StockReservationFailed')",
    )
    .bind(prefix)
    .bind(sku)
    .fetch_one(&database.pool)
    .await?;
    let counted = [confirmed, rejected, short].map(i64::unsigned_abs);
    let Outcome { units, .. } = due;
    ensure!(
        counted == [due.confirmed, due.rejected, due.rejected],
        "{confirmed} orders were confirmed, {rejected} rejected and {short} found short, of {units} units; {} and {} would be right",
        due.confirmed,
        due.rejected
    );
    let events: Vec<Json<StockEvent>> = sqlx::query_scalar(
        "select payload from events where aggregate_type = 'stock' and aggregate_id = $1 order by sequence",
    )
    .bind(sku)
    .fetch_all(&database.pool)
    .await?;
    let (mut shelf, mut ran_low) = (Stock::Untracked, 0);
    for Json(event) in events {
        ran_low += u64::from(matches!(event, StockEvent::StockRanLow(_)));
        stock::evolve(&mut shelf, event);
        if let Stock::Tracked(it) = &shelf {
            ensure!(it.available() >= 0, "{sku} was oversold: {} on hand, {} set aside", it.on_hand, it.reserved);
        }
    }
    let Stock::Tracked(it) = shelf else { bail!("{sku} is not tracked") };
    let (on_hand, reserved) = (u64::try_from(it.on_hand)?, u64::try_from(it.reserved)?);
    ensure!(
        (on_hand, reserved) == (units, due.confirmed),
        "{sku} has {on_hand} on hand and {reserved} set aside; {units} and {} would be right",
        due.confirmed
    );
    ensure!(ran_low == u64::from(due.is_low), "{sku} ran low {ran_low} times, and should be low: {}", due.is_low);
    Ok(())
}
