//! A copy of the saga at work: the product's own choice of what is next, its steps' effects on the model's provider and stock, and
//! how what was decided is stored.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use domain::ids::{LocationId, Sku};
use domain::order::event::{
    PaymentAuthorized, PaymentCaptured, PaymentDeclined, PaymentOutcomeUnknown, PaymentRefunded, PaymentVoided,
    Shortage, SkuQuantity, StockReleased, StockReservationFailed, StockReserved,
};
use domain::order::saga::SagaStep;
use domain::order::{AuthorizationState, OrderCommand, Payment, PlacedOrder};
use sagas::{NextStep, SAGAS};

use crate::Bug;
use crate::edits::{apply_edit, next_to_void};
use crate::order::{KnownOrder, ORDERED, expires_at};
use crate::provider::{Answer, Asking, Call, Refused, account_key, mark, marked, payment_of};
use crate::world::{CallInFlight, Luck, World, hash_of_text};

/// A copy of the saga at work on the order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Visit {
    /// The order as it will be once everything is stored.
    known: KnownOrder,
    /// The version that is stored, as far as the visit knows.
    stored: u32,
    /// What was decided and is not stored.
    pub(crate) unsaved: Vec<Decided>,
}

/// A decision, compared by its text: commands can't be compared.
#[derive(Debug, Clone)]
pub(crate) struct Decided(OrderCommand);

impl PartialEq for Decided {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Hash for Visit {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.known, self.stored).hash(state);
        hash_of_text(&self.unsaved, state);
    }
}

/// What is next with an order, by the product's sagas; that a mail is being waited for is no step.
pub(crate) fn next(order: &PlacedOrder, world: &World) -> Option<(SagaStep, bool)> {
    SAGAS.iter().find_map(|saga| {
        let next = saga.next(order, world.now());
        let step = next.step()?;
        // A person has to give money back that was paid elsewhere. Nobody waits for that.
        if world.stuck == Some(step) || step == SagaStep::RefundManually {
            return None;
        }
        let waits =
            step == SagaStep::NotifyCustomer && order.owed_mail().is_some_and(|mail| world.asked.contains(&mail));
        (!waits).then_some((step, matches!(next, NextStep::Expire)))
    })
}

impl Visit {
    pub(crate) fn begin(order: &KnownOrder) -> Self {
        Self { known: order.clone(), stored: order.version, unsaved: vec![] }
    }

    /// Whether it can go on before it stores what it decided: nobody outside hears of what is not stored.
    pub(crate) fn can_go(&self, world: &World) -> bool {
        match next(&self.known.order, world) {
            Some((SagaStep::ConfirmOrder | SagaStep::CloseOrder, _)) => true,
            Some(_) | None => self.unsaved.is_empty(),
        }
    }

    pub(crate) fn asks_the_provider(&self, world: &World) -> bool {
        match next(&self.known.order, world) {
            Some((SagaStep::AuthorizePayment | SagaStep::VoidPayment, _)) => true,
            Some((SagaStep::CapturePayment | SagaStep::VoidRest | SagaStep::RefundPayment, _)) => true,
            Some(_) | None => false,
        }
    }

    fn take(&mut self, command: OrderCommand) -> Result<(), domain::order::OrderError> {
        self.known.decide(command.clone())?;
        self.unsaved.push(Decided(command));
        Ok(())
    }

    /// Stores what was decided; if the order was changed meanwhile, what it comes to on the order as it is.
    pub(crate) fn save(&mut self, world: &mut World) {
        let is_stale = self.stored != world.order.version;
        // As `OrderSession::rebase` does.
        let is_outdated = self.known.order.replaced_means() != world.order.order.replaced_means();
        for Decided(command) in std::mem::take(&mut self.unsaved) {
            if is_outdated && is_of_means(&command) {
                continue;
            }
            let saved = world.record(command);
            // What was decided on the very same order is not refused.
            assert!(is_stale || saved.is_ok(), "{saved:?}");
        }
        (self.known, self.stored) = (world.order.clone(), world.order.version);
    }
}

