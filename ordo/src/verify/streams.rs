//! Reads every event, stream by stream: in order, without gaps, readable. The other checks get the folded streams.

use std::collections::BTreeMap;

use bounds::Budget;
use chrono::{DateTime, Utc};
use domain::dead_letter::DeadLetterDecisions;
use domain::document::DocumentSeries;
use domain::money::Currency;
use domain::order::Order;
use domain::order_number::OrderNumberSeries;
use domain::stock::Stock;
use domain::streams::is_known;
use event_store::StoredEvent;
use event_store::read::read_by_stream;
use projections::ReadModelVerifier;
use sqlx::PgConnection;

use super::documents::{DocumentReconciliation, SeriesAudit};
use super::findings::Findings;
use super::mails::ExpectedMailCounts;
use super::order::{AuditedOrder, CurrencyPaymentTotals, OrderAudit};
use super::order_numbers::{OrderNumberReconciliation, OrderNumberSeriesAudit};
use super::progress::{OrderCountsBySagaState, SagaCheckpoints};
use super::snapshots::SnapshotDigestsBySku;
use super::units::{ReservationReconciliation, StockFoldCheck};
use super::{mails, sandbox_ledger};

/// Events read at once.
const EVENTS: usize = 5_000;
/// Orders whose money, sagas and mails are looked up at once.
const ORDERS: usize = 1_000;

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct LogTotals {
    /// Of orders, SKUs and series.
    pub(super) events: u64,
    pub(super) orders: u64,
    pub(super) skus: u64,
    /// Invoices and credit notes.
    pub(super) documents: u64,
    /// Orders that have a number.
    pub(super) order_numbers: u64,
    /// Of foreign streams.
    pub(super) foreign_events: u64,
    pub(super) foreign_streams: u64,
    /// Of the last event.
    pub(super) position: i64,
    pub(super) sagas: OrderCountsBySagaState,
    pub(super) mails: ExpectedMailCounts,
    /// By the currency's code.
    pub(super) money: BTreeMap<String, (Currency, CurrencyPaymentTotals)>,
}

/// The stream that is being read.
enum StreamAudit {
    Order(OrderAudit),
    Sku(StockFoldCheck),
    Series(SeriesAudit),
    OrderNumberSeries(OrderNumberSeriesAudit),
    /// What was decided about a dead letter. Nothing else has to agree with it.
    DeadLetter,
    /// A stream of another application.
    Foreign,
    /// A stream with an event that cannot be decoded.
    Unreadable,
}

/// The previous event.
struct PreviousEvent {
    stream_type: String,
    stream_id: String,
    version: i64,
    position: i64,
}

/// Checks every stream, and compares it with units, payments, sagas, mails and read models.
pub(super) async fn check(
    connection: &mut PgConnection,
    views: &mut ReadModelVerifier,
    findings: &mut Findings,
) -> anyhow::Result<LogTotals> {
    let now: DateTime<Utc> = sqlx::query_scalar("select now()").fetch_one(&mut *connection).await?;
    let progress = SagaCheckpoints::read(connection, now).await?;
    let snapshots = SnapshotDigestsBySku::read(connection, findings).await?;
    let mut pass = LogPass {
        totals: LogTotals::default(),
        units: ReservationReconciliation::default(),
        documents: DocumentReconciliation::default(),
        numbers: OrderNumberReconciliation::default(),
        orders: Vec::new(),
        progress,
    };
    let (mut before, mut stream) = (None::<PreviousEvent>, StreamAudit::Unreadable);
    loop {
        let after = before.as_ref().map_or(("", "", 0), |it| (&it.stream_type, &it.stream_id, it.version));
        let events = read_by_stream(connection, after, Budget::of(EVENTS)).await?.events;
        views.read(connection, &events).await?;
        for event in &events {
            let known =
                before.take().filter(|it| (&it.stream_type, &it.stream_id) == (&event.stream_type, &event.stream_id));
            if known.is_none() {
                pass.close(std::mem::replace(&mut stream, StreamAudit::of(event)), findings);
            }
            check_place(event, known.as_ref(), findings);
            stream = stream.after(event, findings);
            if let StreamAudit::Sku(sku) = &stream {
                snapshots.check(event, &sku.stock, findings)?;
            }
            match stream {
                StreamAudit::Foreign => pass.totals.foreign_events += 1,
                StreamAudit::Order(_)
                | StreamAudit::Sku(_)
                | StreamAudit::Series(_)
                | StreamAudit::OrderNumberSeries(_)
                | StreamAudit::DeadLetter
                | StreamAudit::Unreadable => pass.totals.events += 1,
            }
            pass.totals.position = pass.totals.position.max(event.position);
            let StoredEvent { stream_type, stream_id, version, position, .. } = event;
            before = Some(PreviousEvent {
                stream_type: stream_type.clone(),
                stream_id: stream_id.clone(),
                version: *version,
                position: *position,
            });
            if pass.orders.len() >= ORDERS {
                pass.look_up(connection, findings).await?;
            }
        }
        if events.is_empty() {
            break;
        }
    }
    pass.close(stream, findings);
    pass.look_up(connection, findings).await?;
    pass.units.check(findings);
    pass.documents.check(findings);
    pass.totals.documents = pass.documents.documents;
    pass.totals.order_numbers = pass.numbers.check(findings);
    pass.totals.sagas.check_late(findings);
    Ok(pass.totals)
}

