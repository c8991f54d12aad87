//! The live stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;
use futures_util::{Stream, stream};
use http::header::{ACCEPT, HeaderName};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;
use url::Url;

use crate::client::PreparedRequest;
use crate::retry::{LONGEST, endless_delays};
use crate::sse::{SseBlock, SseEventTooLong, SseParser};
use crate::transport::has_type;
use crate::{Client, Error, Event};

/// A stream that says nothing for so long has broken off, whatever TCP thinks of it: three heartbeats are missing.
const SILENCE: Duration = Duration::from_secs(45);
/// The most that a server may send the client away for, before it goes on.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a stream that has begun waits for a token that the server takes.
const TOKEN_PATIENCE: Duration = Duration::from_secs(60);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

type Watcher = Arc<dyn Fn(&Error, i64) + Send + Sync>;

impl Client {
    /// What happens, as it happens, from now on.
    pub fn live(&self) -> LiveStreamRequest {
        LiveStreamRequest {
            client: self.clone(),
            url: self.url(&["events", "stream"]),
            silence: SILENCE,
            watcher: None,
        }
    }
}

/// A request for the live stream, with what it asks for; it is sent by `stream()`.
#[must_use = "it begins with stream()"]
#[derive(Clone)]
pub struct LiveStreamRequest {
    client: Client,
    url: Url,
    silence: Duration,
    watcher: Option<Watcher>,
}

impl std::fmt::Debug for LiveStreamRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveStream").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl LiveStreamRequest {
    /// From behind this position: 0 is before the first event.
    pub fn after(self, position: u64) -> Self {
        self.parameter("after", &position.to_string())
    }

    /// Only events with these names.
    pub fn types(self, names: &[&str]) -> Self {
        self.parameter("type", &names.join(","))
    }

    /// Only those of streams of this kind: `order` or `stock`.
    pub fn stream_type(self, stream_type: &str) -> Self {
        self.parameter("streamType", stream_type)
    }

    /// Only those of this order or SKU.
    pub fn stream_id(self, stream_id: &str) -> Self {
        self.parameter("streamId", stream_id)
    }

    /// How long the server may say nothing, heartbeats included, until the client connects anew. Without it: 45 s.
    pub fn silence_timeout(self, timeout: Duration) -> Self {
        Self { silence: timeout, ..self }
    }

    /// Calls this with why the stream broke off, and the position behind which it goes on. It is called again only after it went on.
    pub fn on_interruption(self, watch: impl Fn(&Error, i64) + Send + Sync + 'static) -> Self {
        Self { watcher: Some(Arc::new(watch)), ..self }
    }

    /// The events, each once and none left out.
    ///
    /// The first connection is tried like a request. Once the stream has begun it goes on, by new connections that say where it was,
    /// until it is dropped or the server refuses it for good; then its last item is the error. A stream ends with its token: if the client
    /// [asks for tokens](crate::ClientBuilder::token_from), it waits up to a minute for the next one.
    pub fn stream(self) -> impl Stream<Item = Result<Event, Error>> + Send + 'static {
        self.follow(|json| serde_json::from_str(&json))
    }

    /// The same events as JSON, to the letter as the server sent them.
    pub fn json_stream(self) -> impl Stream<Item = Result<String, Error>> + Send + 'static {
        self.follow(Ok)
    }

    fn follow<T: Send + 'static>(
        self,
        read: impl Fn(String) -> serde_json::Result<T> + Copy + Send + 'static,
    ) -> impl Stream<Item = Result<T, Error>> + Send + 'static {
        let sse = SseParser::new(self.client.transport().max_answer_bytes);
        let follower = Follower {
            wanted: self,
            position: None,
            body: None,
            sse,
            blocks: VecDeque::new(),
            connected_at: Instant::now(),
            delays: endless_delays(),
        };
        stream::unfold(Some(follower), move |follower| async move {
            let mut follower = follower?;
            let next = follower.next().await.and_then(|(position, json)| {
                let wrong = |error| follower.unexpected(format!("event {position} can't be understood: {error}"));
                read(json).map_err(wrong)
            });
            let ended = next.is_err();
            Some((next, (!ended).then_some(follower)))
        })
    }

    fn parameter(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }
}

/// A stream that was begun.
struct Follower {
    wanted: LiveStreamRequest,
    /// Up to where the log was seen; `None`: the server has not said anything yet.
    position: Option<i64>,
    body: Option<Incoming>,
    sse: SseParser,
    /// What was read and not taken yet.
    blocks: VecDeque<SseBlock>,
    connected_at: Instant,
    /// The times until the next connections.
    delays: ExponentialBackoff,
}

