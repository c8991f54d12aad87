//! Orders.

use futures_util::Stream;

use crate::{
    AcceptedCommand, Cancellation, Client, Command, Error, Event, Mail, NewCancellation, NewDelivery, NewHold, NewNote,
    NewOrder, NewReceipt, NewRefund, NewRelease, NewReturn, NewReturnCancellation, NewShipment, NewTracking, Note,
    OrderView, Page, PagedQuery, PlacedOrders, ReadRequest, Refund, Return, Shipment,
};

impl Client {
    /// Places an order. The order's id makes it idempotent: it has no key unless one is given.
    pub fn place_order(&self, order: &NewOrder) -> Command<AcceptedCommand> {
        Command::unkeyed(self, http::Method::POST, &["orders"], Some(order)).identified()
    }

    /// Places up to 100 orders, each for itself: some may be stored and others refused. The orders' ids make it idempotent.
    pub fn place_orders(&self, orders: &[NewOrder]) -> Command<PlacedOrders> {
        Command::unkeyed(self, http::Method::POST, &["orders", "batch"], Some(&orders)).identified()
    }

    /// Cancels what was not sent, or some of it.
    pub fn cancel_order(&self, order_id: &str, cancel: &NewCancellation) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "cancel"], Some(cancel))
    }

    /// Tells that all that is left was sent, or some of it.
    pub fn ship_order(&self, order_id: &str, ship: &NewShipment) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "ship"], Some(ship))
    }

    /// Tells that all of it arrived.
    pub fn deliver_order(&self, order_id: &str) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "deliver"], None::<&()>)
    }

    /// Tells that a shipment arrived: now, or when the delivery says. The last one completes the order.
    pub fn deliver_shipment(
        &self,
        order_id: &str,
        shipment_id: &str,
        delivery: &NewDelivery,
    ) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "shipments", shipment_id, "deliver"], Some(delivery))
    }

    /// Names the parcels that a shipment is followed by, in place of those that were named before.
    pub fn change_tracking(
        &self,
        order_id: &str,
        shipment_id: &str,
        tracking: &NewTracking,
    ) -> Command<AcceptedCommand> {
        Command::put(self, &["orders", order_id, "shipments", shipment_id, "parcels"], Some(tracking))
    }

    /// Has nothing of it shipped until the hold is released.
    pub fn hold_order(&self, order_id: &str, hold: &NewHold) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "hold"], Some(hold))
    }

    /// Releases one hold, or all of them.
    pub fn release_order(&self, order_id: &str, release: &NewRelease) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "release"], Some(release))
    }

    /// Tells that some of it will come back.
    pub fn request_return(&self, order_id: &str, back: &NewReturn) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "returns"], Some(back))
    }

    /// Tells that a return is here. What it cost is then refunded.
    pub fn receive_return(&self, order_id: &str, return_id: &str) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "returns", return_id, "receive"], None::<&()>)
    }

    /// Tells that some of a return is here, or in which condition. What it cost is then refunded.
    pub fn receive_part_of_return(
        &self,
        order_id: &str,
        return_id: &str,
        receipt: &NewReceipt,
    ) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "returns", return_id, "receive"], Some(receipt))
    }

    /// Tells that what has not come of a return is not coming.
    pub fn cancel_return(
        &self,
        order_id: &str,
        return_id: &str,
        cancel: &NewReturnCancellation,
    ) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "returns", return_id, "cancel"], Some(cancel))
    }

    /// Pays all that is left back, or some of it.
    pub fn refund_order(&self, order_id: &str, refund: &NewRefund) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "refunds"], Some(refund))
    }

    /// Has the customer get a mail once more, as another mail.
    pub fn resend_mail(&self, order_id: &str, notification_id: &str) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "mails", notification_id, "resend"], None::<&()>)
    }

    /// Adds a note.
    pub fn add_note(&self, order_id: &str, note: &NewNote) -> Command<AcceptedCommand> {
        Command::post(self, &["orders", order_id, "notes"], Some(note))
    }

    /// The order with its lines, shipments and so on.
    pub fn order(&self, order_id: &str) -> ReadRequest<OrderView> {
        ReadRequest::new(self, &["orders", order_id])
    }

    /// Orders, the newest first unless [`OrderListQuery::sort`] says otherwise.
    pub fn orders(&self) -> OrderListQuery {
        OrderListQuery(PagedQuery::new(self, &["orders"]))
    }

    /// What happened to an order, in order.
    pub fn timeline(&self, order_id: &str) -> PagedQuery<Event> {
        PagedQuery::new(self, &["orders", order_id, "events"])
    }

    /// All shipments of an order, by their ids.
    pub fn shipments(&self, order_id: &str) -> PagedQuery<Shipment> {
        PagedQuery::new(self, &["orders", order_id, "shipments"])
    }

    /// All cancellations of units of an order, by their ids.
    pub fn cancellations(&self, order_id: &str) -> PagedQuery<Cancellation> {
        PagedQuery::new(self, &["orders", order_id, "cancellations"])
    }

    /// All returns of an order, by their ids.
    pub fn returns(&self, order_id: &str) -> PagedQuery<Return> {
        PagedQuery::new(self, &["orders", order_id, "returns"])
    }

    /// All refunds of an order, by their ids.
    pub fn refunds(&self, order_id: &str) -> PagedQuery<Refund> {
        PagedQuery::new(self, &["orders", order_id, "refunds"])
    }

    /// All notes on an order, by their ids.
    pub fn notes(&self, order_id: &str) -> PagedQuery<Note> {
        PagedQuery::new(self, &["orders", order_id, "notes"])
    }

    /// All mails about an order, by their ids.
    pub fn mails(&self, order_id: &str) -> PagedQuery<Mail> {
        PagedQuery::new(self, &["orders", order_id, "mails"])
    }
}