fn is_of_means(command: &OrderCommand) -> bool {
    matches!(
        command,
        OrderCommand::RecordPaymentAuthorized(_)
            | OrderCommand::RecordPaymentDeclined(_)
            | OrderCommand::RecordPaymentOutcomeUnknown(_)
    )
}

/// Has a visit do its next step, or end. `None`: that would change nothing.
pub(crate) fn go(world: &mut World, at: usize, luck: Luck, bug: Option<Bug>) -> Option<()> {
    let mut visit = world.visits.remove(at);
    let Some((step, is_expiry)) = next(&visit.known.order, world) else { return Some(()) };
    match step {
        SagaStep::ConfirmOrder => visit.take(OrderCommand::ConfirmOrder { mail_staff: false }).ok()?,
        SagaStep::CloseOrder => visit.take(OrderCommand::CloseOrder).ok()?,
        SagaStep::ReserveStock | SagaStep::ReleaseStock => {
            // Decided with the stock at hand, on the order as it is: anything older meets a conflict.
            visit.save(world);
            let command = match step {
                SagaStep::ReserveStock => reserve(world),
                _ => OrderCommand::RecordStockReleased(StockReleased { expired: is_expiry }),
            };
            let done = world.record(command);
            visit.save(world);
            if done.is_err() {
                return Some(());
            }
        }
        SagaStep::ApplyEdit => {
            // As `ReserveStock`.
            visit.save(world);
            let Some(command) = apply_edit(world) else { return Some(()) };
            let done = world.record(command);
            visit.save(world);
            if done.is_err() {
                return Some(());
            }
        }
        SagaStep::NotifyCustomer => {
            world.asked.insert(visit.known.order.owed_mail()?);
            return Some(());
        }
        SagaStep::CapturePayment if !is_captured_by_provider(&visit.known.order) => {
            let order = &visit.known.order;
            let (shipment, capture) = order.next_capture()?;
            let payment_number = order.payment_name(capture.payment_number);
            let is_elsewhere = order.payment(payment_number)?.is_paid_elsewhere();
            let share = order.capture_minor(&shipment.id, capture.payment_number);
            let (shipment_id, amount_minor) = (shipment.id.clone(), if is_elsewhere { share } else { 0 });
            let captured = PaymentCaptured { shipment_id, amount_minor, reference: String::new(), payment_number };
            visit.take(OrderCommand::RecordPaymentCaptured(captured)).ok()?;
        }
        // It is never next.
        SagaStep::RefundManually => return Some(()),
        SagaStep::AuthorizePayment
        | SagaStep::VoidPayment
        | SagaStep::CapturePayment
        | SagaStep::VoidRest
        | SagaStep::RefundPayment => {
            if !ask(world, &mut visit, step, luck, bug)? {
                return Some(());
            }
        }
    }
    world.visits.insert(at, visit);
    Some(())
}

/// Whether the provider holds the payment that pays next.
fn is_captured_by_provider(order: &PlacedOrder) -> bool {
    let payment = order.next_capture().and_then(|(_, it)| order.payment(order.payment_name(it.payment_number)));
    payment.is_some_and(|payment| matches!(payment.state, AuthorizationState::Authorized { .. }))
}

fn reserve(world: &World) -> OrderCommand {
    let (sku, available) = (Sku::parse("s").unwrap(), world.stock.available());
    if available >= i64::from(ORDERED) {
        let units = vec![SkuQuantity { sku, quantity: ORDERED, location: LocationId::default() }];
        return OrderCommand::RecordStockReserved(StockReserved {
            units,
            expires_at: expires_at(),
            backorders: vec![],
        });
    }
    let shortages = vec![Shortage { unit: None, sku, requested: ORDERED, available }];
    OrderCommand::RecordStockReservationFailed(StockReservationFailed { shortages, other_units: vec![] })
}

