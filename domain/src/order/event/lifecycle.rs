//! The order as a whole: created, numbered, confirmed, rejected, cancelled.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Address, CustomerDetails, Discount, OrderPayment, Shipping, Shortage, Tax, UnitMismatch};
use crate::email::EmailAddress;
use crate::ids::{CustomerId, OrderId, PaymentToken, ReturnId, Sku};
use crate::json_text::JsonObjectText;
use crate::money::{Currency, Money};
use crate::order::amounts::clamped;
use crate::order::import::IMPORT_SOURCE;
use crate::quantity::UnitOfMeasure;
use crate::unit_price::UnitPrice;

/// What the customer ordered. Amounts are minor units of `currency`. The parts come to `total_minor`: see
/// [`OrderTotals`](crate::order::OrderTotals).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderCreated {
    /// Who ordered. `None`: a guest, whom `customer_email` reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// The one currency of all its amounts.
    pub currency: Currency,
    /// What the customer owes.
    pub total_minor: i64,
    /// The lines, in the order in which they were posted. Never empty.
    pub lines: Vec<OrderLine>,
    /// Where its mails go. Without it they go to the shop's own recipient.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_email: Option<EmailAddress>,
    /// The payment provider's token for the customer's means of payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_token: Option<PaymentToken>,
    /// What the customer wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The shop's own data, kept to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObjectText>,
    /// When the customer ordered, if the shop says so. The time of this event is when the platform accepted the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_at: Option<DateTime<Utc>>,
    /// What the shop says of the customer beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<Box<CustomerDetails>>,
    /// Where the bill goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Box<Address>>,
    /// Where the goods go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Box<Address>>,
    /// How the goods go there, and the postage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping: Option<Box<Shipping>>,
    /// What is taken off the whole order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
    /// Through which of the shop's channels it came, in the shop's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Where the customer came from, in the shop's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The shop's labels, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it is paid with, in the order in which money is taken. Together they come to `total_minor`. Without them there is one payment,
    /// with `payment_token`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<OrderPayment>,
    /// For which goods, that come back from another order, it is the exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange_for: Option<Box<ExchangeFor>>,
}

/// What an order is the exchange for, as the shop says. Nobody has looked whether there is such an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExchangeFor {
    /// From which order the goods come back.
    pub order_id: OrderId,
    /// In which of its returns.
    pub return_id: ReturnId,
}

impl OrderCreated {
    /// Whether the customer with this id ordered. A guest's order is nobody's.
    pub fn is_of(&self, customer_id: &str) -> bool {
        self.customer_id.as_ref().is_some_and(|own| own.as_str() == customer_id)
    }

    /// Whether it says no more than orders of the first version did.
    pub(super) fn is_of_first_version(&self) -> bool {
        // Each field is named, so that a new one has to be decided about.
        let Self {
            customer_id,
            currency: _,
            total_minor: _,
            lines,
            customer_email: _,
            payment_token: _,
            notes: _,
            metadata: _,
            placed_at: _,
            customer,
            billing_address,
            shipping_address,
            shipping,
            discounts,
            channel,
            source,
            tags,
            payments,
            exchange_for,
        } = self;
        customer_id.is_some()
            && customer.is_none()
            && billing_address.is_none()
            && shipping_address.is_none()
            && shipping.is_none()
            && discounts.is_empty()
            && channel.is_none()
            && source.is_none()
            && tags.is_empty()
            && payments.is_empty()
            && exchange_for.is_none()
            && lines.iter().all(OrderLine::is_of_first_version)
    }

    /// Whether there are goods in it that are not sold by the piece.
    pub(super) fn has_goods_by_measure(&self) -> bool {
        self.lines.iter().any(|line| line.unit.is_some())
    }

    /// Whether another system has handled it.
    pub(in crate::order) fn is_imported(&self) -> bool {
        self.source.as_deref() == Some(IMPORT_SOURCE)
    }

    /// When it counts as sold: an imported order when it was placed, any other when it was stored.
    pub fn sold_at(&self, stored_at: DateTime<Utc>) -> DateTime<Utc> {
        match self.placed_at {
            Some(placed_at) if self.is_imported() => placed_at,
            Some(_) | None => stored_at,
        }
    }

