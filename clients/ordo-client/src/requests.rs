//! Requests that are sent when they are awaited.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt, stream};
use http::header::{CONTENT_TYPE, HeaderName, IF_MATCH};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;
use uuid::Uuid;

use crate::client::{IDEMPOTENCY_KEY, PreparedRequest};
use crate::{Client, Error, Page};

type Sent<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Something to be changed; await it to send it.
#[must_use = "it is sent when it is awaited"]
#[derive(Debug)]
pub struct Command<T> {
    client: Client,
    request: Result<PreparedRequest, Error>,
    answer: PhantomData<fn() -> T>,
}

impl<T> Command<T> {
    /// A POST under a fresh key.
    pub(crate) fn post(client: &Client, segments: &[&str], body: Option<&impl Serialize>) -> Self {
        Self::unkeyed(client, Method::POST, segments, body).idempotency_key(&Uuid::now_v7().to_string())
    }

    /// A PUT under a fresh key.
    pub(crate) fn put(client: &Client, segments: &[&str], body: Option<&impl Serialize>) -> Self {
        Self::unkeyed(client, Method::PUT, segments, body).idempotency_key(&Uuid::now_v7().to_string())
    }

    /// A request without a key. It is sent again only if it was not carried out for sure.
    pub(crate) fn unkeyed(client: &Client, method: Method, segments: &[&str], body: Option<&impl Serialize>) -> Self {
        let request = json(body).map(|bytes| PreparedRequest {
            method,
            url: client.url(segments),
            headers: HeaderMap::new(),
            body: bytes.unwrap_or_default(),
            is_idempotent: false,
        });
        let mut command = Self { client: client.clone(), request, answer: PhantomData };
        if body.is_some() {
            command = command.header(CONTENT_TYPE, "application/json");
        }
        command
    }

    /// The body's own id makes it idempotent.
    pub(crate) fn identified(mut self) -> Self {
        if let Ok(request) = &mut self.request {
            request.is_idempotent = true;
        }
        self
    }

    /// The key under which it is carried out once, of 1 to 255 printable ASCII characters. Give your own, and keep it, to send the
    /// command again later if its outcome is [not known](Error::is_outcome_unknown).
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header(IDEMPOTENCY_KEY, key).identified()
    }

    /// Only if the order or the SKU is still at this version; otherwise it is refused with `precondition-failed`.
    pub fn if_version(self, version: i64) -> Self {
        self.header(IF_MATCH, &format!("\"{version}\""))
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.request = self.request.and_then(|mut request| request.header(name, value).map(|()| request));
        self
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for Command<T> {
    type Output = Result<T, Error>;
    type IntoFuture = Sent<T>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let request = self.request?;
            let answer = self.client.send(&request).await?;
            // An answer without content is for commands that answer nothing.
            let parsed = match answer.status {
                StatusCode::NO_CONTENT => {
                    serde_json::from_str("null").map_err(|error| Error::InvalidRequest(error.to_string()))
                }
                _ => answer.parse(),
            };
            parsed.map_err(|error| request.outcome_unknown(error))
        })
    }
}

/// A GET request; await it to send it.
#[must_use = "it is asked when it is awaited"]
#[derive(Debug)]
pub struct ReadRequest<T> {
    client: Client,
    url: Url,
    answer: PhantomData<fn() -> T>,
}

impl<T> ReadRequest<T> {
    pub(crate) fn new(client: &Client, segments: &[&str]) -> Self {
        Self { client: client.clone(), url: client.url(segments), answer: PhantomData }
    }

    pub(crate) fn parameter(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Answered once the read model has passed this position: that of an [accepted](crate::AcceptedCommand) command, to see what it did.
    pub fn min_position(self, position: i64) -> Self {
        self.parameter("minPosition", &position.to_string())
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for ReadRequest<T> {
    type Output = Result<T, Error>;
    type IntoFuture = Sent<T>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.client.send(&PreparedRequest::get(self.url)).await?.parse() })
    }
}

/// A question whose answer comes in pages.
#[must_use = "it is asked page by page, or as a stream"]
#[derive(Debug, Clone)]
pub struct PagedQuery<T> {
    client: Client,
    url: Url,
    answer: PhantomData<fn() -> T>,
}

impl<T> PagedQuery<T> {
    pub(crate) fn new(client: &Client, segments: &[&str]) -> Self {
        Self { client: client.clone(), url: client.url(segments), answer: PhantomData }
    }

    pub(crate) fn parameter(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// How many items a page has at the most, from 1 to 200.
    pub fn limit(self, limit: u16) -> Self {
        self.parameter("limit", &limit.to_string())
    }

    /// Answered once the read model has passed this position.
    pub fn min_position(self, position: i64) -> Self {
        self.parameter("minPosition", &position.to_string())
    }
}

impl<T: DeserializeOwned + Send + 'static> PagedQuery<T> {
    /// The first page, or the one at the cursor of the page before. A page can be empty although there are more.
    pub async fn page(&self, cursor: Option<&str>) -> Result<Page<T>, Error> {
        let mut url = self.url.clone();
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let page: Page<T> = self.client.send(&PreparedRequest::get(url)).await?.parse()?;
        // A server that sends the client in circles would never let it go.
        if page.cursor.is_some() && page.cursor.as_deref() == cursor {
            let (url, reason) = (self.url.path().to_owned(), "its cursor leads to the same page".to_owned());
            return Err(Error::UnexpectedAnswer { url, status: StatusCode::OK, reason, retry_after: None });
        }
        Ok(page)
    }

    /// All items, page by page as they are taken. After an error it ends.
    pub fn stream(self) -> impl Stream<Item = Result<T, Error>> + Send + 'static {
        enum At {
            Start,
            Cursor(String),
            End,
        }
        let pages = stream::try_unfold((self, At::Start), |(list, at)| async move {
            let page = match &at {
                At::Start => list.page(None).await?,
                At::Cursor(cursor) => list.page(Some(cursor)).await?,
                At::End => return Ok(None),
            };
            let next = page.cursor.map_or(At::End, At::Cursor);
            Ok::<_, Error>(Some((stream::iter(page.items.into_iter().map(Ok)), (list, next))))
        });
        pages.try_flatten()
    }
}

fn json(body: Option<&impl Serialize>) -> Result<Option<Bytes>, Error> {
    let written = body.map(serde_json::to_vec).transpose();
    let written = written.map_err(|error| Error::InvalidRequest(format!("the body can't be written: {error}")))?;
    Ok(written.map(Bytes::from))
}
