//! Which orders a list has, in which order, and the index that finds them.

use chrono::{DateTime, Utc};
use domain::email::EmailAddress;
use domain::ids::{CustomerId, OrderId, Sku};
use domain::money::Currency;
use domain::order::{FulfilmentStatus, OrderStatus, PaymentStatus, ReturnsStatus};
use read_models::{Index, SortOrder, Words};
use serde::Serialize;

use super::rows::{DetailsRow, OrderRow};
use super::sort::{OrderSort, SortedBy};
use super::{customer, in_exchange, of_status, with_email, with_number, with_sku, with_tag, with_total};
use crate::keys::{shards, sortable, sortable_amount, status_name};

/// Orders that fulfil every condition given here, and how they are sorted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct OrderFilter {
    /// Capitals make no difference.
    pub(super) order_number: Option<String>,
    /// In exchange for goods of this order.
    pub(super) exchange_for: Option<OrderId>,
    pub(super) customer: Option<CustomerId>,
    /// Capitals make no difference.
    pub(super) email: Option<EmailAddress>,
    pub(super) sku: Option<Sku>,
    pub(super) status: Option<OrderStatus>,
    /// Whether they are held.
    pub(super) held: Option<bool>,
    pub(super) payment_status: Option<PaymentStatus>,
    pub(super) fulfilment_status: Option<FulfilmentStatus>,
    pub(super) returns_status: Option<ReturnsStatus>,
    pub(super) tag: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) source: Option<String>,
    pub(super) currency: Option<Currency>,
    /// In minor units of the currency, included.
    pub(super) total_from: Option<i64>,
    /// In minor units of the currency, included.
    pub(super) total_to: Option<i64>,
    /// Of its words one begins with each of these.
    pub(super) words: Option<Words>,
    /// Created then or later.
    pub(super) from: Option<DateTime<Utc>>,
    /// Created before.
    pub(super) to: Option<DateTime<Utc>>,
    /// `None`: by status alone, those that have had it for the shortest time come first, and otherwise the newest.
    pub(super) sort: Option<OrderSort>,
}

/// How to find the orders. Of all ways in the wanted order it is the one that is expected to read the fewest others.
#[derive(Debug)]
pub(super) enum AccessPath {
    /// Scan partitions of an index within bounds of the sort key. The other conditions are checked against each order.
    Index {
        index: Index,
        partitions: Vec<String>,
        /// The index has parts of orders, such as lines, and the orders are wanted.
        parts: bool,
        from: Option<String>,
        until: Option<String>,
        direction: SortOrder,
    },
    /// Take those that have the words, if they are not too many.
    ByWords(SortOrder),
    /// Scan the orders of one day after the other.
    ByDay(SortOrder),
    /// Go along the log. Each order comes at the place of its last event.
    ByLog(SortOrder),
}

impl OrderFilter {
    /// Two filters have the same name only if they are equal. A cursor is bound to it.
    pub(super) fn name(&self) -> String {
        let Self {
            order_number,
            exchange_for,
            customer,
            email,
            sku,
            status,
            held,
            payment_status,
            fulfilment_status,
            returns_status,
            tag,
            channel,
            source,
            currency,
            total_from,
            total_to,
            words,
            from,
            to,
            sort,
        } = self;
        let parts = [
            ("orderNumber", order_number.as_deref().map(|number| escaped(&folded_text(number)))),
            ("exchangeFor", exchange_for.as_ref().map(ToString::to_string)),
            ("customerId", customer.as_ref().map(ToString::to_string)),
            ("email", email.as_ref().map(|email| escaped(&folded(email)))),
            ("sku", sku.as_ref().map(|sku| escaped(sku.as_str()))),
            ("status", status.map(|status| status_name(status).to_owned())),
            ("held", held.map(|held| held.to_string())),
            ("paymentStatus", payment_status.map(json)),
            ("fulfilmentStatus", fulfilment_status.map(json)),
            ("returnsStatus", returns_status.map(json)),
            ("tag", tag.as_deref().map(escaped)),
            ("channel", channel.as_deref().map(escaped)),
            ("source", source.as_deref().map(escaped)),
            ("currency", currency.map(|currency| currency.code().to_owned())),
            ("totalFrom", total_from.map(|minor| minor.to_string())),
            ("totalTo", total_to.map(|minor| minor.to_string())),
            ("q", words.as_ref().map(|words| words.iter().collect::<Vec<_>>().join("+"))),
            ("from", from.map(sortable)),
            ("to", to.map(sortable)),
            ("sort", sort.map(|sort| sort.name().to_owned())),
        ];
        // No value has a space in it.
        parts.into_iter().fold("orders".to_owned(), |name, (part, value)| match value {
            Some(value) => format!("{name} {part}={value}"),
            None => name,
        })
    }

