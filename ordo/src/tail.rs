//! `ordo tail`: events as they come, one a line, from the live stream of a running platform.

mod sse;

use std::io::Write;
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use axum::body::{Body, to_bytes};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use futures_util::StreamExt;
use serde_json::Value;
use url::Url;

use self::sse::{SseEvent, SseParser};
use crate::client::{ApiClient, CredentialArgs};
use crate::dlq::harmless;
use crate::events::StreamArgs;
use crate::output;

/// How long an answer may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);
/// A stream that says nothing for so long has broken off, whatever TCP thinks of it: three heartbeats are missing.
const SILENCE: Duration = Duration::from_secs(45);
/// How long to wait before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// The most of an event's content on a line for people.
const BRIEF: usize = 120;
/// The most of a refusal that is read.
const LONGEST_REFUSAL: usize = 64 * 1024;

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
    pub(crate) stream: Option<StreamArgs>,
    /// Only those of streams of this kind: order, stock
    #[arg(long, value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) stream_type: Option<String>,
    /// End after so many events [default: never]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroU64>,
    #[command(flatten)]
    pub(crate) credential: CredentialArgs,
    /// One JSON object a line, with all there is to an event
    #[arg(long)]
    pub(crate) json: bool,
}

/// Prints the events of the platform at `api` until there were as many as asked for. A broken stream is continued where it was.
pub(crate) async fn run(args: &TailArgs, api: &str) -> anyhow::Result<()> {
    let left = args.limit.map(NonZeroU64::get);
    let mut follower = TailFollower { args, url: url(args, api)?, position: None, reported: false, left };
    loop {
        let ended = match follower.follow().await {
            Ok(()) => return Ok(()),
            Err(ended) => ended,
        };
        let (error, position) = match (ended, follower.position) {
            (TailEnd::Broken(error), Some(position)) => (error, position),
            (TailEnd::NoAnswer(error), Some(position)) => (error, position),
            (TailEnd::NoAnswer(error), None) => {
                bail!("no platform: {error:#}; start one with `ordo up`, or name it with --api")
            }
            (TailEnd::Broken(error), None) | (TailEnd::Final(error), _) => return Err(error),
        };
        if !std::mem::replace(&mut follower.reported, true) {
            let message =
                format!("ordo: {error:#}; it goes on behind position {position} as soon as there is an answer");
            // There is nowhere left to report a standard error that cannot be written to.
            let _ = writeln!(std::io::stderr().lock(), "{message}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A follower of the stream.
struct TailFollower<'a> {
    args: &'a TailArgs,
    url: Url,
    /// The id of the last event; `None` before the first.
    position: Option<i64>,
    /// Whether it was reported that the stream broke off.
    reported: bool,
    left: Option<u64>,
}

/// Why the stream ended.
enum TailEnd {
    /// Trying again would not help.
    Final(anyhow::Error),
    /// Nobody answers.
    NoAnswer(anyhow::Error),
    /// The other side is gone or busy.
    Broken(anyhow::Error),
}

impl TailFollower<'_> {
    async fn follow(&mut self) -> Result<(), TailEnd> {
        let mut body = self.open().await?.into_data_stream();
        let mut sse = SseParser::default();
        loop {
            let read = tokio::time::timeout(SILENCE, body.next()).await;
            let silent = || TailEnd::Broken(anyhow!("the stream says nothing any more"));
            let Some(piece) = read.map_err(|_| silent())? else {
                return Err(TailEnd::Broken(anyhow!("the stream has ended")));
            };
            let piece = piece.map_err(|error| TailEnd::Broken(anyhow!(error).context("the stream broke off")))?;
            for block in sse.take(&piece) {
                if self.print(block).map_err(TailEnd::Final)?.is_break() {
                    return Ok(());
                }
            }
        }
    }

    /// Opens the stream behind the last event.
    async fn open(&self) -> Result<Body, TailEnd> {
        let id = self.position.map(|position| position.to_string());
        let headers = id.as_deref().map(|id| ("last-event-id", id));
        let client = ApiClient::new(PATIENCE).authorized(self.args.credential.authorization().map_err(TailEnd::Final)?);
        let opened = client.open(self.url.as_str(), headers.as_slice()).await;
        let (head, body) = opened.map_err(TailEnd::NoAnswer)?.into_parts();
        if head.status.is_success() {
            return Ok(body);
        }
        let said = to_bytes(body, LONGEST_REFUSAL).await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&said).unwrap_or_default();
        let detail = problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or("without a reason");
        let error = anyhow!("{} answers {}: {detail}", self.url, head.status);
        Err(if head.status.is_server_error() { TailEnd::Broken(error) } else { TailEnd::Final(error) })
    }

    /// Prints an event; breaks after the last one.
    fn print(&mut self, block: SseEvent) -> anyhow::Result<ControlFlow<()>> {
        if let Some(data) = block.data {
            let line = if self.args.json { data } else { brief(&serde_json::from_str(&data)?) };
            output::line(&line)?;
            self.left = self.left.map(|left| left - 1);
        }
        // After the line, so that an event that was not printed comes again.
        self.position = block.id.or(self.position);
        self.reported = false;
        Ok(if self.left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

fn url(args: &TailArgs, api: &str) -> anyhow::Result<Url> {
    let api = api.trim_end_matches('/');
    let wrong = || format!("{api} is not an address; it must look like http://127.0.0.1:3000");
    let mut url = Url::parse(&format!("{api}/events/stream")).with_context(wrong)?;
    if url.cannot_be_a_base() {
        bail!(wrong());
    }
    let after = args.after.map(|after| after.to_string());
    let types = (!args.types.is_empty()).then(|| args.types.join(","));
    let (kind, id) = args.stream.as_ref().map_or((None, None), |stream| (Some(stream.kind()), Some(stream.id())));
    let given = [
        ("after", after.as_deref()),
        ("type", types.as_deref()),
        ("streamType", kind.or(args.stream_type.as_deref())),
        ("streamId", id),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    Ok(url)
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
        let url = |line: &str| {
            let tail = Line::try_parse_from(line.split(' ')).unwrap().tail;
            url(&tail, tail.api.as_deref().unwrap_or("http://127.0.0.1:3000")).map(|url| url.to_string())
        };
        assert_eq!(url("tail").unwrap(), "http://127.0.0.1:3000/events/stream");
        let line = "tail --api http://shop:1/v1/ --after 0 --type A,B --stream order/a&b";
        assert_eq!(
            url(line).unwrap(),
            "http://shop:1/v1/events/stream?after=0&type=A%2CB&streamType=order&streamId=a%26b"
        );
        assert!(url("tail --api shop").is_err());
        assert!(url("tail --api shop:1").is_err());
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
