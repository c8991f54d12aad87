//! Everything there is in the model, and what can happen to it.
//!
//! A *visit* is a copy of the saga at work on the order: what it knows may be old by the time it records something. It is begun
//! whenever something is due, and goes on step by step; between any two of its steps everything else can happen.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};

use domain::ids::{PaymentToken, RefundId, ReturnId, ShipmentId};
use domain::order::event::{
    CancellationRequested, LineQuantity, MailTemplate, NotificationSent, OperatorIntervened, ReturnRequested,
};
use domain::order::saga::{OperatorDecision, SagaStep};
use domain::order::{OrderCommand, RequestRefund, ShipOrder};
use uuid::Uuid;

use crate::order::{Known, Shelf, clock};
use crate::provider::{Call, Provider};
use crate::visit::{self, Visit};

/// A mail: which template, and which of its kind.
pub(crate) type MailOf = (MailTemplate, usize);

/// Everything there is.
#[derive(Debug, Clone, Hash, PartialEq)]
pub(crate) struct World {
    pub(crate) order: Known,
    pub(crate) shelf: Shelf,
    pub(crate) provider: Provider,
    pub(crate) visits: Vec<Visit>,
    /// Calls that are still on their way to the provider.
    pub(crate) flying: Vec<Flying>,
    /// Mails that were asked for and are not answered.
    pub(crate) asked: BTreeSet<MailOf>,
    pub(crate) is_late: bool,
    /// The step that nobody tries until something happens to the order.
    pub(crate) stuck: Option<SagaStep>,
    /// What a failover may lose: the order and the SKU as they were before the last commits. What people
    /// asked for and operators decided is not lost here: nobody could tell that from its never having been said.
    before: Vec<(Known, Shelf)>,
    /// Whether an operator went on without what the order holds, or without letting go of it.
    pub(crate) is_waived: bool,
    /// Whether a failover lost what tells that money may be held: that units were set aside. What was held then lapses with the provider.
    pub(crate) may_lapse: bool,
    pub(crate) left: Left,
}

/// A call on its way.
#[derive(Debug, Clone, Hash, PartialEq, Eq)]
pub(crate) struct Flying {
    pub(crate) call: Call,
    /// Means of payment that were replaced when it was made.
    pub(crate) replaced: u32,
    /// Whether the process that made it died: nobody hears the answer.
    pub(crate) is_orphan: bool,
}

/// How much may still happen.
#[derive(Debug, Clone, Copy, Hash, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) crashes: u8,
    pub(crate) duplicates: u8,
    /// Calls that go wrong.
    pub(crate) faults: u8,
    pub(crate) cancels: u8,
    pub(crate) operators: u8,
    pub(crate) expiries: u8,
    pub(crate) ships: u8,
    pub(crate) returns: u8,
    pub(crate) refunds: u8,
    /// How often the provider forgets its keys.
    pub(crate) forgets: u8,
    /// How often the database loses the last commits.
    pub(crate) failovers: u8,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// A copy of the saga looks at the order.
    Look,
    /// A visit does its next step, with this luck.
    Go(usize, Luck),
    /// A visit stores what it decided.
    Save(usize),
    /// A call arrives at the provider.
    Arrive(usize),
    /// All visits end where they are.
    Crash,
    /// Notification says that a mail went out.
    Answer(MailOf),
    /// The units were set aside for long enough.
    TimePasses,
    Cancel,
    /// An operator decides.
    Decide(SagaStep, Decision),
    /// The provider forgets its keys.
    Forget,
    /// The database loses so many of its last commits.
    Failover(usize),
    Ship,
    Return,
    Refund,
}

/// What an operator decides. Outcomes are the true ones: the operator asked the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Retry,
    OtherMeans,
    Skip,
    Compensate,
    MarkSucceeded,
    MarkFailed,
}

impl Decision {
    const ALL: [Self; 6] =
        [Self::Retry, Self::OtherMeans, Self::Skip, Self::Compensate, Self::MarkSucceeded, Self::MarkFailed];
}

/// As many commits as a failover loses at the most.
const LOST: usize = 2;

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    Good,
    /// The provider says no.
    Declined,
    /// It is done, and the answer gets lost.
    AnswerLost,
    /// It never gets there, and nobody knows.
    Lost,
    /// It gets there later.
    Late,
    /// It surely was not done.
    Unavailable,
    /// The provider says no, and goes on to say so under this key.
    Refused,
    /// The provider breaks down, and goes on to say so under this key.
    Broke,
}

impl Luck {
    pub(crate) const BAD: [Self; 7] =
        [Self::Declined, Self::AnswerLost, Self::Lost, Self::Late, Self::Unavailable, Self::Refused, Self::Broke];
}

