//! Everything there is in the model, and what can happen to it.
//!
//! A *visit* is a copy of the saga at work on the order: what it knows may be old by the time it records something. It is begun
//! whenever something is due, and goes on step by step; between any two of its steps everything else can happen.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use domain::ids::{EditId, RefundId, ReturnId, ShipmentId};
use domain::order::event::{
    CancellationRequested, LineChange, LineQuantity, MailTemplate, NotificationSent, OrderChanges, ReturnRequested,
};
use domain::order::saga::SagaStep;
use domain::order::{OrderCommand, ReceiveReturn, RequestEdit, RequestRefund, ShipOrder};
use uuid::Uuid;

mod action;
mod operator;

pub(crate) use action::{Action, CallInFlight, Decision, Left, Luck};

use crate::order::{KnownOrder, SkuStock, clock};
use crate::provider::Provider;
use crate::visit::{self, Visit};

/// A mail: which template, and which of its kind.
pub(crate) type MailOf = (MailTemplate, usize);

/// The most commits that a failover loses.
const LOST: usize = 2;

/// Everything there is.
#[derive(Debug, Clone, Hash, PartialEq)]
pub(crate) struct World {
    pub(crate) order: KnownOrder,
    pub(crate) stock: SkuStock,
    pub(crate) provider: Provider,
    pub(crate) visits: Vec<Visit>,
    /// Calls that are still on their way to the provider.
    pub(crate) in_flight: Vec<CallInFlight>,
    /// Mails that were asked for and are not answered.
    pub(crate) asked: BTreeSet<MailOf>,
    pub(crate) is_late: bool,
    /// The step that nobody tries until something happens to the order.
    pub(crate) stuck: Option<SagaStep>,
    /// What a failover may lose: the order and the SKU as they were before the last commits. What people
    /// asked for and operators decided is not lost here: nobody could tell that from its never having been said.
    before: Vec<(KnownOrder, SkuStock)>,
    /// Whether an operator went on without what the order holds, or without letting go of it.
    pub(crate) is_waived: bool,
    /// Whether a failover lost what tells that money may be held: that units were set aside. What was held then lapses with the provider.
    pub(crate) may_lapse: bool,
    pub(crate) left: Left,
}

impl World {
    pub(crate) fn new(on_hand: u32, left: Left) -> Self {
        Self::paid_with("", on_hand, left)
    }

    /// An order with these payments, as JSON; without any it has one.
    pub(crate) fn paid_with(payments: &str, on_hand: u32, left: Left) -> Self {
        Self::of(KnownOrder::placed(payments), on_hand, left)
    }

    pub(crate) fn of(order: KnownOrder, on_hand: u32, left: Left) -> Self {
        Self {
            order,
            stock: SkuStock::with(on_hand),
            provider: Provider::default(),
            visits: vec![],
            in_flight: vec![],
            asked: BTreeSet::new(),
            is_late: false,
            stuck: None,
            before: vec![],
            is_waived: false,
            may_lapse: false,
            left,
        }
    }

    /// What can happen now.
    pub(crate) fn actions(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let is_due = visit::next(&self.order.order, self).is_some();
        if is_due && (self.visits.is_empty() || self.visits.len() == 1 && self.left.duplicates > 0) {
            actions.push(Action::Look);
        }
        for (at, visit) in self.visits.iter().enumerate() {
            if !visit.unsaved.is_empty() {
                actions.push(Action::Save(at));
            }
            if visit.can_go(self) {
                actions.push(Action::Go(at, Luck::Good));
                if self.left.faults > 0 && visit.asks_the_provider(self) {
                    actions.extend(Luck::BAD.map(|luck| Action::Go(at, luck)));
                }
            }
        }
        actions.extend((0..self.in_flight.len()).map(Action::Arrive));
        actions.extend(self.asked.iter().copied().map(Action::Answer));
        let left = &self.left;
        let may = [
            (
                left.crashes > 0 && !(self.visits.is_empty() && self.in_flight.iter().all(|it| it.is_orphan)),
                Action::Crash,
            ),
            (left.expiries > 0, Action::TimePasses),
            (left.cancels > 0, Action::Cancel),
            (left.forgets > 0 && self.in_flight.is_empty() && !self.provider.answers.is_empty(), Action::Forget),
            (left.edits > 0, Action::Edit),
            (left.ships > 0, Action::Ship),
            (left.returns > 0, Action::Return),
            (left.refunds > 0, Action::Refund),
        ];
        actions.extend(may.into_iter().filter(|(may, _)| *may).map(|(_, action)| action));
        if left.failovers > 0 {
            actions.extend((1..=self.before.len()).map(Action::Failover));
        }
        if left.operators > 0 {
            let decisions = SagaStep::ALL.into_iter().flat_map(|step| Decision::ALL.map(|decision| (step, decision)));
            actions.extend(decisions.map(|(step, decision)| Action::Decide(step, decision)));
        }
        actions
    }

    /// Whether only people could still change something.
    pub(crate) fn is_quiet(&self) -> bool {
        self.visits.is_empty()
            && self.in_flight.is_empty()
            && self.asked.is_empty()
            && visit::next(&self.order.order, self).is_none()
    }

