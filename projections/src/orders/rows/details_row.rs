//! What was posted of an order beside what lists show of it.

use domain::money::Currency;
use domain::order::PlacedOrder;
use domain::order::event::{AddedPayment, Address, CustomerDetails, ExchangeFor, OrderChanges, OrderCreated};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payment_row::PaymentRow;
use super::price_rows::{DiscountRow, ShippingRow};

/// What `GET /orders/{id}` shows of what was posted, and lists do not. An order of which none of this was said has no such row.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = OrderDetails)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct DetailsRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    billing_address: Option<AddressRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shipping_address: Option<AddressRow>,
    /// Through which of the shop's channels the order came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::orders) channel: Option<String>,
    /// Where the customer came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::orders) source: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::orders) tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shipping: Option<ShippingRow>,
    /// What is taken off the whole order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    discounts: Vec<DiscountRow>,
    /// The payments, if the order was posted with them. Answers have them with their state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub(in crate::orders) payments: Vec<PaymentRow>,
    /// For which goods it is the exchange, as the shop says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::orders) exchange_for: Option<ExchangeRow>,
}

/// The goods for which an order is the exchange.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ExchangeFor)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct ExchangeRow {
    /// The order from which they come back.
    pub(in crate::orders) order_id: String,
    /// The return of that order.
    return_id: String,
}

/// An order that is an exchange. Its keys say everything.
#[derive(Debug, Serialize)]
pub(in crate::orders) struct ExchangeKeyRow {}

/// A tag of an order. Its keys say everything.
#[derive(Debug, Serialize)]
pub(in crate::orders) struct TagRow {}

/// The number of an order. Its keys say everything.
#[derive(Debug, Serialize)]
pub(in crate::orders) struct NumberRow {}

/// What the shop said of the customer beside id and e-mail address.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = CustomerDetails)]
#[serde(rename_all = "camelCase")]
struct CustomerRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tax_id: Option<String>,
}

/// A postal address. For who may not see it, it is empty.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Address)]
#[serde(rename_all = "camelCase")]
pub(in crate::orders) struct AddressRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    company: Option<String>,
    #[schema(required = false)]
    line1: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line2: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    postal_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(required = false, pattern = "^[A-Z]{2}$", example = "DE")]
    country: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

impl DetailsRow {
    /// `None`: nothing of this was said.
    pub(in crate::orders) fn new(content: &OrderCreated) -> Option<Self> {
        let details = Self {
            customer: content.customer.as_deref().map(CustomerRow::from),
            billing_address: content.billing_address.as_deref().map(AddressRow::from),
            shipping_address: content.shipping_address.as_deref().map(AddressRow::from),
            channel: content.channel.clone(),
            source: content.source.clone(),
            tags: content.tags.clone(),
            shipping: content.shipping.as_deref().map(|shipping| ShippingRow::new(shipping, content.currency)),
            discounts: DiscountRow::all(&content.discounts, content.currency),
            payments: PaymentRow::all(&content.payments, content.currency),
            exchange_for: content.exchange_for.as_deref().map(ExchangeRow::from),
        };
        (details != Self::default()).then_some(details)
    }

    /// Makes the changes of an edit.
    pub(in crate::orders) fn change(&mut self, changes: &OrderChanges, currency: Currency) {
        if let Some(address) = changes.billing_address.as_deref() {
            self.billing_address = Some(address.into());
        }
        if let Some(address) = changes.shipping_address.as_deref() {
            self.shipping_address = Some(address.into());
        }
        if let Some(shipping) = changes.shipping.as_deref() {
            self.shipping = Some(ShippingRow::new(shipping, currency));
        }
        if let Some(discounts) = &changes.discounts {
            self.discounts = DiscountRow::all(discounts, currency);
        }
    }

    /// Adds the payment of an edit to those that are shown. An order that was posted without a list of them shows its own one from now
    /// on.
    pub(in crate::orders) fn add_payment(&mut self, added: &AddedPayment, placed: &PlacedOrder) {
        let currency = placed.content.currency;
        if self.payments.is_empty()
            && let Some(first) = placed.payments.first()
        {
            self.payments.push(PaymentRow::of(None, first.amount_minor, currency));
        }
        self.payments.push(PaymentRow::of(added.method.as_deref(), added.amount_minor, currency));
    }
}

impl From<&ExchangeFor> for ExchangeRow {
    fn from(ExchangeFor { order_id, return_id }: &ExchangeFor) -> Self {
        Self { order_id: order_id.to_string(), return_id: return_id.to_string() }
    }
}

impl From<&CustomerDetails> for CustomerRow {
    fn from(details: &CustomerDetails) -> Self {
        let CustomerDetails { name, phone, locale, tax_id } = details.clone();
        Self { name, phone, locale: locale.map(|locale| locale.as_str().to_owned()), tax_id }
    }
}

impl From<&Address> for AddressRow {
    fn from(address: &Address) -> Self {
        let Address { name, company, line1, line2, postal_code, city, region, country, phone } = address.clone();
        let country = country.code().to_owned();
        Self { name, company, line1, line2, postal_code, city, region, country, phone }
    }
}