impl World {
    pub(crate) fn new(on_hand: u32, left: Left) -> Self {
        Self {
            order: Known::placed(),
            shelf: Shelf::with(on_hand),
            provider: Provider::default(),
            visits: vec![],
            flying: vec![],
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
        actions.extend((0..self.flying.len()).map(Action::Arrive));
        actions.extend(self.asked.iter().copied().map(Action::Answer));
        let left = &self.left;
        let may = [
            (left.crashes > 0 && !(self.visits.is_empty() && self.flying.iter().all(|it| it.is_orphan)), Action::Crash),
            (left.expiries > 0, Action::TimePasses),
            (left.cancels > 0, Action::Cancel),
            (left.forgets > 0 && self.flying.is_empty() && !self.provider.answers.is_empty(), Action::Forget),
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
            && self.flying.is_empty()
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
                let Flying { call, replaced, is_orphan } = world.flying.remove(*at);
                let answered = world.provider.take(&call);
                // As `payment::record` does: on the order as it is now, and not if it has gone another way.
                if !is_orphan && world.order.order.payment.replaced == replaced {
                    for command in visit::answer(&world.order.order, &call, &answered) {
                        let _ = world.record(command);
                    }
                }
            }
            Action::Crash => {
                left.crashes -= 1;
                world.visits.clear();
                world.flying.iter_mut().for_each(|it| it.is_orphan = true);
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
                let verb = world.verb(*step, *decision)?;
                world.intervenes(*step, verb)?;
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
                let (order, shelf) = world.before.get(at)?.clone();
                world.before.clear();
                world.may_lapse |= order.order.stock != world.order.order.stock;
                (world.order, world.shelf, world.stuck) = (order, shelf, None);
                // All connections break; calls that are under way go on.
                world.visits.clear();
            }
            Action::Ship => {
                left.ships -= 1;
                let shipment_id = ShipmentId::parse(format!("s-{}", left.ships)).ok()?;
                let lines = Some(vec![LineQuantity { line_number: 1, quantity: 1 }]);
                let demand = ShipOrder { shipment_id, lines, parcels: vec![] };
                world.asks(OrderCommand::ShipOrder(demand))?;
            }
            Action::Return => {
                left.returns -= 1;
                let return_id = ReturnId::parse("r").ok()?;
                let lines = vec![LineQuantity { line_number: 1, quantity: 1 }];
                let requested = ReturnRequested { return_id: return_id.clone(), lines, reason: None };
                world.asks(OrderCommand::RequestReturn(requested))?;
                world.asks(OrderCommand::ReceiveReturn(return_id))?;
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
        let before = (self.order.clone(), self.shelf.clone());
        let events = self.order.decide(command)?;
        if events.is_empty() {
            return Ok(());
        }
        for event in events {
            self.shelf.follow(&self.order.order, &event);
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

    fn intervenes(&mut self, step: SagaStep, verb: OperatorDecision) -> Option<()> {
        let (actor, reason) = ("ann".to_owned(), "because".to_owned());
        self.asks(OrderCommand::Intervene(OperatorIntervened {
            decision: verb,
            step,
            actor,
            reason,
            customer_message: None,
            notification_id: None,
        }))
    }

    /// What an operator says; `None`: it would not be true.
    fn verb(&self, step: SagaStep, decision: Decision) -> Option<OperatorDecision> {
        Some(match decision {
            Decision::Retry => OperatorDecision::Retry { payment_token: None },
            Decision::OtherMeans => {
                OperatorDecision::Retry { payment_token: Some(PaymentToken::parse("tok_other").ok()?) }
            }
            Decision::Skip => OperatorDecision::Skip,
            Decision::Compensate => OperatorDecision::Compensate,
            Decision::MarkSucceeded => {
                let reference = self.done(step)?;
                OperatorDecision::MarkSucceeded { reference }
            }
            Decision::MarkFailed => {
                // Too early is soon enough while everybody who asked is still there to hear the answer.
                let left = &self.left;
                let all_hear = left.crashes == 0 && left.faults == 0 && left.failovers == 0;
                let moves = matches!(step, SagaStep::CapturePayment | SagaStep::RefundPayment);
                let is_over = self.nobody_asks() || (all_hear && moves && self.flying.iter().all(|it| !it.is_orphan));
                if !is_over || self.done(step).is_some() {
                    return None;
                }
                OperatorDecision::MarkFailed
            }
        })
    }

    fn nobody_asks(&self) -> bool {
        self.visits.is_empty() && self.flying.is_empty()
    }

    /// What the provider knows a step by that it did.
    fn done(&self, step: SagaStep) -> Option<String> {
        let (order, accounts) = (&self.order.order, &self.provider.accounts);
        match step {
            SagaStep::AuthorizePayment => {
                let key = order.payment.replaced;
                accounts.get(&key).filter(|account| account.is_held()).map(|_| key.to_string())
            }
            SagaStep::VoidPayment | SagaStep::VoidRest => {
                let is_held = accounts.values().any(crate::provider::Account::is_held);
                (self.nobody_asks() && !is_held).then(|| "v".to_owned())
            }
            SagaStep::CapturePayment => {
                order.unsettled_shipment().filter(|it| self.provider.has(it.id.as_str())).map(|_| "c".to_owned())
            }
            SagaStep::RefundPayment => {
                order.unsettled_refund().filter(|it| self.provider.has(it.id.as_str())).map(|_| "r".to_owned())
            }
            SagaStep::ReserveStock
            | SagaStep::ReleaseStock
            | SagaStep::ConfirmOrder
            | SagaStep::CloseOrder
            | SagaStep::NotifyCustomer => None,
        }
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