impl ReadRequest<OrderView> {
    /// What comes with the order: `events`, `saga`.
    pub fn expand(self, names: &[&str]) -> Self {
        self.parameter("expand", &names.join(","))
    }

    /// The order as it was at this version.
    pub fn as_of_version(self, version: i64) -> Self {
        self.parameter("asOf", &version.to_string())
    }

    /// The order as it was at this time.
    pub fn as_of(self, time: chrono::DateTime<chrono::Utc>) -> Self {
        self.parameter("asOf", &time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
    }
}

/// A list of orders. All conditions have to hold.
#[must_use = "it is asked page by page, or as a stream"]
#[derive(Debug, Clone)]
pub struct OrderListQuery(PagedQuery<OrderView>);

impl OrderListQuery {
    pub fn customer_id(self, customer_id: &str) -> Self {
        Self(self.0.parameter("customerId", customer_id))
    }

    /// Orders with a line of this SKU.
    pub fn sku(self, sku: &str) -> Self {
        Self(self.0.parameter("sku", sku))
    }

    /// Those that have the status now. Without a sort and other filters, the one that has had it for the shortest time comes first.
    pub fn status(self, status: &str) -> Self {
        Self(self.0.parameter("status", status))
    }

    /// Orders that have, for each of these words, one that begins with it: in titles and SKUs, the customer's name or e-mail address, the
    /// order's id.
    pub fn words(self, words: &str) -> Self {
        Self(self.0.parameter("q", words))
    }

    /// Those that a hold keeps from being shipped, or only others.
    pub fn held(self, held: bool) -> Self {
        Self(self.0.parameter("held", if held { "true" } else { "false" }))
    }

    /// Only the order with this number.
    pub fn order_number(self, order_number: &str) -> Self {
        Self(self.0.parameter("orderNumber", order_number))
    }

    /// Orders with this e-mail address, capitals or not.
    pub fn email(self, email: &str) -> Self {
        Self(self.0.parameter("email", email))
    }

    /// Those whose payment has the status now.
    pub fn payment_status(self, status: &str) -> Self {
        Self(self.0.parameter("paymentStatus", status))
    }

    /// Those whose goods have the status now.
    pub fn fulfilment_status(self, status: &str) -> Self {
        Self(self.0.parameter("fulfilmentStatus", status))
    }

    /// Those whose returns have the status now.
    pub fn returns_status(self, status: &str) -> Self {
        Self(self.0.parameter("returnsStatus", status))
    }

    pub fn tag(self, tag: &str) -> Self {
        Self(self.0.parameter("tag", tag))
    }

    /// Those that are the exchange for goods of this order.
    pub fn exchange_for(self, order_id: &str) -> Self {
        Self(self.0.parameter("exchangeFor", order_id))
    }

    pub fn channel(self, channel: &str) -> Self {
        Self(self.0.parameter("channel", channel))
    }

    /// Where the customer came from.
    pub fn source(self, source: &str) -> Self {
        Self(self.0.parameter("source", source))
    }

    /// Orders in this currency (ISO 4217).
    pub fn currency(self, currency: &str) -> Self {
        Self(self.0.parameter("currency", currency))
    }

    /// Orders of this total or more, in the currency that has to be given, too.
    pub fn total_from(self, amount: &str) -> Self {
        Self(self.0.parameter("totalFrom", amount))
    }

    /// Orders of this total or less, in the currency that has to be given, too.
    pub fn total_to(self, amount: &str) -> Self {
        Self(self.0.parameter("totalTo", amount))
    }

    /// `created`, `updated` or `total`; with a `-` before it in descending order.
    pub fn sort(self, sort: &str) -> Self {
        Self(self.0.parameter("sort", sort))
    }

    /// Created at this time or later: an RFC 3339 instant, or a day.
    pub fn from(self, from: &str) -> Self {
        Self(self.0.parameter("from", from))
    }

    /// Created before this time.
    pub fn to(self, to: &str) -> Self {
        Self(self.0.parameter("to", to))
    }

    /// What comes with each order: `lines`, `shipments`, `cancellations`, `returns`, `refunds`, `addedNotes`, `mails`.
    pub fn expand(self, names: &[&str]) -> Self {
        Self(self.0.parameter("expand", &names.join(",")))
    }

    /// How many orders a page has at the most, from 1 to 200.
    pub fn limit(self, limit: u16) -> Self {
        Self(self.0.limit(limit))
    }

    /// Answered once the read model has passed this position.
    pub fn min_position(self, position: i64) -> Self {
        Self(self.0.min_position(position))
    }

    /// The first page, or the one at the cursor of the page before. A page can be empty although there are more.
    pub async fn page(&self, cursor: Option<&str>) -> Result<Page<OrderView>, Error> {
        self.0.page(cursor).await
    }

    /// All orders, page by page as they are taken. After an error it ends.
    pub fn stream(self) -> impl Stream<Item = Result<OrderView, Error>> + Send + 'static {
        self.0.stream()
    }
}