    /// Whether the order fulfils every condition but those on its details and its words.
    pub(super) fn matches(&self, order: &OrderRow) -> bool {
        let total = |minor: Option<i64>, within: fn(i64, i64) -> bool| {
            minor.is_none_or(|bound| order.total_minor().is_some_and(|total| within(total, bound)))
        };
        let has_number = |wanted: &String| {
            order.order_number.as_deref().is_some_and(|number| folded_text(number) == folded_text(wanted))
        };
        self.order_number.as_ref().is_none_or(has_number)
            && self.customer.as_ref().is_none_or(|customer| order.customer_id.as_deref() == Some(customer.as_str()))
            && self.email.as_ref().is_none_or(|email| order.customer_email.as_ref().map(folded) == Some(folded(email)))
            && self.status.is_none_or(|status| order.status == status)
            && self.held.is_none_or(|held| order.is_held() == held)
            && self.payment_status.is_none_or(|status| order.payment_status == status)
            && self.fulfilment_status.is_none_or(|status| order.fulfilment_status == status)
            && self.returns_status.is_none_or(|status| order.returns_status == status)
            && self.currency.is_none_or(|currency| order.currency() == currency)
            && total(self.total_from, |total, from| total >= from)
            && total(self.total_to, |total, to| total <= to)
            && self.from.is_none_or(|from| order.created_at >= from)
            && self.to.is_none_or(|to| order.created_at < to)
            && self.sku.as_ref().is_none_or(|sku| order.has_line_of(sku))
    }

    /// Whether there are conditions on an order's details, which are in a row of their own.
    pub(super) fn asks_for_details(&self) -> bool {
        self.tag.is_some() || self.channel.is_some() || self.source.is_some() || self.exchange_for.is_some()
    }

    /// Whether the order with these details fulfils the conditions on them. `None`: it has none.
    pub(super) fn matches_details(&self, details: Option<&DetailsRow>) -> bool {
        let Some(details) = details else { return !self.asks_for_details() };
        let exchange = details.exchange_for.as_ref().map(|exchange| exchange.order_id.as_str());
        self.tag.as_ref().is_none_or(|tag| details.tags.contains(tag))
            && self.channel.as_ref().is_none_or(|channel| details.channel.as_ref() == Some(channel))
            && self.source.as_ref().is_none_or(|source| details.source.as_ref() == Some(source))
            && self.exchange_for.as_ref().is_none_or(|order_id| exchange == Some(order_id.as_str()))
    }

    /// A number has one order, and few are in exchange for another. A customer has fewer orders than a tag, a tag fewer than a SKU, and a SKU fewer than a status.
    pub(super) fn access_path(&self) -> AccessPath {
        // A customer has fewer orders than most words, and words are in no other order than that of creation.
        let is_by_created = self.sort.is_none_or(|sort| sort.by == SortedBy::Created);
        if self.words.is_some()
            && self.order_number.is_none()
            && self.exchange_for.is_none()
            && self.customer.is_none()
            && self.email.is_none()
            && is_by_created
        {
            return AccessPath::ByWords(self.direction());
        }
        self.access_path_beside_words()
    }

    fn direction(&self) -> SortOrder {
        self.sort.map_or(SortOrder::Descending, |sort| sort.direction)
    }

