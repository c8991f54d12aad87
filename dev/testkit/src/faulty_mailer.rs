//! An SES endpoint that misbehaves when asked to.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use embedded::{
    inbox::{self, Mailbox, Message},
    loopback::{self, Server},
};
use http::{Request, StatusCode};
use hyper::{body::Incoming, service::Service};
use hyper_util::service::TowerToHyperService;
use serde_json::json;

/// How to meet a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// Take the mail and say so.
    Accept,
    /// Too many requests: 429, `TooManyRequestsException`.
    Throttle,
    /// The account's sending is paused: 400, `SendingPausedException`.
    Pause,
    /// The mail's content is refused: 400, `MessageRejected`.
    Reject,
    /// The service is broken: 500, `InternalFailure`.
    Break,
    /// Take the mail and drop the connection before the answer: the sender cannot know.
    AcceptAndHangUp,
    /// Drop the connection without taking the mail: the sender cannot know either.
    HangUp,
    /// Take the mail, and say so only after this long.
    AcceptAfter(Duration),
}

/// An SES endpoint that answers as the test says. Stops when dropped.
#[derive(Debug)]
pub struct FaultyMailer {
    server: Server,
    plan: Arc<Plan>,
    mailbox: Mailbox,
}

#[derive(Debug)]
struct Plan {
    /// For the next requests, one each.
    next: Mutex<VecDeque<Response>>,
    /// For all others.
    usual: Mutex<Response>,
    requests: AtomicU64,
}

impl FaultyMailer {
    /// Starts on a free port, accepting everything.
    pub async fn start() -> Self {
        let listening = loopback::listen(([127, 0, 0, 1], 0).into()).await.expect("an SES endpoint for the test");
        let mailbox = Mailbox::default();
        let plan =
            Arc::new(Plan { next: Mutex::default(), usual: Mutex::new(Response::Accept), requests: AtomicU64::new(0) });
        let inbox = TowerToHyperService::new(inbox::router(mailbox.clone()));
        let service = {
            let plan = Arc::clone(&plan);
            hyper::service::service_fn(move |request| respond(plan.take(), inbox.clone(), request))
        };
        let server = Server::start(listening, service);
        Self { server, plan, mailbox }
    }

    /// The endpoint's URL, for [`crate::ses_client`].
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Meets every request this way from now on, after those planned with [`FaultyMailer::next`].
    pub fn always(&self, response: Response) {
        *lock(&self.plan.usual) = response;
    }

    /// Meets the next `count` requests this way, after those planned before.
    pub fn next(&self, count: usize, response: Response) {
        lock(&self.plan.next).extend(std::iter::repeat_n(response, count));
    }

    /// How many requests came, whatever became of them.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.plan.requests.load(Ordering::SeqCst)
    }

    /// How many mails were taken, those whose sender was not told included.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.mailbox.accepted()
    }

    /// The mails that were taken, newest first.
    #[must_use]
    pub fn messages(&self) -> Vec<Arc<Message>> {
        self.mailbox.newest(usize::MAX)
    }

    /// Stops the endpoint: from here on, connections are refused.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl Plan {
    fn take(&self) -> Response {
        self.requests.fetch_add(1, Ordering::SeqCst);
        lock(&self.next).pop_front().unwrap_or_else(|| *lock(&self.usual))
    }
}

type Answer = http::Response<Body>;

/// An error here makes the server drop the connection without an answer.
async fn respond(
    response: Response,
    inbox: TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> Result<Answer, io::Error> {
    let accept = || async { inbox.call(request).await.map_err(|never: Infallible| match never {}) };
    match response {
        Response::Accept => accept().await,
        Response::Throttle => {
            Ok(refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Maximum sending rate exceeded."))
        }
        Response::Pause => {
            Ok(refusal(StatusCode::BAD_REQUEST, "SendingPausedException", "Sending is paused for this account."))
        }
        Response::Reject => Ok(refusal(StatusCode::BAD_REQUEST, "MessageRejected", "Email address is not verified.")),
        Response::Break => Ok(refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailure",
            "The request processing has failed because of an unknown error.",
        )),
        Response::AcceptAndHangUp => {
            accept().await?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Response::HangUp => Err(io::ErrorKind::ConnectionReset.into()),
        Response::AcceptAfter(delay) => {
            let answer = accept().await;
            tokio::time::sleep(delay).await;
            answer
        }
    }
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Answer {
    http::Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("x-amzn-errortype", kind)
        .body(Body::from(json!({ "message": message }).to_string()))
        .expect("a valid response")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use aws_sdk_sesv2::{
        Error,
        error::ProvideErrorMetadata,
        types::{Body, Content, Destination, EmailContent, Message},
    };

    use super::*;

    async fn send(mailer: &FaultyMailer) -> Result<(), Error> {
        let text = |data| Content::builder().data(data).build().unwrap();
        let body = Body::builder().text(text("Thanks!")).build();
        let message = Message::builder().subject(text("Your order")).body(body).build();
        crate::ses_client(&mailer.url())
            .send_email()
            .from_email_address("shop@example.com")
            .destination(Destination::builder().to_addresses("ann@example.com").build())
            .content(EmailContent::builder().simple(message).build())
            .send()
            .await?;
        Ok(())
    }

    #[tokio::test]
    async fn refusals_are_what_the_sdk_knows_them_as() {
        let mailer = FaultyMailer::start().await;
        mailer.next(1, Response::Throttle);
        assert!(matches!(send(&mailer).await, Err(Error::TooManyRequestsException(_))));
        mailer.next(1, Response::Pause);
        assert!(matches!(send(&mailer).await, Err(Error::SendingPausedException(_))));
        mailer.next(1, Response::Reject);
        assert!(matches!(send(&mailer).await, Err(Error::MessageRejected(_))));
        mailer.next(1, Response::Break);
        assert_eq!(send(&mailer).await.unwrap_err().code(), Some("InternalFailure"));
        assert_eq!((mailer.requests(), mailer.accepted()), (4, 0));
        send(&mailer).await.unwrap();
        assert_eq!((mailer.requests(), mailer.accepted()), (5, 1));
    }

    #[tokio::test]
    async fn a_mail_may_be_taken_without_the_sender_knowing() {
        let mailer = FaultyMailer::start().await;
        mailer.always(Response::AcceptAndHangUp);
        assert!(send(&mailer).await.is_err());
        assert_eq!(mailer.messages()[0].to, ["ann@example.com"]);

        mailer.always(Response::HangUp);
        assert!(send(&mailer).await.is_err());
        assert_eq!((mailer.requests(), mailer.accepted()), (2, 1));
    }

    #[tokio::test]
    async fn plans_are_followed_in_order() {
        let mailer = FaultyMailer::start().await;
        mailer.always(Response::Reject);
        mailer.next(2, Response::Accept);
        mailer.next(1, Response::AcceptAfter(Duration::from_millis(1)));
        let mut taken = Vec::new();
        for _ in 0..5 {
            taken.push(send(&mailer).await.is_ok());
        }
        assert_eq!(taken, [true, true, true, false, false]);
    }
}
