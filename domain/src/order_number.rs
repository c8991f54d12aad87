//! Order numbers for people, and the series that give them.
//!
//! A series is a stream, as a series of documents is: the number of an order is its version in the stream of its series, and the
//! order's stream names it in the same append. So no number is missing, and none is there twice.

use chrono::{DateTime, Datelike, Utc};
use cqrs_es::event_sink::EventSink;
use event_versions::{Snapshotted, Upcast, Upcastable};
use serde::{Deserialize, Serialize};

use crate::document::{is_series_of_documents, number_of};
use crate::events::events;
use crate::ids::OrderId;

/// Every change of the shapes of its events; those of the same event oldest first. So far all are as they began.
const UPCASTS: &[Upcast] = &[];

events! {
    /// Something that happened to a series of order numbers.
    OrderNumberSeriesEvent, UPCASTS {
        /// An order was given the next number.
        OrderNumberIssued,
    }
}

/// An order was given the next number of the series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderNumberIssued {
    /// The number for people: `A-2026-000042`.
    pub order_number: String,
    /// Its place in the series, from 1.
    pub sequence: i64,
    pub order_id: OrderId,
}

/// How the series of order numbers are named. `{year}` stands for the year (UTC) in which an order came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderNumberFormat(String);

impl OrderNumberFormat {
    const YEAR: &'static str = "{year}";
    const MAX_CHARS: usize = 40;

    /// `None`: the text is longer than 40 characters, or the names of its series would have others than `A-Z a-z 0-9 . _ : -`, or be
    /// those of documents.
    pub fn parse(text: &str) -> Option<Self> {
        let format = Self(text.to_owned());
        let example = format.series_in(2026);
        let fits = text.len() <= Self::MAX_CHARS && OrderId::parse(example.as_str()).is_ok();
        (fits && !is_series_of_documents(&example)).then_some(format)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The series that numbers an order.
    pub fn series_of(&self, created_at: DateTime<Utc>) -> String {
        self.series_in(created_at.year())
    }

    fn series_in(&self, year: i32) -> String {
        self.0.replace(Self::YEAR, &format!("{year:04}"))
    }
}

/// A series, folded from its events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderNumberSeries {
    /// How many numbers it gave.
    pub issued: i64,
}

/// The number is not the next one of the series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("number {next} comes next")]
pub struct NotNextOrderNumber {
    /// The place of the next number.
    pub next: i64,
}

impl OrderNumberSeries {
    /// The next number, for an order. `name` is that of the series.
    pub fn next(&self, name: &str, order_id: &OrderId) -> OrderNumberIssued {
        let sequence = self.issued.saturating_add(1);
        OrderNumberIssued { order_number: number_of(name, sequence), sequence, order_id: order_id.clone() }
    }

    /// The event of a number that is given.
    pub fn decide(&self, number: OrderNumberIssued) -> Result<OrderNumberSeriesEvent, NotNextOrderNumber> {
        let next = self.issued.saturating_add(1);
        if number.sequence == next {
            Ok(OrderNumberSeriesEvent::OrderNumberIssued(number))
        } else {
            Err(NotNextOrderNumber { next })
        }
    }

    /// Applies an event.
    pub fn evolve(&mut self, event: &OrderNumberSeriesEvent) {
        match event {
            OrderNumberSeriesEvent::OrderNumberIssued(_) => self.issued = self.issued.saturating_add(1),
        }
    }
}

/// The series as cqrs-es sees it: a shell that passes on.
impl cqrs_es::Aggregate for OrderNumberSeries {
    const TYPE: &'static str = "order_number_series";
    type Command = OrderNumberIssued;
    type Event = OrderNumberSeriesEvent;
    type Error = NotNextOrderNumber;
    type Services = ();

    async fn handle(
        &mut self,
        number: OrderNumberIssued,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), NotNextOrderNumber> {
        let issued = self.decide(number)?;
        sink.write(issued, self).await;
        Ok(())
    }

    fn apply(&mut self, event: OrderNumberSeriesEvent) {
        self.evolve(&event);
    }
}

impl Upcastable for OrderNumberSeries {
    const UPCASTS: &'static [Upcast] = UPCASTS;
}

impl Snapshotted for OrderNumberSeries {
    const STATE_VERSION: i32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    const EVENTS: &str = "order-number-events";

    fn issued(sequence: i64) -> OrderNumberIssued {
        let before = OrderNumberSeries { issued: sequence - 1 };
        before.next("A-2026", &OrderId::parse("order-1001").unwrap())
    }

    fn event(sequence: i64) -> OrderNumberSeriesEvent {
        OrderNumberSeriesEvent::OrderNumberIssued(issued(sequence))
    }

    #[test]
    fn every_event_version_decodes_from_its_golden_file_and_encodes_to_it() {
        golden::check_today::<OrderNumberSeries>(EVENTS, [event(42)]);
    }

    #[test]
    fn every_golden_file_still_decodes() {
        golden::check_all::<OrderNumberSeries>(EVENTS);
    }

    #[test]
    fn every_version_of_every_event_has_a_golden_file() {
        golden::check_versions::<OrderNumberSeries>(EVENTS, OrderNumberSeriesEvent::NAMES);
    }

    #[test]
    fn a_state_that_folds_or_reads_differently_has_another_version() {
        let events = [event(1), event(2)];
        golden::check_states::<OrderNumberSeries>("order-number-states", OrderNumberSeriesEvent::NAMES, events);
    }

    #[tokio::test]
    async fn numbers_have_no_gap() {
        use cqrs_es::Aggregate;
        let (sink, mut series) = (EventSink::default(), OrderNumberSeries::default());
        series.handle(issued(1), &(), &sink).await.unwrap();
        assert_eq!(sink.collect().await, [event(1)]);
        for sequence in [1, 3] {
            assert_eq!(series.decide(issued(sequence)), Err(NotNextOrderNumber { next: 2 }));
        }
        assert_eq!(issued(2).order_number, "A-2026-000002");
    }

    #[test]
    fn a_series_is_of_a_year_if_its_name_says_so() {
        let at = "2026-12-31T23:59:59Z".parse().unwrap();
        for (format, series) in [("A-{year}", "A-2026"), ("{year}", "2026"), ("shop", "shop")] {
            assert_eq!(OrderNumberFormat::parse(format).unwrap().series_of(at), series);
        }
    }

    #[test]
    fn a_format_gives_names_that_can_be_read_out_and_are_not_those_of_documents() {
        for wrong in ["", "A {year}", "{month}", "Bestellung-ä", "INV-{year}", "CN-2026", "a\n", &"x".repeat(41)] {
            assert_eq!(OrderNumberFormat::parse(wrong), None, "{wrong}");
        }
    }
}