/// Asks the provider. Says whether the visit goes on.
fn ask(world: &mut World, visit: &mut Visit, step: SagaStep, luck: Luck, bug: Option<Bug>) -> Option<bool> {
    let order = Arc::clone(&visit.known.order);
    let payment = match step {
        SagaStep::VoidPayment => next_to_void(&order),
        _ => order.next_to_authorize(),
    };
    if bug == Some(Bug::LetsGoOnlyOfWhatIsRecorded)
        && step == SagaStep::VoidPayment
        && let Some(payment) = payment
        && payment.state == AuthorizationState::None
    {
        let payment_number = order.payment_name(payment.number);
        visit.take(OrderCommand::RecordPaymentVoided(PaymentVoided { payment_number, released_minor: None })).ok()?;
        return Some(true);
    }
    // Means of payment that were given up for another are let go of before anything else happens.
    if bug != Some(Bug::ForgetsReplacedMeans)
        && matches!(step, SagaStep::AuthorizePayment | SagaStep::VoidPayment)
        && let Some(payment) = payment
    {
        for replaced in 0..payment.replaced {
            let _ = world.provider.take(&Call::Void { key: account_key(payment.number, replaced) });
        }
    }
    let Some(call) = call(&order, step, world, bug) else {
        // As `refund_payment` does, and what was refused for good.
        world.stuck = Some(step);
        return Some(false);
    };
    // Then it is looked up, and not asked for.
    if luck != Luck::Good && is_found(&call, world) {
        return None;
    }
    let replaced = order.replaced_means();
    let is_authorization = step == SagaStep::AuthorizePayment;
    let was_unknown = payment.is_some_and(|payment| payment.state == AuthorizationState::Unknown);
    let payment_number = payment.and_then(|payment| order.payment_name(payment.number));
    let unknown =
        OrderCommand::RecordPaymentOutcomeUnknown(PaymentOutcomeUnknown { reason: "?".into(), payment_number });
    match luck {
        Luck::Good => {
            let answered = if is_found(&call, world) { Ok(()) } else { world.provider.take(&call) };
            if answered.is_err() && !is_authorization {
                world.stuck = Some(step);
                return Some(false);
            }
            for command in answer(&order, &call, &answered) {
                if visit.take(command).is_err() {
                    return Some(false);
                }
            }
            Some(true)
        }
        Luck::Declined => {
            let Call::Authorize { key, .. } = call else { return None };
            if !world.provider.decline(key) {
                return None;
            }
            for command in answer(&order, &call, &Err(Refused)) {
                let _ = visit.take(command);
            }
            Some(true)
        }
        Luck::AnswerLost | Luck::Lost => {
            if luck == Luck::AnswerLost {
                let _ = world.provider.take(&call);
            }
            if is_authorization && !was_unknown {
                // The step failed; what it learned is stored at its end.
                let _ = visit.take(unknown);
                visit.save(world);
            }
            Some(false)
        }
        Luck::Late => {
            world.in_flight.push(CallInFlight { call, replaced, is_orphan: false });
            Some(false)
        }
        Luck::Unavailable => Some(false),
        Luck::Refused | Luck::Broke => {
            if !matches!(call, Call::Capture { .. } | Call::Refund { .. }) {
                return None;
            }
            let is_for_good = luck == Luck::Refused;
            world.provider.fail(&call, if is_for_good { Answer::Refused } else { Answer::Broke });
            if is_for_good {
                world.stuck = Some(step);
            }
            Some(false)
        }
    }
}

/// Whether the provider's books have it.
fn is_found(call: &Call, world: &World) -> bool {
    match call {
        Call::Capture { done, .. } | Call::Refund { done, .. } => world.provider.has(done),
        Call::Authorize { .. } | Call::Void { .. } => false,
    }
}

/// The attempt at a movement that is next; `None`: the provider says no.
fn attempt(world: &World, done: &str, retries: u32, bug: Option<Bug>) -> Option<u32> {
    if bug == Some(Bug::IsNotSureOfTheAttemptBefore) {
        return u32::try_from(world.provider.answers.len() + world.in_flight.len()).ok();
    }
    match world.provider.asking(done, retries) {
        Asking::Found => Some(0),
        Asking::Attempt(attempt) => Some(attempt),
        Asking::Refused => None,
    }
}