    /// What the customer owes.
    pub fn total(&self) -> Money {
        Money::from_minor(self.total_minor, self.currency)
    }
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderLine {
    pub sku: Sku,
    /// The name for people.
    pub title: String,
    /// How many, at least one: pieces, or thousandths of `unit`.
    pub quantity: u32,
    /// The price of one piece, or of one `unit`.
    pub unit_price_minor: i64,
    /// The shop's own data, kept to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<JsonObjectText>,
    /// Which variant of the goods, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What else describes the goods, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Whether a parcel is sent for it. A download needs none.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub requires_shipping: bool,
    /// Whether it is a gift card.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gift_card: bool,
    /// What is taken off the line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
    /// The taxes on what is left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taxes: Vec<Tax>,
    /// What the goods are measured in, if they are not sold by the piece. Then every quantity of the line is in thousandths of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitOfMeasure>,
    /// What the unit price has beyond whole minor units, in ten-thousandths of one. 0 of goods that are sold by the piece.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unit_price_ten_thousandths: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(rest: &u32) -> bool {
    *rest == 0
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_yes(it: &bool) -> bool {
    *it
}

impl OrderLine {
    fn is_of_first_version(&self) -> bool {
        let Self {
            sku: _,
            title: _,
            quantity: _,
            unit_price_minor: _,
            metadata: _,
            variant,
            attributes,
            requires_shipping,
            gift_card,
            discounts,
            taxes,
            unit,
            unit_price_ten_thousandths,
        } = self;
        variant.is_none()
            && attributes.is_empty()
            && *requires_shipping
            && !*gift_card
            && discounts.is_empty()
            && taxes.is_empty()
            && unit.is_none()
            && *unit_price_ten_thousandths == 0
    }

    /// The price of one piece, or of one unit of measure.
    pub fn unit_price(&self, currency: Currency) -> UnitPrice {
        UnitPrice { minor: self.unit_price_minor, ten_thousandths: self.unit_price_ten_thousandths, currency }
    }

    /// Quantity × unit price, before discounts and taxes. The parser made sure that it fits.
    pub fn total(&self, currency: Currency) -> Money {
        Money::from_minor(self.price_minor(self.quantity), currency)
    }

    /// The price of some of the line, before discounts and taxes, in minor units.
    pub fn price_minor(&self, quantity: u32) -> i64 {
        clamped(self.price_of(quantity))
    }
}

/// The order has its number for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderNumbered {
    /// The number: `A-2026-000042`.
    pub order_number: String,
    /// The series that gave it.
    pub series: String,
    /// Its place in the series, from 1.
    pub sequence: i64,
}

/// The order is confirmed to the customer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderConfirmed {
    /// Whether the shop's staff get a mail about it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mail_staff: bool,
}

/// The order could not be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OrderRejected {
    pub reason: RejectionReason,
}

/// Why an order could not be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum RejectionReason {
    /// There were not enough units.
    OutOfStock {
        /// The SKUs that are short. Never empty.
        shortages: Vec<Shortage>,
    },
    /// SKUs are counted in another unit of measure than they were ordered in.
    OtherUnit {
        /// Never empty.
        skus: Vec<UnitMismatch>,
    },
    /// The payment was declined.
    PaymentDeclined {
        /// The provider's words.
        message: String,
    },
    /// It was not paid before its reservation ran out.
    NotPaidInTime,
    /// An operator gave it up.
    GivenUp {
        /// The operator's words.
        reason: String,
    },
}

/// A unit of measure in words.
fn in_unit(unit: Option<UnitOfMeasure>) -> String {
    unit.map_or_else(|| "by the piece".to_owned(), |unit| format!("in {unit}"))
}

impl RejectionReason {
    /// Whether it says no more than the first version could.
    pub(super) fn is_of_first_version(&self) -> bool {
        match self {
            Self::OutOfStock { shortages } => shortages.iter().all(|it| it.unit.is_none()),
            Self::OtherUnit { skus: _ } => false,
            Self::PaymentDeclined { message: _ } | Self::NotPaidInTime | Self::GivenUp { reason: _ } => true,
        }
    }

    /// For the shop and its operators: everything that is known.
    pub fn in_words(&self) -> String {
        match self {
            Self::OutOfStock { shortages } => {
                let short = |it: &Shortage| {
                    let (requested, available) = it.quantities();
                    let unit = it.unit.map_or_else(String::new, |unit| format!(" {unit}"));
                    format!("{} ({requested}{unit} ordered, {available}{unit} left)", it.sku)
                };
                let short: Vec<String> = shortages.iter().map(short).collect();
                format!("not enough in stock: {}", short.join(", "))
            }
            Self::OtherUnit { skus } => {
                let other = |it: &UnitMismatch| {
                    format!("{} (ordered {}, counted {})", it.sku, in_unit(it.ordered), in_unit(it.stocked))
                };
                format!("ordered in another unit: {}", skus.iter().map(other).collect::<Vec<_>>().join(", "))
            }
            Self::PaymentDeclined { message } => format!("the payment was declined: {message}"),
            Self::NotPaidInTime => "the payment could not be completed in time".to_owned(),
            Self::GivenUp { reason } => reason.clone(),
        }
    }

    /// For the customer: without stock levels, the provider's words, or what operators wrote for each other.
    pub fn for_customer(&self) -> Option<String> {
        match self {
            Self::OutOfStock { shortages } => {
                let short: Vec<&str> = shortages.iter().map(|it| it.sku.as_str()).collect();
                Some(format!("not enough in stock: {}", short.join(", ")))
            }
            Self::OtherUnit { skus } => {
                let other = |it: &UnitMismatch| format!("{} {}", it.sku, in_unit(it.ordered));
                Some(format!("not for sale: {}", skus.iter().map(other).collect::<Vec<_>>().join(", ")))
            }
            Self::PaymentDeclined { message: _ } => Some("the payment was declined".to_owned()),
            Self::NotPaidInTime => Some("the payment could not be completed in time".to_owned()),
            Self::GivenUp { reason: _ } => None,
        }
    }
}

/// The order is to be cancelled. From here on it is only undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CancellationRequested {
    /// Why, for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The order was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OrderCancelled {
    /// Why, in the words of whoever cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
