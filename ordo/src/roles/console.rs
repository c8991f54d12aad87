//! The console, with what goes around its pages.

use axum::Router;
use axum::middleware::from_fn_with_state;
use ordo_console::{Console, ConsoleSources, admit, show_problems, use_session};
use problem::AllowedHosts;

use crate::http::RequestRateLimiter;

/// The pages of the console, under the same limits and rules about hosts and other sites as the operate listener.
pub(super) fn pages(sources: ConsoleSources, hosts: AllowedHosts, rates: &RequestRateLimiter) -> Router {
    let console = Console::new(sources);
    console.routes().layer((
        // The first layer is the outer one.
        from_fn_with_state(console.clone(), show_problems),
        hosts,
        from_fn_with_state(console.clone(), use_session),
        rates.per_address(),
        from_fn_with_state(console, admit),
        rates.per_principal(),
    ))
}