    /// How to find the orders where too many have the words.
    pub(super) fn access_path_beside_words(&self) -> AccessPath {
        let direction = self.direction();
        match (self.sort.map(|sort| sort.by), self.currency) {
            (Some(SortedBy::Updated), _) => return AccessPath::ByLog(direction),
            (Some(SortedBy::Total), Some(currency)) => return self.by_total(currency, direction),
            (Some(SortedBy::Total | SortedBy::Created) | None, _) => {}
        }
        let (from, to) = (self.from.map(sortable), self.to.map(sortable));
        let by_index =
            |index, partitions, parts, until| AccessPath::Index { index, partitions, parts, from, until, direction };
        match self {
            Self { order_number: Some(number), .. } => {
                by_index(Index::Gsi1, vec![with_number(&folded_text(number))], true, to)
            }
            Self { exchange_for: Some(order_id), .. } => {
                by_index(Index::Gsi1, vec![in_exchange(order_id.as_str())], true, to)
            }
            Self { customer: Some(id), .. } => by_index(Index::Gsi1, vec![customer(id.as_str())], false, to),
            Self { email: Some(email), .. } => by_index(Index::Gsi2, vec![with_email(&folded(email))], true, to),
            Self { tag: Some(tag), .. } => by_index(Index::Gsi1, vec![with_tag(tag)], true, to),
            Self { sku: Some(sku), .. } => by_index(Index::Gsi1, vec![with_sku(sku.as_str())], true, to),
            // `from` bounds the index, as no order got its status before it was created. `to` does not: it may have got
            // it later.
            Self { status: Some(status), sort: None, words: None, .. } => {
                by_index(Index::Gsi2, shards(&of_status(*status)), false, None)
            }
            Self { .. } => AccessPath::ByDay(direction),
        }
    }

    fn by_total(&self, currency: Currency, direction: SortOrder) -> AccessPath {
        AccessPath::Index {
            index: Index::Gsi3,
            partitions: shards(&with_total(currency)),
            parts: true,
            from: self.total_from.map(sortable_amount),
            until: self.total_to.and_then(|to| to.checked_add(1)).map(sortable_amount),
            direction,
        }
    }
}

/// An address without the difference of capitals and small letters.
pub(super) fn folded(email: &EmailAddress) -> String {
    folded_text(email.as_str())
}

/// A text likewise.
pub(super) fn folded_text(text: &str) -> String {
    text.to_lowercase()
}

/// A space would end the value.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace(' ', "%20")
}