    /// What is after an action; `None`: it changes nothing.
    pub(crate) fn after(&self, action: &Action, bug: Option<crate::Bug>) -> Option<Self> {
        let mut world = self.clone();
        let left = &mut world.left;
        match action {
            Action::Look => {
                left.duplicates -= u8::from(!self.visits.is_empty());
                world.visits.push(Visit::begin(&self.order));
            }
            Action::Go(at, luck) => {
                left.faults -= u8::from(*luck != Luck::Good);
                visit::go(&mut world, *at, *luck, bug)?;
            }
            Action::Save(at) => {
                let mut visit = world.visits.remove(*at);
                visit.save(&mut world);
                world.visits.insert(*at, visit);
            }
            Action::Arrive(at) => {
                let CallInFlight { call, replaced, is_orphan } = world.in_flight.remove(*at);
                let answered = world.provider.take(&call);
                // As `payment_calls::record_decisions` does: on the order as it is now, and not if it has gone another way.
                if !is_orphan && world.order.order.replaced_means() == replaced {
                    for command in visit::answer(&world.order.order, &call, &answered) {
                        let _ = world.record(command);
                    }
                }
            }
            Action::Crash => {
                left.crashes -= 1;
                world.visits.clear();
                world.in_flight.iter_mut().for_each(|it| it.is_orphan = true);
            }
            Action::Answer((template, nth)) => {
                world.asked.remove(&(*template, *nth));
                let sent = NotificationSent {
                    notification_id: Uuid::from_u128(u128::try_from(*nth).ok()? + 1_000),
                    template: *template,
                    recipient: String::new(),
                    provider_message_id: String::new(),
                    nth: None,
                };
                world.record(OrderCommand::RecordNotificationSent(sent)).ok()?;
            }
            Action::TimePasses => {
                left.expiries -= 1;
                world.is_late = true;
            }
            Action::Cancel => {
                left.cancels -= 1;
                world.asks(OrderCommand::CancelOrder(CancellationRequested { reason: None }))?;
            }
            Action::Decide(step, decision) => {
                left.operators -= 1;
                let said = world.operator_decision(*step, *decision)?;
                world.intervenes(*step, said)?;
                let goes_without = matches!(step, SagaStep::AuthorizePayment | SagaStep::VoidPayment);
                world.is_waived |= goes_without && *decision == Decision::Skip;
                // What is set aside then is not looked after any more.
                if *step == SagaStep::ReleaseStock && *decision == Decision::Skip {
                    return None;
                }
            }
            Action::Forget => {
                left.forgets -= 1;
                world.provider.answers.clear();
            }
            Action::Failover(lost) => {
                left.failovers -= 1;
                let at = world.before.len() - lost;
                let (order, stock) = world.before.get(at)?.clone();
                world.before.clear();
                world.may_lapse |= order.order.stock != world.order.order.stock;
                (world.order, world.stock, world.stuck) = (order, stock, None);
                // All connections break; calls that are under way go on.
                world.visits.clear();
            }
            Action::Edit => {
                left.edits -= 1;
                let edit_id = EditId::parse(format!("e-{}", left.edits)).ok()?;
                // One unit more, and then one less than at first.
                let quantity = Some(if left.edits.is_multiple_of(2) { 3 } else { 1 });
                let lines = vec![LineChange { line_number: 1, quantity, ..LineChange::default() }];
                let changes = OrderChanges { lines, ..OrderChanges::default() };
                let edit = RequestEdit { edit_id, changes, payment: None, reason: None };
                world.asks(OrderCommand::RequestEdit(edit))?;
            }
            Action::Ship => {
                left.ships -= 1;
                let shipment_id = ShipmentId::parse(format!("s-{}", left.ships)).ok()?;
                let lines = Some(vec![LineQuantity { line_number: 1, quantity: 1 }]);
                let demand = ShipOrder { shipment_id, lines, parcels: vec![], location: None };
                world.asks(OrderCommand::ShipOrder(demand))?;
            }
            Action::Return => {
                left.returns -= 1;
                let return_id = ReturnId::parse("r").ok()?;
                let lines = vec![LineQuantity { line_number: 1, quantity: 1 }];
                let requested = ReturnRequested { return_id: return_id.clone(), lines, reason: None };
                world.asks(OrderCommand::RequestReturn(requested))?;
                world.asks(OrderCommand::ReceiveReturn(ReceiveReturn::all_of(return_id)))?;
            }
            Action::Refund => {
                left.refunds -= 1;
                let refund_id = RefundId::parse("f").ok()?;
                world.asks(OrderCommand::RequestRefund(RequestRefund {
                    refund_id,
                    amount_minor: None,
                    reason: None,
                }))?;
            }
        }
        Some(world)
    }

    pub(crate) fn now(&self) -> chrono::DateTime<chrono::Utc> {
        clock(self.is_late)
    }

    /// Decides on the order as it is stored, and stores that with what it means for the units.
    pub(crate) fn record(&mut self, command: OrderCommand) -> Result<(), domain::order::OrderError> {
        let before = (self.order.clone(), self.stock.clone());
        let events = self.order.decide(command)?;
        if events.is_empty() {
            return Ok(());
        }
        for event in events {
            self.stock.follow(&self.order.order, &event);
        }
        self.stuck = None;
        if self.left.failovers > 0 {
            self.before.push(before);
            let too_many = self.before.len().saturating_sub(LOST);
            self.before.drain(..too_many);
        }
        Ok(())
    }

    /// What somebody asks for. What is refused or so already is no step of the model.
    fn asks(&mut self, command: OrderCommand) -> Option<()> {
        let before = self.order.version;
        self.record(command).ok()?;
        self.before.clear();
        (self.order.version > before).then_some(())
    }

    /// What the order should have set aside by what is recorded of it.
    pub(crate) fn owed_units(&self) -> i64 {
        let order = &self.order.order;
        let needed: u32 = order.needed_by_sku().values().sum();
        if order.holds_units() { i64::from(needed) } else { 0 }
    }
}

/// The hash of what a visit decided: commands have none of their own.
pub(crate) fn hash_of_text<H: Hasher>(what: &impl std::fmt::Debug, state: &mut H) {
    format!("{what:?}").hash(state);
}
