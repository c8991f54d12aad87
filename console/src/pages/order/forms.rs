//! What can be done about an order now, by its stage and by what its reader may do.

use domain::ids::OrderId;
use domain::order::event::{LineQuantity, OrderLine};
use domain::order::{Order, OrderAction, PlacedOrder, Return, Shipment, TRANSITIONS};
use domain::quantity::Quantity;
use event_store::Versioned;
use sagas::report::OrderSagasReport;

use super::decisions;
use crate::Console;
use crate::action::{ActionForm, Field};
use crate::admission::Reader;
use crate::display::{Text, words};

/// Of how many shipments, returns and mails, the latest, there are forms.
const LATEST: usize = 10;
/// Of how many lines a form asks for quantities. Orders of more are shipped, cancelled and received as a whole here.
pub(super) const MOST_LINES: usize = 50;
/// How many parcels a new shipment may be given here.
const PARCELS: usize = 3;
/// The most that a shipment may have.
const MOST_PARCELS: usize = 20;

/// The order that forms are about. `None`: the reader can send none, or an event is not known, so that nothing can be decided.
pub(super) async fn read(console: &Console, reader: &Reader, order_id: &OrderId) -> Option<Versioned<Order>> {
    reader.form_secret.as_ref()?;
    console.0.store.load(order_id.as_str()).await.ok()
}

/// The forms of an order: first what can be decided about its sagas, which the report says.
pub(super) fn all(
    reader: &Reader,
    order_id: &OrderId,
    read: &Versioned<Order>,
    report: Option<&OrderSagasReport>,
) -> Vec<ActionForm> {
    let Order::Placed(placed) = &read.state else { return Vec::new() };
    let decisions = report.map_or_else(Vec::new, |report| decisions::forms(reader, (read.version, placed), report));
    let decisions = decisions.into_iter().map(ActionForm::finished);
    decisions.chain(of(reader, order_id.as_str(), read.version, placed)).collect()
}

fn of(reader: &Reader, order_id: &str, version: i64, order: &PlacedOrder) -> Vec<ActionForm> {
    let forms = OrderForms { reader, order_id, version, order };
    allowed(order).flat_map(|action| forms.of(action)).map(ActionForm::finished).collect()
}

/// What an order takes at its stage.
fn allowed(order: &PlacedOrder) -> impl Iterator<Item = OrderAction> {
    let stage = order.stage();
    TRANSITIONS.iter().filter(move |(_, stages)| stages.contains(&stage)).map(|(action, _)| *action)
}

/// Whether an order takes edits at its stage.
pub(super) fn takes_edits(order: &PlacedOrder) -> bool {
    allowed(order).any(|action| action == OrderAction::Edit)
}

struct OrderForms<'a> {
    reader: &'a Reader,
    order_id: &'a str,
    version: i64,
    order: &'a PlacedOrder,
}