/// The name of a status.
fn json(status: impl Serialize) -> String {
    // Statuses always serialize.
    serde_json::to_string(&status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn filters() -> Vec<OrderFilter> {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        let mut filters = Vec::new();
        for n in 0..(1 << 18) {
            let given = |bit: u32| n & (1 << bit) != 0;
            let text = |bit: u32| given(bit).then(|| "same".to_owned());
            filters.push(OrderFilter {
                order_number: text(16),
                exchange_for: given(17).then(|| OrderId::parse("same").unwrap()),
                customer: given(0).then(|| CustomerId::parse("same").unwrap()),
                sku: given(1).then(|| Sku::parse("same").unwrap()),
                status: given(2).then_some(OrderStatus::Confirmed),
                held: given(15).then_some(true),
                from: at(1_700_000_000).filter(|_| given(3)),
                to: at(1_700_000_000).filter(|_| given(4)),
                email: given(5).then(|| EmailAddress::parse("same@example.com").unwrap()),
                payment_status: given(6).then_some(PaymentStatus::None),
                fulfilment_status: given(7).then_some(FulfilmentStatus::None),
                returns_status: given(8).then_some(ReturnsStatus::None),
                tag: text(9),
                channel: text(10),
                source: text(11),
                currency: given(12).then(|| Currency::parse("EUR").unwrap()),
                total_from: given(13).then_some(1),
                total_to: given(14).then_some(1),
                words: None,
                sort: None,
            });
        }
        filters
    }

    fn sorted(sort: &str) -> OrderFilter {
        OrderFilter { sort: Some(OrderSort::parse(sort).unwrap()), ..OrderFilter::default() }
    }

    #[test]
    fn no_two_filters_have_the_same_name() {
        let mut filters = filters();
        filters.push(OrderFilter { held: Some(false), ..OrderFilter::default() });
        filters.push(OrderFilter { status: Some(OrderStatus::Pending), ..OrderFilter::default() });
        filters.push(OrderFilter { customer: Some(CustomerId::parse("other").unwrap()), ..OrderFilter::default() });
        for text in ["same status=confirmed", "same%20status=confirmed", "same%2520status=confirmed"] {
            filters.push(OrderFilter { sku: Some(Sku::parse(text).unwrap()), ..OrderFilter::default() });
            filters.push(OrderFilter { tag: Some(text.to_owned()), ..OrderFilter::default() });
            filters.push(OrderFilter { source: Some(text.to_owned()), ..OrderFilter::default() });
        }
        for words in [&["a", "b"][..], &["ab"], &["a"]] {
            filters.push(OrderFilter { words: Some(words.iter().collect()), ..OrderFilter::default() });
        }
        filters.extend(["created", "-created", "updated", "-updated", "total", "-total"].map(sorted));
        let names: HashSet<String> = filters.iter().map(OrderFilter::name).collect();
        assert_eq!(names.len(), filters.len());
    }

    #[test]
    fn the_access_path_is_the_one_that_reads_the_fewest_orders() {
        for filter in filters() {
            let expected = match &filter {
                OrderFilter { order_number: Some(_), .. } => "NUMBER#same",
                OrderFilter { exchange_for: Some(_), .. } => "EXCHANGE#same",
                OrderFilter { customer: Some(_), .. } => "CUSTOMER#same",
                OrderFilter { email: Some(_), .. } => "EMAIL#same@example.com",
                OrderFilter { tag: Some(_), .. } => "TAG#same",
                OrderFilter { sku: Some(_), .. } => "SKU#same",
                OrderFilter { status: Some(_), .. } => "STATUS#confirmed#0",
                OrderFilter { .. } => "",
            };
            let path = match filter.access_path() {
                AccessPath::Index { partitions, .. } => partitions[0].clone(),
                AccessPath::ByDay(_) => String::new(),
                AccessPath::ByWords(_) | AccessPath::ByLog(_) => panic!("{filter:?}"),
            };
            assert_eq!(path, expected, "{filter:?}");
        }
    }

    #[test]
    fn words_are_looked_up_unless_something_else_finds_fewer_orders_or_the_order_is_another() {
        let words: Option<Words> = Some(["a"].into_iter().collect());
        let currency = Some(Currency::parse("EUR").unwrap());
        for filter in filters().into_iter().step_by(97) {
            let by_other = filter.order_number.is_some()
                || filter.exchange_for.is_some()
                || filter.customer.is_some()
                || filter.email.is_some();
            let with_words = OrderFilter { words: words.clone(), ..filter };
            assert_eq!(matches!(with_words.access_path(), AccessPath::ByWords(_)), !by_other, "{with_words:?}");
        }
        for sort in ["updated", "-total"] {
            let path = OrderFilter { words: words.clone(), currency, ..sorted(sort) }.access_path();
            assert!(!matches!(path, AccessPath::ByWords(_)), "{sort}");
        }
    }

    #[test]
    fn a_sort_has_the_index_that_is_in_its_order() {
        assert!(matches!(sorted("updated").access_path(), AccessPath::ByLog(SortOrder::Ascending)));
        assert!(matches!(sorted("-updated").access_path(), AccessPath::ByLog(SortOrder::Descending)));
        let by_status = OrderFilter { status: Some(OrderStatus::Pending), ..sorted("created") };
        assert!(matches!(by_status.access_path(), AccessPath::ByDay(SortOrder::Ascending)));
        let by_total = OrderFilter {
            currency: Some(Currency::parse("EUR").unwrap()),
            total_from: Some(5),
            total_to: Some(i64::MAX),
            ..sorted("total")
        };
        let AccessPath::Index { partitions, from, until, .. } = by_total.access_path() else { panic!("by index") };
        assert_eq!(partitions[0], "TOTAL#EUR#0");
        assert_eq!((from.as_deref(), until), (Some("0000000000000000005"), None));
    }
}