/// An event follows the previous one of its stream, in the stream and in the log.
fn check_place(event: &StoredEvent, before: Option<&PreviousEvent>, findings: &mut Findings) {
    let StoredEvent { stream_id, version, position, .. } = event;
    let (last, last_position) = before.map_or((0, 0), |it| (it.version, it.position));
    let about = || format!("{} {stream_id}", event.stream_type);
    // Foreign streams may have gaps. The table's key ensures that versions are unique.
    if *version != last + 1 && is_known(&event.stream_type) {
        findings.add(about(), format!("version {version} comes after version {last}"));
    }
    if *position <= last_position {
        findings.add(
            about(),
            format!("version {version} is at position {position} of the log, version {last} at {last_position}"),
        );
    }
}

impl StreamAudit {
    fn of(first: &StoredEvent) -> Self {
        if first.is_of::<Order>() {
            Self::Order(OrderAudit::of(&first.stream_id))
        } else if first.is_of::<Stock>() {
            Self::Sku(StockFoldCheck::of(&first.stream_id))
        } else if first.is_of::<DocumentSeries>() {
            Self::Series(SeriesAudit::of(&first.stream_id))
        } else if first.is_of::<OrderNumberSeries>() {
            Self::OrderNumberSeries(OrderNumberSeriesAudit::of(&first.stream_id))
        } else if first.is_of::<DeadLetterDecisions>() {
            Self::DeadLetter
        } else {
            Self::Foreign
        }
    }

    fn after(self, event: &StoredEvent, findings: &mut Findings) -> Self {
        let about = format!("{} {}", event.stream_type, event.stream_id);
        let unreadable = |error: &event_store::EventDecodeError| {
            let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(": {cause}"));
            findings.add(about, format!("{error}{cause}"));
            Self::Unreadable
        };
        match self {
            Self::Order(mut story) => match event.decode::<Order>() {
                Ok(happened) => {
                    story.apply(happened, event.position, event.recorded_at);
                    Self::Order(story)
                }
                Err(error) => unreadable(&error),
            },
            Self::Sku(mut sku) => match event.decode::<Stock>() {
                Ok(happened) => {
                    sku.apply(happened, event.position, findings);
                    Self::Sku(sku)
                }
                Err(error) => unreadable(&error),
            },
            Self::Series(mut series) => match event.decode::<DocumentSeries>() {
                Ok(happened) => {
                    series.apply(&happened, event.version, findings);
                    Self::Series(series)
                }
                Err(error) => unreadable(&error),
            },
            Self::OrderNumberSeries(mut series) => match event.decode::<OrderNumberSeries>() {
                Ok(happened) => {
                    series.apply(&happened, event.version, findings);
                    Self::OrderNumberSeries(series)
                }
                Err(error) => unreadable(&error),
            },
            Self::DeadLetter => match event.decode::<DeadLetterDecisions>() {
                Ok(_) => Self::DeadLetter,
                Err(error) => unreadable(&error),
            },
            Self::Foreign => Self::Foreign,
            Self::Unreadable => Self::Unreadable,
        }
    }
}

/// One pass over the whole log.
struct LogPass {
    totals: LogTotals,
    units: ReservationReconciliation,
    documents: DocumentReconciliation,
    numbers: OrderNumberReconciliation,
    /// Orders that were read, but not yet compared with payments, sagas and mails.
    orders: Vec<AuditedOrder>,
    progress: SagaCheckpoints,
}

impl LogPass {
    /// Notes the end of a stream.
    fn close(&mut self, stream: StreamAudit, findings: &mut Findings) {
        match stream {
            StreamAudit::Order(story) => {
                self.totals.orders += 1;
                if let Some(order) = story.finish(findings) {
                    order.check(findings);
                    self.units.add_order(&order);
                    self.documents.add_order(&order, findings);
                    self.numbers.add_order(&order, findings);
                    let currency = order.placed.content.currency;
                    let money = self.totals.money.entry(currency.code().to_owned());
                    money.or_insert_with(|| (currency, CurrencyPaymentTotals::default())).1.add(&order.placed);
                    self.orders.push(order);
                }
            }
            StreamAudit::Sku(sku) => {
                self.totals.skus += 1;
                self.units.add_sku(sku, findings);
            }
            StreamAudit::Series(series) => self.documents.add_series(series),
            StreamAudit::OrderNumberSeries(series) => self.numbers.add_series(series),
            StreamAudit::Foreign => self.totals.foreign_streams += 1,
            StreamAudit::DeadLetter | StreamAudit::Unreadable => {}
        }
    }

    async fn look_up(&mut self, connection: &mut PgConnection, findings: &mut Findings) -> Result<(), sqlx::Error> {
        let orders = std::mem::take(&mut self.orders);
        let ids: Vec<String> = orders.iter().map(|order| order.id.clone()).collect();
        sandbox_ledger::check(connection, &ids, &orders, findings).await?;
        self.progress.check(connection, &ids, &orders, &mut self.totals.sagas, findings).await?;
        mails::check(connection, &ids, &orders, &mut self.totals.mails, findings).await
    }
}