impl Follower {
    /// The next event's position and JSON. An error is the end.
    async fn next(&mut self) -> Result<(i64, String), Error> {
        loop {
            while let Some(block) = self.blocks.pop_front() {
                if let Some(event) = self.take(block)? {
                    return Ok(event);
                }
            }
            if self.body.is_none() {
                self.body = Some(self.begin().await?);
            }
            let read = self.read().await;
            match (read, self.position) {
                (Ok(()), _) => {}
                (Err(error), Some(position)) if error.is_temporary() => self.reconnect(error, position).await?,
                (Err(error), _) => return Err(error),
            }
        }
    }

    /// `None`: it is no event, or one that came before.
    fn take(&mut self, block: SseBlock) -> Result<Option<(i64, String)>, Error> {
        let Some(data) = block.data else {
            self.position = self.position.max(block.id);
            return Ok(None);
        };
        let Some(id) = block.id else { return Err(self.unexpected("an event has no position".to_owned())) };
        if self.position.is_some_and(|position| id <= position) {
            return Ok(None);
        }
        self.position = Some(id);
        Ok(Some((id, data)))
    }

    /// Reads some blocks.
    async fn read(&mut self) -> Result<(), Error> {
        let Some(body) = self.body.as_mut() else { return Ok(()) };
        let url = self.wanted.url.path().to_owned();
        let broken = |cause: &str| Error::NoAnswer { url: url.clone(), cause: cause.into() };
        let read = tokio::time::timeout(self.wanted.silence, body.frame()).await;
        let read = read.map_err(|_| broken("the stream says nothing any more"))?;
        let frame = read.ok_or_else(|| broken("the stream has ended"))?;
        let frame = frame.map_err(|error| broken(&format!("the stream broke off: {error}")))?;
        if let Ok(piece) = frame.into_data() {
            let blocks = self.sse.take(&piece);
            self.blocks.extend(blocks.map_err(|SseEventTooLong| self.unexpected("an event is too long".to_owned()))?);
        }
        Ok(())
    }

    /// The first connection.
    async fn begin(&mut self) -> Result<Incoming, Error> {
        let mut retries = self.wanted.client.retries();
        loop {
            match self.connect().await {
                Ok(body) => return Ok(body),
                Err(error) => retries.wait(error, true).await?,
            }
        }
    }

    /// Connects until it succeeds, behind what was seen.
    async fn reconnect(&mut self, error: Error, position: i64) -> Result<(), Error> {
        self.body = None;
        self.sse = SseParser::new(self.wanted.client.transport().max_answer_bytes);
        if let Some(watch) = &self.wanted.watcher {
            watch(&error, position);
        }
        // A server that hangs up at once is not asked at once again.
        if self.connected_at.elapsed() > LONGEST {
            self.delays = endless_delays();
        }
        let mut error = error;
        let mut without_token_since = None;
        loop {
            let delay = self.delays.next().unwrap_or(LONGEST);
            tokio::time::sleep(error.retry_after().unwrap_or_default().min(LONGEST_PAUSE) + delay).await;
            error = match self.connect().await {
                Ok(body) => {
                    self.body = Some(body);
                    return Ok(());
                }
                Err(error) if error.is_temporary() => error,
                Err(error) if self.lacks_token(&error) => {
                    let since: Instant = *without_token_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= TOKEN_PATIENCE {
                        return Err(error);
                    }
                    error
                }
                Err(error) => return Err(error),
            };
        }
    }

    /// Whether another token may help: whoever keeps tokens may have the last one for a moment after its end.
    fn lacks_token(&self, error: &Error) -> bool {
        let is_of_token = error.is_unauthorized() || matches!(error, Error::Token(_));
        is_of_token && self.wanted.client.asks_for_tokens()
    }

    async fn connect(&mut self) -> Result<Incoming, Error> {
        let LiveStreamRequest { client, url, .. } = &self.wanted;
        let mut request = PreparedRequest { headers: HeaderMap::new(), ..PreparedRequest::get(url.clone()) };
        request.header(ACCEPT, "text/event-stream")?;
        if let Some(position) = self.position {
            request.header(LAST_EVENT_ID, &position.to_string())?;
        }
        let answer: Response<Incoming> = client.attempt(&request, |http| client.transport().open(http)).await?;
        if !has_type(answer.headers(), "text/event-stream") {
            return Err(self.unexpected("it is no stream of events".to_owned()));
        }
        self.connected_at = Instant::now();
        Ok(answer.into_body())
    }

    fn unexpected(&self, reason: String) -> Error {
        let url = self.wanted.url.path().to_owned();
        Error::UnexpectedAnswer { url, status: StatusCode::OK, reason, retry_after: None }
    }
}