impl OrderForms<'_> {
    fn of(&self, action: OrderAction) -> Vec<ActionForm> {
        match action {
            OrderAction::Cancel => self.cancel(),
            // It has a page of its own, where it is previewed.
            OrderAction::Edit => vec![],
            OrderAction::Ship => self.ship(),
            OrderAction::Deliver => self.one("/orders/{order_id}/deliver", "All has arrived", |form| form),
            OrderAction::DeliverShipment => self.deliver_shipments(),
            OrderAction::ChangeTracking => self.change_tracking(),
            OrderAction::Hold => self.one("/orders/{order_id}/hold", "Put on hold", |form| {
                form.explained("Nothing is shipped until it is released.").field(reason().required())
            }),
            OrderAction::Release => self.release(),
            OrderAction::RequestReturn => self.request_return(),
            OrderAction::ReceiveReturn => self.receive_returns(),
            OrderAction::CancelReturn => self.cancel_returns(),
            OrderAction::Refund => self.one("/orders/{order_id}/refunds", "Refund", |form| {
                let amount = Field::number("/amount", format!("Amount in {}", self.order.content.currency));
                form.field(amount.hint("Empty: all that is left")).field(reason())
            }),
            OrderAction::ResendMail => self.resend_mails(),
            OrderAction::AddNote => {
                let title = "Add a note";
                let form = self.form("POST", "/orders/{order_id}/notes", &[], title).into_iter();
                form.map(|form| form.field(Field::words("/text", "Note").required())).collect()
            }
        }
    }

    /// A form for a route of the order. `ids` are those after the order's.
    fn form(&self, method: &'static str, route: &str, ids: &[&str], title: impl Into<Text>) -> Option<ActionForm> {
        let all: Vec<&str> = [self.order_id].into_iter().chain(ids.iter().copied()).collect();
        self.reader.form((method, route), &all, title, format!("/orders/{}", Text::from(self.order_id).in_path()))
    }

    /// The only form of its action, which is about the version that was looked at.
    fn one(&self, route: &str, title: &str, fill: impl FnOnce(ActionForm) -> ActionForm) -> Vec<ActionForm> {
        let form = self.form("POST", route, &[], title);
        form.map(|form| fill(form.at_version(self.version))).into_iter().collect()
    }

    fn cancel(&self) -> Vec<ActionForm> {
        self.one("/orders/{order_id}/cancel", "Cancel", |form| {
            let form =
                form.explained("Without quantities all that was not shipped is cancelled. There is no way back.");
            self.with_lines(form, &self.order.unshipped(), "left").field(reason().hint("The customer's mail gives it"))
        })
    }

    fn ship(&self) -> Vec<ActionForm> {
        self.one("/orders/{order_id}/ship", "Ship", |form| {
            let form = form.explained("Without quantities all that is left is shipped.");
            let form = self.with_lines(form, &self.order.unshipped(), "left");
            let form = (0..PARCELS).fold(form, |form, at| with_parcel(form, at, "", ""));
            form.field(Field::line("/location", "From location").hint("Empty: from where its units are"))
        })
    }

    fn deliver_shipments(&self) -> Vec<ActionForm> {
        let route = "/orders/{order_id}/shipments/{shipment_id}/deliver";
        let under_way = self.order.shipments.iter().rev().filter(|shipment| !self.order.is_delivered(shipment));
        let form = |shipment: &Shipment| {
            let title = format!("Shipment {} has arrived", shipment.id);
            let form = self.form("POST", route, &[shipment.id.as_str()], title)?.at_version(self.version);
            Some(form.field(Field::line("/deliveredAt", "When").hint("As 2026-11-24T09:30:00Z; empty: now")))
        };
        under_way.take(LATEST).filter_map(form).collect()
    }

    fn change_tracking(&self) -> Vec<ActionForm> {
        let route = "/orders/{order_id}/shipments/{shipment_id}/parcels";
        let form = |shipment: &Shipment| {
            let title = format!("Change the parcels of shipment {}", shipment.id);
            let form = self.form("PUT", route, &[shipment.id.as_str()], title)?.at_version(self.version);
            let form = form.with("/parcels:list", "yes");
            let known = shipment.parcels.iter().map(|it| (it.carrier.as_deref(), it.tracking.as_deref()));
            let parcels = known.chain([(None, None)]).take(MOST_PARCELS).enumerate();
            Some(parcels.fold(form, |form, (at, (carrier, tracking))| {
                with_parcel(form, at, carrier.unwrap_or_default(), tracking.unwrap_or_default())
            }))
        };
        self.order.shipments.iter().rev().take(LATEST).filter_map(form).collect()
    }

    fn release(&self) -> Vec<ActionForm> {
        let holds: Vec<_> = self.order.open_holds().collect();
        let form = |hold: &&domain::order::Hold| {
            let form = self.form("POST", "/orders/{order_id}/release", &[], format!("Release hold {}", hold.id))?;
            let form = form.at_version(self.version).named(hold.id.as_str()).with("/holdId", hold.id.as_str());
            Some(form.explained(hold.reason.as_str()))
        };
        holds.iter().rev().take(LATEST).filter_map(form).collect()
    }

    fn request_return(&self) -> Vec<ActionForm> {
        let of = |(line_number, _): (u32, &OrderLine)| {
            let counts = self.order.counts(line_number);
            LineQuantity { line_number, quantity: counts.shipped.saturating_sub(counts.returned) }
        };
        let out: Vec<_> = self.order.numbered_lines().map(of).filter(|line| line.quantity > 0).collect();
        if out.is_empty() || out.len() > MOST_LINES {
            return vec![];
        }
        self.one("/orders/{order_id}/returns", "Announce a return", |form| {
            self.with_lines(form, &out, "shipped").field(reason())
        })
    }

    fn receive_returns(&self) -> Vec<ActionForm> {
        let route = "/orders/{order_id}/returns/{return_id}/receive";
        let form = |back: &Return| {
            let form = self.form("POST", route, &[back.id.as_str()], format!("Return {} is here", back.id))?;
            let form =
                form.at_version(self.version).explained("Without quantities all that was still to come is here.");
            let lines = if back.lines.len() > MOST_LINES { &[][..] } else { &back.lines };
            let form = lines.iter().fold(form, |form, line| {
                let name = |member: &str| format!("/lines/lineNumber={}/{member}", line.line_number);
                let condition = ["", "sellable", "damaged", "defective", "expired"].map(|it| (it, it));
                let restock = [("", ""), ("true", "yes"), ("false", "no")];
                form.field(Field::number(name("quantity:number"), self.line(line, "announced")))
                    .field(Field::choice(
                        name("condition"),
                        format!("Condition of line {}", line.line_number),
                        condition,
                    ))
                    .field(Field::choice(
                        name("restock:bool"),
                        format!("Line {} back into stock", line.line_number),
                        restock,
                    ))
            });
            Some(form.field(Field::line("/location", "Location").hint("Empty: where it was sent from")))
        };
        self.open_returns().filter_map(form).collect()
    }

    fn cancel_returns(&self) -> Vec<ActionForm> {
        let route = "/orders/{order_id}/returns/{return_id}/cancel";
        let form = |back: &Return| {
            let title = format!("Return {} is not coming", back.id);
            Some(self.form("POST", route, &[back.id.as_str()], title)?.at_version(self.version).field(reason()))
        };
        self.open_returns().filter_map(form).collect()
    }

    fn open_returns(&self) -> impl Iterator<Item = &Return> {
        self.order.returns.iter().rev().filter(|back| !back.received && !back.cancelled).take(LATEST)
    }

    fn resend_mails(&self) -> Vec<ActionForm> {
        let route = "/orders/{order_id}/mails/{notification_id}/resend";
        let mails = self.order.mails.iter().filter(|(template, _)| !self.order.is_withdrawn(**template));
        let latest = mails.filter_map(|(template, mails)| Some((template, mails.last()?)));
        let form = |(template, mail): (&domain::order::event::MailTemplate, &domain::order::MailWithOutcome)| {
            let id = mail.notification_id.to_string();
            self.form("POST", route, &[&id], format!("Send the mail {} again", words(template.name())))
        };
        latest.take(LATEST).filter_map(form).collect()
    }

    /// A form with a field for how much of each line.
    fn with_lines(&self, form: ActionForm, lines: &[LineQuantity], what: &str) -> ActionForm {
        let lines = if lines.len() > MOST_LINES { &[][..] } else { lines };
        lines.iter().fold(form, |form, line| {
            let name = format!("/lines/lineNumber={}/quantity:number", line.line_number);
            form.field(Field::number(name, self.line(line, what)))
        })
    }

    fn line(&self, line: &LineQuantity, what: &str) -> String {
        line_label(self.order, line, what)
    }
}

/// A line, and how much of it there is: `line 2, sku-1: 3 left`.
pub(super) fn line_label(
    order: &PlacedOrder,
    LineQuantity { line_number, quantity }: &LineQuantity,
    what: &str,
) -> String {
    let line = order.line(*line_number);
    let sku = line.map_or("", |line| line.sku.as_str());
    let unit = line.and_then(|line| line.unit);
    let of_unit = unit.map_or_else(String::new, |unit| format!(" {unit}"));
    format!("Line {line_number}, {sku}: {}{of_unit} {what}", Quantity::of(*quantity, unit))
}

pub(super) fn reason() -> Field {
    Field::line("/reason", "Reason")
}

fn with_parcel(form: ActionForm, at: usize, carrier: &str, tracking: &str) -> ActionForm {
    let (name, parcel) = (|member: &str| format!("/parcels/{at}/{member}"), at + 1);
    form.field(Field::line(name("carrier"), format!("Carrier of parcel {parcel}")).filled(carrier))
        .field(Field::line(name("tracking"), format!("Tracking of parcel {parcel}")).filled(tracking))
}
