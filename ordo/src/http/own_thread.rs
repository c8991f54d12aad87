//! A listener that has a thread of its own.

use std::panic::resume_unwind;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use problem::{Problem, ProblemType};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{HttpSettings, LIVENESS, serve};

/// Serves `router` as [`serve`] does, on a thread of its own.
///
/// The threads that serve everything else may all be busy. Connections here are accepted all the same, and it is said that the process
/// is alive. Other requests are handed to the runtime that this was called on: a connection to the database belongs to the runtime that
/// opened it, and must not end with this thread.
pub async fn serve_on_own_thread(
    listener: TcpListener,
    router: Router,
    settings: impl Into<HttpSettings>,
    stop: CancellationToken,
) {
    let router = router.layer(from_fn_with_state(Handle::current(), hand_over));
    let settings = settings.into();
    let (end, ended) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("operate-http".to_owned()).spawn(move || {
        // Dropped with the thread, also if it panics.
        let _end = end;
        let served = Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener.into_std()?)?;
                serve(listener, router, settings, stop).await;
                Ok(())
            })
        });
        if let Err(error) = served {
            tracing::error!(%error, "a listener can't be served on a thread of its own");
        }
    });
    match thread {
        Ok(_) => drop(ended.await),
        Err(error) => tracing::error!(%error, "no thread for a listener"),
    }
}

async fn hand_over(State(runtime): State<Handle>, request: Request, next: Next) -> Response {
    if request.uri().path() == LIVENESS {
        return next.run(request).await;
    }
    // It ends with the request, also if the client goes away.
    let served = AbortOnDropHandle::new(runtime.spawn(next.run(request).in_current_span()));
    match served.await {
        Ok(answer) => answer,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Problem::new(ProblemType::Stopping, "the server is stopping").into_response(),
        },
    }
}
