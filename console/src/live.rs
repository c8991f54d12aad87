//! `GET /changes`: tells an open page that it may have become out of date. The page then asks for itself again, so whatever is shown has
//! come through the rules of that page, and nothing is rendered for nobody.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use access_control::Principal;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bounds::{CapacityShare, KeyedCapacity};
use bytes::Bytes;
use event_store::LogWakeUpReceiver;
use futures_util::stream;
use http::HeaderName;
use http::header::CONTENT_TYPE;
use problem::{Problem, ProblemType};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Console;
use crate::admission::Reader;

/// The most open pages of a process that are told: a quarter of the connections that the listener has.
const PAGES: usize = 32;
/// Of one reader: a browser has six connections to a server without HTTP/2, and needs some to ask for pages.
const PAGES_OF_READER: usize = 4;
/// A page is told at most once in this time.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// What a page shows changes without events, too: what waits gets older.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);
/// After this long the browser comes again, and its credential is looked at again.
const LIFETIME: Duration = Duration::from_secs(300);

/// The places of open pages.
pub(crate) struct OpenPages(KeyedCapacity<String>);

impl Default for OpenPages {
    fn default() -> Self {
        Self(KeyedCapacity::new(PAGES, PAGES_OF_READER))
    }
}

impl OpenPages {
    fn place(&self, reader: &Principal) -> Result<CapacityShare<String>, Problem> {
        let mut place = self.0.share(Some(reader.identity()));
        place.grow_to(1).map_err(|_| {
            Problem::new(ProblemType::TooManyStreams, "too many pages are live").retry_after(Duration::from_secs(30))
        })?;
        Ok(place)
    }
}

pub(crate) async fn changes(State(console): State<Console>, reader: Reader) -> Result<Response, Problem> {
    let console = &console.0;
    // Those who see nothing that follows are told nothing.
    reader.at("/sagas")?;
    let now = Instant::now();
    // A credential that is revoked is found out when the page asks for itself.
    let expires_in = reader.principal.expires_at().map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
    let page = OpenPage {
        log: console.store.log_changes(),
        told_at: now,
        tells_again: false,
        until: now + expires_in.map_or(LIFETIME, |expires_in| expires_in.min(LIFETIME)),
        stop: console.stop.clone(),
        _place: console.open_pages.place(&reader.principal)?,
    };
    let body = Body::from_stream(stream::unfold(page, OpenPage::next));
    // Without the second header nginx holds events back until its buffer is full.
    let headers = [(CONTENT_TYPE, "text/event-stream"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, body).into_response())
}

/// A page that is told of changes.
struct OpenPage {
    log: LogWakeUpReceiver,
    told_at: Instant,
    /// Whether it was told of an event that others may not have handled yet.
    tells_again: bool,
    until: Instant,
    stop: CancellationToken,
    _place: CapacityShare<String>,
}

impl OpenPage {
    /// `None`: its time is over, or the process stops.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.until_out_of_date()).await?;
        let now = Instant::now();
        self.told_at = now;
        // An event without data is none.
        (now < self.until).then(|| (Ok(Bytes::from_static(b"event: changed\ndata: \ndata: \n\n")), self))
    }

    async fn until_out_of_date(&mut self) {
        tokio::time::sleep_until(self.told_at + AT_MOST_EVERY).await;
        if std::mem::take(&mut self.tells_again) {
            return;
        }
        let due = self.told_at + AT_LEAST_EVERY;
        while Instant::now() < due && !self.tells_again {
            self.tells_again = self.log.wait().await;
        }
    }
}
