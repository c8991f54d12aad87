//! `ordo tail`: events as they come, one a line, from the live stream of a running platform.

use std::io::Write;
use std::num::NonZeroU64;
use std::pin::pin;

use anyhow::{anyhow, bail};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use error_chain::error_chain;
use futures_util::TryStreamExt;
use ordo_client::{Client, Error, LiveStreamRequest};
use serde_json::Value;

use crate::api::{ApiAccessArgs, not_reached};
use crate::dlq::harmless;
use crate::events::StreamName;
use crate::output;

/// The most of an event's content on a line for people.
const BRIEF: usize = 120;

#[derive(Debug, Clone, Args)]
pub(crate) struct TailArgs {
    /// The API of the platform [default: where the one in the data directory is, or http://127.0.0.1:3000]
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// From behind which position: 0 is the first event [default: only what comes from now on]
    #[arg(long, value_name = "POSITION")]
    pub(crate) after: Option<u64>,
    /// Only events with these names, separated by commas
    #[arg(long = "type", value_name = "NAMES", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    pub(crate) types: Vec<String>,
    /// Only those of this stream, such as order/demo-1
    #[arg(long, value_name = "TYPE/ID", conflicts_with = "stream_type")]
    pub(crate) stream: Option<StreamName>,
    /// Only those of streams of this kind: order, stock
    #[arg(long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) stream_type: Option<String>,
    /// End after so many events [default: never]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU64>,
    /// One JSON object a line, with all there is to an event
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    access: ApiAccessArgs,
}

/// Prints the events of the platform at `api` until there were as many as asked for. A broken stream is continued where it was.
pub(crate) async fn run(args: &TailArgs, api: &str) -> anyhow::Result<()> {
    let live = args.wanted(&args.access.client(api)?).on_interruption(|error, position| {
        let error = error_chain(error);
        let message = format!("ordo: {error}; it goes on behind position {position} as soon as there is an answer");
        // There is nowhere left to report a standard error that cannot be written to.
        let _ = writeln!(std::io::stderr().lock(), "{message}");
    });
    let mut events = pin!(live.json_stream());
    let mut left = args.limit.map(NonZeroU64::get);
    while let Some(event) = events.try_next().await.map_err(|error| reason(error, api))? {
        let line = if args.json { event } else { brief(&serde_json::from_str(&event)?) };
        output::line(&line)?;
        left = left.map(|left| left - 1);
        if left == Some(0) {
            return Ok(());
        }
    }
    bail!("the stream has ended")
}

fn reason(error: Error, api: &str) -> anyhow::Error {
    if let Some(problem) = error.problem() {
        return anyhow!("{} answers {problem}", api.trim_end_matches('/'));
    }
    not_reached(&error).unwrap_or_else(|| error.into())
}

impl TailArgs {
    fn wanted(&self, client: &Client) -> LiveStreamRequest {
        let mut live = client.live();
        if let Some(after) = self.after {
            live = live.after(after);
        }
        if !self.types.is_empty() {
            live = live.types(&self.types.iter().map(String::as_str).collect::<Vec<_>>());
        }
        if let Some(stream) = &self.stream {
            live = live.stream_type(stream.kind()).stream_id(stream.id());
        } else if let Some(stream_type) = &self.stream_type {
            live = live.stream_type(stream_type);
        }
        live
    }
}

/// An event on one line, for people.
fn brief(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or("?");
    let data = event["data"].to_string();
    let cut = data.char_indices().nth(BRIEF).map(|(at, _)| format!("{}…", &data[..at]));
    let (at, stream) = (text("recordedAt"), format!("{}/{}", text("streamType"), text("streamId")));
    let (position, version, name) = (event["position"].to_string(), &event["version"], text("type"));
    harmless(&format!("{position:>8}  {at}  {stream}  {version} {name}  {}", cut.as_ref().unwrap_or(&data)))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        tail: TailArgs,
    }

    #[test]
    fn what_is_asked_for_goes_into_the_address() {
        let shown = |line: &str| {
            let tail = Line::try_parse_from(line.split(' ')).unwrap().tail;
            let client = tail.access.client(tail.api.as_deref().unwrap_or("http://127.0.0.1:3000"));
            client.map(|client| format!("{:?}", tail.wanted(&client)))
        };
        let plain = shown("tail").unwrap();
        assert!(plain.contains("\"http://127.0.0.1:3000/events/stream\""), "{plain}");
        let all = shown("tail --api http://shop:1/v1/ --after 0 --type A,B --stream order/a&b").unwrap();
        let expected = "http://shop:1/v1/events/stream?after=0&type=A%2CB&streamType=order&streamId=a%26b";
        assert!(all.contains(expected), "{all}");
        assert!(shown("tail --api shop").is_err());
        assert!(shown("tail --api shop:1").is_err());
    }

    #[test]
    fn a_line_for_people_is_one_line_and_not_too_long() {
        let event = json!({ "position": 7, "recordedAt": "2026-11-21T17:00:00Z", "streamType": "order", "streamId": "\u{1b}[2J",
                            "version": 1, "type": "NoteAdded", "data": { "text": "ä".repeat(500) } });
        let line = brief(&event);
        assert!(
            line.starts_with("       7  2026-11-21T17:00:00Z  order/\u{fffd}[2J  1 NoteAdded  {\"text\":"),
            "{line}"
        );
        assert!(line.chars().count() < 200 && !line.contains('\u{1b}'), "{line}");
    }
}