/// What a step asks for.
fn call(order: &PlacedOrder, step: SagaStep, world: &World, bug: Option<Bug>) -> Option<Call> {
    let held_under = |payment: &Payment| match &payment.state {
        AuthorizationState::Authorized { reference, .. } => reference.parse().ok(),
        _ => None,
    };
    let held_of = |number| order.payment(order.payment_name(number)).and_then(held_under);
    Some(match step {
        SagaStep::AuthorizePayment => {
            let payment = order.next_to_authorize()?;
            let fresh = u32::try_from(world.provider.accounts.len()).ok()?;
            let key = account_key(payment.number, payment.replaced);
            let key = if bug == Some(Bug::DrawsANewKeyForEachTry) { fresh } else { key };
            Call::Authorize { key, amount_minor: payment.amount_minor }
        }
        SagaStep::VoidRest => Call::Void { key: held_under(order.next_rest_to_void()?)? },
        SagaStep::VoidPayment => {
            let payment = next_to_void(order)?;
            Call::Void { key: held_under(payment).unwrap_or(account_key(payment.number, payment.replaced)) }
        }
        SagaStep::CapturePayment => {
            let (shipment, capture) = order.next_capture()?;
            let number = capture.payment_number;
            let done = mark(shipment.id.as_str(), number);
            let open = order.shipments.iter().filter(|it| !it.is_settled()).count();
            Call::Capture {
                key: held_of(number)?,
                attempt: attempt(world, &done, capture.retries, bug)?,
                done,
                amount_minor: order.capture_minor(&shipment.id, number),
                last: order.unshipped().is_empty() && open == 1 || order.is_used_up_by(&shipment.id, number),
            }
        }
        _ => {
            let refund = order.unsettled_refund()?;
            if !order.is_payable(refund) {
                return None;
            }
            let (key, amount_minor) = (held_of(refund.payment_number)?, refund.amount_minor);
            let done = mark(refund.id.as_str(), refund.payment_number);
            Call::Refund { key, attempt: attempt(world, &done, refund.retries, bug)?, done, amount_minor }
        }
    })
}

/// What is recorded of an answer.
pub(crate) fn answer(order: &PlacedOrder, call: &Call, answered: &Result<(), Refused>) -> Vec<OrderCommand> {
    let (Call::Authorize { key, .. } | Call::Void { key } | Call::Capture { key, .. } | Call::Refund { key, .. }) =
        call;
    let payment_number = order.payment_name(payment_of(*key));
    match (call, answered) {
        (Call::Authorize { key, amount_minor }, Ok(())) => {
            let (reference, amount_minor) = (key.to_string(), *amount_minor);
            let authorized = PaymentAuthorized { reference, amount_minor, payment_number };
            vec![OrderCommand::RecordPaymentAuthorized(authorized)]
        }
        (Call::Authorize { .. }, Err(Refused)) => {
            let declined = PaymentDeclined { code: "no".into(), message: "no".into(), payment_number };
            vec![OrderCommand::RecordPaymentDeclined(declined)]
        }
        (Call::Void { .. }, Ok(())) => {
            vec![OrderCommand::RecordPaymentVoided(PaymentVoided { payment_number, released_minor: None })]
        }
        (Call::Capture { done, amount_minor, .. }, Ok(())) => {
            let shipment = order.shipments.iter().find(|it| it.id.as_str() == marked(done));
            let captured = shipment.map(|it| PaymentCaptured {
                shipment_id: it.id.clone(),
                amount_minor: *amount_minor,
                reference: "c".into(),
                payment_number,
            });
            captured.map(OrderCommand::RecordPaymentCaptured).into_iter().collect()
        }
        (Call::Refund { done, amount_minor, .. }, Ok(())) => {
            let refund = order.refunds.iter().chain(&order.given_up).find(|it| it.id.as_str() == marked(done));
            let refunded = refund.map(|it| PaymentRefunded {
                refund_id: it.id.clone(),
                amount_minor: *amount_minor,
                reference: "r".into(),
                payment_number,
            });
            refunded.map(OrderCommand::RecordPaymentRefunded).into_iter().collect()
        }
        (Call::Void { .. } | Call::Capture { .. } | Call::Refund { .. }, Err(Refused)) => vec![],
    }
}
