//! `ordo events`: exports the log to a file, one event a line, and imports such a file into an empty store.

pub(crate) mod export;
mod import;
mod import_reader;
mod line;

use std::path::PathBuf;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use event_store::EventFilter;

use crate::settings::Settings;
use crate::{connections, migrate};

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum EventsCommand {
    /// Write the events of the log, or some of them, one JSON object a line, exactly as they are stored
    Export(ExportArgs),
    /// Put such a file into a store that has no events, with positions, ids and times as they are; all of it or nothing
    Import(EventsImportArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// Only those of this stream, such as order/demo-1
    #[arg(long, value_name = "TYPE/ID", conflicts_with = "stream_type")]
    pub(crate) stream: Option<StreamName>,
    /// Only those of streams of this kind: order, stock
    #[arg(long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) stream_type: Option<String>,
    /// Only those with these names, separated by commas
    #[arg(long = "type", value_name = "NAMES", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) types: Vec<String>,
    /// Only those that came of the request with this trace: the traceId of its answer, or the header traceresponse
    #[arg(long, value_name = "TRACE")]
    pub(crate) trace: Option<TraceId>,
    /// Only those from this position on, or recorded at this instant or later
    #[arg(long, value_name = "POSITION|INSTANT")]
    pub(crate) from: Option<LogRangeBound>,
    /// Only those up to this position, with it, or recorded at this instant or earlier
    #[arg(long, value_name = "POSITION|INSTANT")]
    pub(crate) to: Option<LogRangeBound>,
    /// Where to [default: standard output]; there is no such file before it is complete
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct EventsImportArgs {
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Say what was imported as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A stream by its type and id, such as `order/demo-1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamName {
    kind: String,
    id: String,
}

/// The trace of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TraceId(String);

/// The begin or end of a range of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogRangeBound {
    Position(i64),
    Instant(DateTime<Utc>),
}

pub(crate) async fn run(settings: &Settings, args: &EventsCommand) -> anyhow::Result<()> {
    let pool = connections::database(settings).await?;
    migrate::check(&pool).await?;
    // A connection of its own: its statements have no time-out, and it is not reused after a failure.
    let connection = pool.acquire().await?.detach();
    match args {
        EventsCommand::Export(args) => export::run(connection, args).await,
        EventsCommand::Import(args) => import::run(connection, args).await,
    }
}

impl ExportArgs {
    /// The events that an export selects.
    #[must_use]
    pub(crate) fn selection(&self) -> EventFilter {
        let kind = self.stream.as_ref().map(|stream| stream.kind.clone()).or_else(|| self.stream_type.clone());
        let mut selection = EventFilter {
            stream_types: kind.into_iter().collect(),
            stream_id: self.stream.as_ref().map(|stream| stream.id.clone()),
            event_types: self.types.clone(),
            trace_id: self.trace.as_ref().map(|TraceId(id)| id.clone()),
            ..EventFilter::default()
        };
        match self.from {
            Some(LogRangeBound::Position(position)) => selection.after = position - 1,
            Some(LogRangeBound::Instant(instant)) => selection.recorded_from = Some(instant),
            None => {}
        }
        match self.to {
            Some(LogRangeBound::Position(position)) => selection.up_to = Some(position),
            Some(LogRangeBound::Instant(instant)) => selection.recorded_until = Some(instant),
            None => {}
        }
        selection
    }
}

impl StreamName {
    #[must_use]
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    #[must_use]
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl FromStr for StreamName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').filter(|(kind, id)| !kind.is_empty() && !id.is_empty());
        let (kind, id) = parts.ok_or("it has to be TYPE/ID, such as order/demo-1")?;
        Ok(Self { kind: kind.to_owned(), id: id.to_owned() })
    }
}

impl FromStr for TraceId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let id = match text.split('-').collect::<Vec<_>>()[..] {
            [id] | [_, id, _, _] => id,
            _ => text,
        };
        let is_one = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_one
            .then(|| Self(id.to_owned()))
            .ok_or("it has to be 32 hexadecimal digits in lower case, as answers have them")
    }
}

impl FromStr for LogRangeBound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(position) = text.parse() {
            return if position >= 0 { Ok(Self::Position(position)) } else { Err("no position is below 0".to_owned()) };
        }
        let instant = DateTime::parse_from_rfc3339(text).map(|instant| Self::Instant(instant.to_utc()));
        instant.map_err(|_| "it has to be a position of the log, or an instant such as 2026-11-21T18:00:00Z".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(Parser)]
    struct EventLine {
        #[command(subcommand)]
        events: EventsCommand,
    }

    fn parse(line: &str) -> Result<EventsCommand, clap::Error> {
        EventLine::try_parse_from(line.split(' ')).map(|line| line.events)
    }

    #[test]
    fn some_events_are_asked_for_by_stream_name_and_range() {
        let line =
            "events export --stream order/a --type OrderCreated,OrderShipped --from 7 --to 2026-11-21T19:00:00+01:00";
        let EventsCommand::Export(export) = parse(line).unwrap() else { panic!("not export") };
        let expected = EventFilter {
            after: 6,
            stream_types: vec!["order".into()],
            stream_id: Some("a".into()),
            event_types: vec!["OrderCreated".into(), "OrderShipped".into()],
            recorded_until: Some("2026-11-21T18:00:00Z".parse().unwrap()),
            ..EventFilter::default()
        };
        assert_eq!(export.selection(), expected);
        let EventsCommand::Export(all) = parse("events export").unwrap() else { panic!("not export") };
        assert_eq!(all.selection(), EventFilter { after: 0, ..EventFilter::default() });
    }

    #[test]
    fn a_streams_name_ends_with_its_id_whatever_is_in_it() {
        for id in ["demo-1", "TSHIRT/RED L", "BÜCHER 7", "/", "stock/stock", " "] {
            let name: StreamName = format!("stock/{id}").parse().unwrap();
            assert_eq!((name.kind(), name.id()), ("stock", id));
        }
        for text in ["", "stock", "stock/", "/a"] {
            assert!(text.parse::<StreamName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn events_of_a_request_are_asked_for_by_what_its_answer_says_of_its_trace() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        for trace in [id.to_owned(), format!("00-{id}-b7ad6b7169203331-01")] {
            let EventsCommand::Export(export) = parse(&format!("events export --trace {trace}")).unwrap() else {
                panic!("not export")
            };
            assert_eq!(export.selection(), EventFilter { trace_id: Some(id.to_owned()), ..EventFilter::default() });
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (line, kind) in [
            ("events export --stream order", ErrorKind::ValueValidation),
            ("events export --stream order/", ErrorKind::ValueValidation),
            ("events export --stream order/a --stream-type order", ErrorKind::ArgumentConflict),
            ("events export --from=-1", ErrorKind::ValueValidation),
            ("events export --to soon", ErrorKind::ValueValidation),
            ("events export --trace o-1", ErrorKind::ValueValidation),
            (
                "events export --trace 00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
                ErrorKind::ValueValidation,
            ),
            ("events export --type=", ErrorKind::InvalidValue),
            ("events import", ErrorKind::MissingRequiredArgument),
        ] {
            assert_eq!(parse(line).map(drop).unwrap_err().kind(), kind, "{line}");
        }
    }
}
