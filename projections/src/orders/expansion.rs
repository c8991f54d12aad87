//! `expand`: what comes with an order, or with each order of a list, so that a client need not ask for it on its own.
//!
//! What comes is what the route of its own answers, to those who may ask that route.

use access_control::AuthorizedCaller;
use domain::ids::OrderId;
use problem::Problem;

use super::collections::OrderPart;
use super::view::OrderView;
use crate::reads::ReadRouteState;
use crate::timeline::{self, LONGEST_PAGE};

/// The longest report on sagas that comes with an order. A longer one is at `/orders/{id}/saga` alone.
const LONGEST_REPORT: usize = 1 << 20;

/// Something that can come with an answer.
pub(super) trait Expansion: Copy + PartialEq + 'static {
    /// Its name in `expand`, which is that of the field in the answer.
    fn name(self) -> &'static str;

    /// The route that answers it on its own.
    fn own_route(self) -> &'static str;
}

/// What can come with `GET /orders/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderExpansion {
    Events,
    Saga,
}

impl OrderExpansion {
    /// Those that this process has.
    pub(super) fn known(reads: &ReadRouteState) -> &'static [Self] {
        if reads.sagas.is_some() { &[Self::Events, Self::Saga] } else { &[Self::Events] }
    }
}

impl Expansion for OrderExpansion {
    fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Saga => "saga",
        }
    }

    fn own_route(self) -> &'static str {
        match self {
            Self::Events => "/orders/{order_id}/events",
            Self::Saga => "/orders/{order_id}/saga",
        }
    }
}

/// The expansions that a parameter names, each once.
pub(super) fn parse<E: Expansion>(text: &str, known: &[E]) -> Result<Vec<E>, String> {
    let mut wanted = Vec::new();
    for name in text.split(',') {
        let Some(expansion) = known.iter().copied().find(|expansion| expansion.name() == name) else {
            let known = known.iter().map(|expansion| expansion.name()).collect::<Vec<_>>().join(", ");
            return Err(format!("must be one of {known}, or several with commas between them"));
        };
        if !wanted.contains(&expansion) {
            wanted.push(expansion);
        }
    }
    Ok(wanted)
}

/// Refuses what the caller may not ask for on its own.
pub(super) fn check<E: Expansion>(wanted: &[E], caller: &AuthorizedCaller) -> Result<(), Problem> {
    wanted.iter().try_for_each(|expansion| caller.check_may_read(expansion.own_route()))
}

/// Adds to an order what was asked for. It is read after the order, so it is never behind it.
pub(super) async fn expand(
    reads: &ReadRouteState,
    order_id: &OrderId,
    view: &mut OrderView,
    wanted: &[OrderExpansion],
) -> Result<(), Problem> {
    for expansion in wanted {
        match (expansion, &reads.sagas) {
            (OrderExpansion::Events, _) => {
                view.events = timeline::page(reads, order_id.as_str(), 0, LONGEST_PAGE).await?;
            }
            (OrderExpansion::Saga, None) => {}
            (OrderExpansion::Saga, Some(sagas)) => match sagas.read(order_id).await? {
                Some(report) if report.get().len() > LONGEST_REPORT => view.more.push(OrderExpansion::Saga.name()),
                report => view.saga = report,
            },
        }
    }
    Ok(())
}

impl Expansion for OrderPart {
    fn name(self) -> &'static str {
        match self {
            // `notes` are the customer's own words.
            Self::Notes => "addedNotes",
            Self::Lines | Self::Shipments | Self::Cancellations | Self::Returns | Self::Refunds | Self::Mails => {
                Self::name(self)
            }
        }
    }

    fn own_route(self) -> &'static str {
        match self {
            Self::Lines => "/orders/{order_id}",
            Self::Shipments => "/orders/{order_id}/shipments",
            Self::Cancellations => "/orders/{order_id}/cancellations",
            Self::Returns => "/orders/{order_id}/returns",
            Self::Refunds => "/orders/{order_id}/refunds",
            Self::Notes => "/orders/{order_id}/notes",
            Self::Mails => "/orders/{order_id}/mails",
        }
    }
}

#[cfg(test)]
mod tests {
    use access_control::{Redaction, Role, Route};

    use super::*;

    const OF_ORDERS: [OrderExpansion; 2] = [OrderExpansion::Events, OrderExpansion::Saga];

    #[test]
    fn names_are_read_with_commas_between_them() {
        assert_eq!(parse("saga,events,saga", &OF_ORDERS), Ok(vec![OrderExpansion::Saga, OrderExpansion::Events]));
        assert_eq!(parse("addedNotes", &OrderPart::ALL), Ok(vec![OrderPart::Notes]));
        for text in ["", "saga,", "Saga", "saga events", "notes", "saga,lines"] {
            let error = parse(text, &OF_ORDERS).unwrap_err();
            assert!(error.starts_with("must be one of events, saga"), "{text}: {error}");
        }
    }

    /// Answers are redacted by the grant of the route that was asked.
    #[test]
    fn who_may_ask_for_something_on_its_own_sees_the_same_of_it_with_an_order() {
        let grant = |path, role| Route::find("GET", path).unwrap().grant(role);
        let of_lists = OrderPart::ALL.map(|part| ("/orders", part.own_route()));
        let of_orders = OF_ORDERS.map(|expansion| ("/orders/{order_id}", expansion.own_route()));
        for (path, own) in of_lists.into_iter().chain(of_orders) {
            for role in Role::ALL {
                let Some(granted) = grant(own, role) else { continue };
                assert_eq!(grant(path, role).map(Redaction::of), Some(Redaction::of(granted)), "{role}: {own}");
            }
        }
        for role in Role::ALL {
            assert_eq!(grant("/orders", role), grant("/customers/{customer_id}/orders", role));
        }
    }
}
