//! Forms that browsers send, read within bounds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, HttpBody, to_bytes};
use problem::{Problem, ProblemType, within_body_time};
use tokio::sync::oneshot;

/// How many forms are read at the same time. A form comes with its request, so few are.
const READ_AT_ONCE: usize = 32;
/// More fields no form has.
const MOST_FIELDS: usize = 5_000;

/// Reads forms. When too many are on their way, the one that has been longest is given up, so that those who send nothing keep nobody
/// out: neither from the form nor from the listener's connections.
#[derive(Clone)]
pub(crate) struct FormReader {
    /// In bytes.
    longest: usize,
    places: Arc<Mutex<VecDeque<oneshot::Sender<()>>>>,
}

impl FormReader {
    pub(crate) fn new(longest: usize) -> Self {
        Self { longest, places: Arc::default() }
    }

    /// 408 if the form takes too long, 413 if it is too long, 503 if it was given up for others.
    pub(crate) async fn read(&self, body: Body) -> Result<Form, Problem> {
        let longest = self.longest;
        let too_long = || {
            let detail = format!("a form may have at most {longest} bytes");
            Problem::new(ProblemType::PayloadTooLarge, detail)
        };
        if body.size_hint().lower() > longest as u64 {
            return Err(too_long());
        }
        let given_up = self.begin();
        let read = within_body_time(async { to_bytes(body, longest).await.map_err(|_| too_long()) });
        tokio::select! {
            // A form that is there is taken.
            biased;
            bytes = read => Form::parse(&bytes?),
            _ = given_up => {
                let detail = "the form did not come in time, and others wait";
                Err(Problem::new(ProblemType::Overloaded, detail).retry_after(std::time::Duration::from_secs(1)))
            }
        }
    }

    /// A place among those that are read. It is told when it is given up.
    fn begin(&self) -> oneshot::Receiver<()> {
        let (give_up, given_up) = oneshot::channel();
        // Every change leaves it consistent.
        let mut read = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        read.retain(|place| !place.is_closed());
        if read.len() >= READ_AT_ONCE {
            read.pop_front();
        }
        read.push_back(give_up);
        given_up
    }
}

/// The fields of a form that was sent.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// 400 if it has more fields than any form.
    fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let fields = url::form_urlencoded::parse(bytes).into_owned().take(MOST_FIELDS + 1).collect::<Vec<_>>();
        if fields.len() > MOST_FIELDS {
            return Err(Problem::malformed(format!("a form may have {MOST_FIELDS} fields")));
        }
        Ok(Self(fields))
    }

    /// Its text; empty if it was not sent.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// All fields, as they were sent.
    pub(crate) fn all(&self) -> &[(String, String)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::LONGEST_SIGN_IN;

    /// A form that begins and never ends.
    fn silent() -> Body {
        Body::from_stream(stream::iter([Ok::<_, std::io::Error>("tok")]).chain(stream::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_that_does_not_come_is_answered() {
        let refused = FormReader::new(LONGEST_SIGN_IN).read(silent()).await.err().unwrap();
        assert_eq!(refused.status().as_u16(), 408);
    }

    #[tokio::test(start_paused = true)]
    async fn forms_that_do_not_come_keep_no_other_out() {
        let forms = FormReader::new(LONGEST_SIGN_IN);
        let mut silent_ones: Vec<_> = Vec::new();
        for _ in 0..READ_AT_ONCE {
            let forms = forms.clone();
            silent_ones.push(tokio::spawn(async move { forms.read(silent()).await.err().unwrap().status() }));
            tokio::task::yield_now().await;
        }
        let form = forms.read(Body::from("token=a&next=%2Forders")).await.ok().unwrap();
        assert_eq!((form.field("token"), form.field("next"), form.field("x")), ("a", "/orders", ""));
        // The first of them made room, and only that one.
        let mut ended = Vec::new();
        for silent in silent_ones {
            ended.push(silent.await.unwrap().as_u16());
        }
        assert_eq!((ended[0], &ended[1..]), (503, &[408; READ_AT_ONCE - 1][..]));
    }

    #[test]
    fn a_form_of_too_many_fields_is_refused_whatever_their_names() {
        assert!(Form::parse("&x".repeat(MOST_FIELDS).as_bytes()).is_ok());
        assert_eq!(Form::parse("x&".repeat(MOST_FIELDS + 1).as_bytes()).err().unwrap().status().as_u16(), 400);
    }

    #[tokio::test]
    async fn a_form_that_says_it_is_too_long_is_not_read() {
        let refused =
            FormReader::new(LONGEST_SIGN_IN).read(Body::from("x".repeat(LONGEST_SIGN_IN + 1))).await.err().unwrap();
        assert_eq!(refused.status().as_u16(), 413);
    }
}
