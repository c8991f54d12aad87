//! The lines of a file as events, each checked against those before it.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read};

use anyhow::{Context, ensure};
use cqrs_es::{Aggregate, DomainEvent};
use domain::dead_letter::DeadLetterDecisions;
use domain::document::DocumentSeries;
use domain::order::{Order, OrderEvent};
use domain::order_number::OrderNumberSeries;
use domain::stock::Stock;
use domain::streams::is_known;
use event_store::bulk::ImportSource;
use event_store::{BorrowedEvent, EventDecodeError};
use indicatif::ProgressBar;
use uuid::Uuid;

use super::line::EventLine;

/// Far longer than any event of ours. A longer line is not read into memory.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Reads events from lines. Its memory grows with the file: about a hundred bytes for each stream, and thirty for each event.
pub(super) struct ImportReader<R> {
    input: R,
    text: Vec<u8>,
    line: Option<EventLine>,
    known: ImportedStreams,
    bar: ProgressBar,
}

/// The state after the lines so far.
#[derive(Default)]
struct ImportedStreams {
    lines: u64,
    position: i64,
    /// The version of each stream, by its kind and id.
    streams: HashMap<String, HashMap<String, i64>>,
    event_ids: HashSet<Uuid>,
    /// The highest number that orders name of each series, by its kind and name.
    numbers: HashMap<(&'static str, String), i64>,
}

/// A number that an order names.
struct SeriesNumber {
    /// The kind of the series' stream.
    kind: &'static str,
    series: String,
    sequence: i64,
}

impl<R: BufRead> ImportReader<R> {
    pub(super) fn of(input: R, bar: ProgressBar) -> Self {
        Self { input, text: Vec::new(), line: None, known: ImportedStreams::default(), bar }
    }

    /// The number of streams.
    pub(super) fn streams(&self) -> usize {
        self.known.streams.values().map(HashMap::len).sum()
    }

    fn read(&mut self) -> anyhow::Result<Option<&EventLine>> {
        self.text.clear();
        let length = (&mut self.input).take(LONGEST).read_until(b'\n', &mut self.text);
        if length.context("the file can't be read")? == 0 {
            self.known.check_series()?;
            return Ok(None);
        }
        self.known.lines += 1;
        self.bar.inc(1);
        let number = self.known.lines;
        ensure!((self.text.len() as u64) < LONGEST, "line {number} is longer than {} MiB", LONGEST >> 20);
        ensure!(!self.text.trim_ascii().is_empty(), "line {number} is empty");
        let line = EventLine::read(&self.text).map_err(|error| anyhow::anyhow!("line {number}: {error}"))?;
        self.known.check(&line.event()).with_context(|| format!("line {number}"))?;
        Ok(Some(self.line.insert(line)))
    }
}

impl<R: BufRead + Send> ImportSource for ImportReader<R> {
    type Error = anyhow::Error;

    async fn next(&mut self) -> anyhow::Result<Option<BorrowedEvent<'_>>> {
        Ok(self.read()?.map(EventLine::event))
    }
}

impl ImportedStreams {
    /// Checks that an event can follow, and notes it.
    fn check(&mut self, event: &BorrowedEvent<'_>) -> anyhow::Result<()> {
        let BorrowedEvent { position, version, stream_type, stream_id, event_id, .. } = *event;
        ensure!(position > 0, "position {position} is none; the first is 1");
        ensure!(
            position > self.position,
            "position {position} comes after {}: positions have to ascend",
            self.position
        );
        self.position = position;
        ensure!(self.event_ids.insert(event_id), "the event id {event_id} was there before");
        if let Some(SeriesNumber { kind, series, sequence }) = known_here(event)? {
            let highest = self.numbers.entry((kind, series)).or_default();
            *highest = sequence.max(*highest);
        }
        let streams = self.streams.entry(stream_type.to_owned()).or_default();
        let last = streams.entry(stream_id.to_owned()).or_default();
        let next = *last + 1;
        // Foreign streams may have gaps, as long as versions ascend.
        ensure!(
            version == next || (version > next && !is_known(stream_type)),
            "stream {stream_type}/{stream_id} has version {version} where {next} has to come; \
             a part of the log can be imported only if the streams in it are whole"
        );
        *last = version;
        Ok(())
    }

    /// Checks that the numbers of orders are in their series: else they would be given once more.
    fn check_series(&self) -> anyhow::Result<()> {
        for ((kind, series), highest) in &self.numbers {
            let last = self.streams.get(*kind).and_then(|streams| streams.get(series)).copied().unwrap_or(0);
            ensure!(
                last >= *highest,
                "orders have numbers up to {highest} of the series {series}, and stream {kind}/{series} is there up to \
                 version {last}: those numbers would be given again"
            );
        }
        Ok(())
    }
}

/// The number that an event of an order names. Fails if this build cannot read an event of ours: it would stop every subscriber. Nobody
/// follows foreign streams.
fn known_here(event: &BorrowedEvent<'_>) -> anyhow::Result<Option<SeriesNumber>> {
    let mut number = None;
    let decoded = match event.stream_type {
        Order::TYPE => event.decode::<Order>().map(|event| {
            number = number_in(&event);
            event.event_type()
        }),
        Stock::TYPE => event.decode::<Stock>().map(|event| event.event_type()),
        DocumentSeries::TYPE => event.decode::<DocumentSeries>().map(|event| event.event_type()),
        OrderNumberSeries::TYPE => event.decode::<OrderNumberSeries>().map(|event| event.event_type()),
        DeadLetterDecisions::TYPE => event.decode::<DeadLetterDecisions>().map(|event| event.event_type()),
        _ => return Ok(None),
    };
    let name = decoded.map_err(|error: EventDecodeError| {
        let why = std::error::Error::source(&error).map_or_else(String::new, |why| format!(": {why}"));
        // Without the list of all events, and without a line number that is not the file's.
        let why = [", expected one of", " at line "]
            .iter()
            .fold(why.as_str(), |why, end| why.split(end).next().unwrap_or(why));
        anyhow::anyhow!("{} {} is not an event that this version knows{why}", event.event_type, event.event_version)
    })?;
    ensure!(name == event.event_type, "the payload is of {name}, not of {}", event.event_type);
    Ok(number)
}

fn number_in(event: &OrderEvent) -> Option<SeriesNumber> {
    let (kind, series, sequence) = if let OrderEvent::OrderNumbered(it) = event {
        (OrderNumberSeries::TYPE, &it.series, it.sequence)
    } else if let OrderEvent::InvoiceIssued(it) = event {
        (DocumentSeries::TYPE, &it.series, it.sequence)
    } else if let OrderEvent::CreditNoteIssued(it) = event {
        (DocumentSeries::TYPE, &it.series, it.sequence)
    } else {
        return None;
    };
    Some(SeriesNumber { kind, series: series.clone(), sequence })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn line(position: i64, stream: &str, version: i64) -> String {
        let event_id = Uuid::from_u128(u128::try_from(position).unwrap_or(0));
        format!(
            r#"{{"position":{position},"streamType":"order","streamId":"{stream}","version":{version},"type":"OrderConfirmed","eventVersion":"1.0","eventId":"{event_id}","recordedAt":"2026-11-21T17:00:00.000000Z","metadata":{{}},"payload":{{"OrderConfirmed":{{}}}}}}"#
        )
    }

    /// How many events a text has, or what is wrong with it.
    fn read(text: &str) -> Result<usize, String> {
        let mut lines = ImportReader::of(Cursor::new(text.as_bytes()), ProgressBar::hidden());
        let mut count = 0;
        while lines.read().map_err(|error| format!("{error:#}"))?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn streams_are_whole_and_positions_ascend_with_or_without_gaps() {
        let lines = [line(1, "a", 1), line(2, "b", 1), line(7, "a", 2)];
        assert_eq!(read(&lines.join("\n")), Ok(3));
        assert_eq!(read(&format!("{}\r\n", lines.join("\r\n"))), Ok(3));
        assert_eq!(read(""), Ok(0));
    }

    #[test]
    fn a_number_of_an_order_comes_with_its_series() {
        let numbered = line(1, "a", 1).replace("OrderConfirmed", "OrderNumbered").replace(
            r#""OrderNumbered":{}"#,
            r#""OrderNumbered":{"orderNumber":"A-000001","series":"A","sequence":1}"#,
        );
        let issued = line(2, "A", 1)
            .replace(r#""order""#, r#""order_number_series""#)
            .replace("OrderConfirmed", "OrderNumberIssued")
            .replace(
                r#""OrderNumberIssued":{}"#,
                r#""OrderNumberIssued":{"sequence":1,"orderNumber":"A-000001","orderId":"a"}"#,
            );
        assert_eq!(read(&format!("{numbered}\n{issued}\n")), Ok(2));
        let error = read(&numbered).unwrap_err();
        assert!(error.contains("stream order_number_series/A is there up to version 0"), "{error}");
    }

    #[test]
    fn of_foreign_streams_only_the_order_matters() {
        let foreign = |position, version| {
            let line = line(position, "a", version).replace(r#""order""#, r#""account""#);
            line.replace(r#"{"OrderConfirmed":{}}"#, r#"{"whatever":[1]}"#)
        };
        assert_eq!(read(&[line(1, "a", 1), foreign(2, 1), foreign(3, 4), line(4, "a", 2)].join("\n")), Ok(4));
        let error = read(&[foreign(2, 4), foreign(3, 4)].join("\n")).unwrap_err();
        assert!(error.starts_with("line 2: stream account/a has version 4"), "{error}");
    }

    #[test]
    fn what_does_not_go_with_what_was_before_it_is_refused_by_the_number_of_its_line() {
        let first = line(5, "a", 1);
        for (second, says) in [
            (line(5, "b", 1), "line 2: position 5 comes after 5"),
            (line(4, "b", 1), "line 2: position 4 comes after 5"),
            (line(6, "a", 3), "line 2: stream order/a has version 3 where 2 has to come"),
            (line(6, "a", 1), "line 2: stream order/a has version 1 where 2 has to come"),
            (line(6, "b", 2), "line 2: stream order/b has version 2 where 1 has to come"),
            (line(6, "b", 1).replace("-000000000006", "-000000000005"), "line 2: the event id 00000000-"),
            (
                line(6, "b", 1).replace("OrderConfirmed", "OrderTeleported"),
                "line 2: OrderTeleported 1.0 is not an event",
            ),
            (
                line(6, "b", 1).replacen("OrderConfirmed", "NoteAdded", 1),
                "line 2: the payload is of OrderConfirmed, not of",
            ),
            (
                line(6, "a", 1).replace(r#""order""#, r#""basket""#).replace(r#"n":1"#, r#"n":0"#),
                "line 2: stream basket/a has version 0",
            ),
            (line(6, "b", 1).replace("{}", "{"), "line 2: "),
            (String::new(), "line 2 is empty"),
            ("{}".to_owned(), "line 2: missing field `position`"),
        ] {
            let error = read(&format!("{first}\n{second}\n")).unwrap_err();
            assert!(error.starts_with(says), "{second}: {error}");
        }
        assert!(read(&line(0, "a", 1)).unwrap_err().contains("position 0 is none"));
    }
}
