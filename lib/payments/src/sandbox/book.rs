//! The sandbox's rules: the outcome of a call, given the books. There is no database in here.

mod operation;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub(super) use operation::{Operation, PAYMENT_PREFIX, movement_reference, payment_reference};

use crate::{AuthorizationRequest, CaptureRequest, PaymentError, RefundRequest, VoidRequest};

/// The decline code of an unknown token.
const UNKNOWN_TOKEN: &str = "unknown_token";

/// How often a key fails with `tok_flaky`.
const FLAKY_FAILURES: i16 = 2;

/// The outcome of a call, and when its caller gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) outcome: Result<CallOutcome, PaymentError>,
    pub(super) delay: ReplyDelay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallOutcome {
    Done,
    /// `find` found no such call.
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyDelay {
    AtOnce,
    Slow,
    Never,
}

/// The rows of the books that a batch of calls is about.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// By reference.
    pub(super) payments: HashMap<String, Payment>,
    /// By reference.
    pub(super) movements: HashMap<String, Movement>,
    /// How often a key has failed on purpose, by key.
    pub(super) failures: HashMap<String, Failures>,
}

#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) key: String,
    pub(super) order_id: String,
    pub(super) currency: String,
    pub(super) amount: i64,
    pub(super) token: Option<String>,
    pub(super) declined: Option<String>,
    pub(super) captured: i64,
    pub(super) refunded: i64,
    /// The rest was released.
    pub(super) closed: bool,
    pub(super) state: RowState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Movement {
    pub(super) key: String,
    pub(super) payment: String,
    pub(super) kind: Kind,
    pub(super) amount: i64,
    pub(super) state: RowState,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Failures {
    pub(super) count: i16,
    pub(super) state: RowState,
}

/// Whether a row has to be written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowState {
    #[default]
    AsStored,
    New,
    Changed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Capture,
    Refund,
}

impl Book {
    /// Executes one call.
    pub(super) fn execute(&mut self, operation: &Operation) -> Reply {
        let token = self.token(operation).map(str::to_owned);
        let (outcome, first) = match operation {
            Operation::Find(request) => return Reply { outcome: self.find(request), delay: ReplyDelay::AtOnce },
            Operation::Authorize(request) => {
                let first = !self.payments.contains_key(&operation.payment());
                (self.authorize(request), first)
            }
            Operation::Abandon(request) => (self.abandon(request), false),
            Operation::Capture(request) => (self.capture(request), false),
            Operation::Void(request) => (self.void(request), false),
            Operation::Refund(request) => (self.refund(request), false),
        };
        let delay = match token.as_deref() {
            Some("tok_timeout_then_ok" | "tok_timeout_then_declined") if first => ReplyDelay::Never,
            Some("tok_slow") => ReplyDelay::Slow,
            Some(_) | None => ReplyDelay::AtOnce,
        };
        Reply { outcome, delay }
    }

    fn find(&self, request: &AuthorizationRequest) -> Result<CallOutcome, PaymentError> {
        match self.payments.get(&payment_reference(&request.key)) {
            Some(payment) => payment.answer(request),
            None => Ok(CallOutcome::Absent),
        }
    }

    fn authorize(&mut self, request: &AuthorizationRequest) -> Result<CallOutcome, PaymentError> {
        let reference = payment_reference(&request.key);
        if let Some(payment) = self.payments.get(&reference) {
            return payment.answer(request);
        }
        positive(request.amount_minor)?;
        self.fail_on_purpose(&request.key, request.token.as_deref())?;
        let payment = Payment::new(request);
        let answer = payment.answer(request);
        self.payments.insert(reference, payment);
        answer
    }

    fn capture(&mut self, request: &CaptureRequest) -> Result<CallOutcome, PaymentError> {
        if self.moved(&request.key, &request.reference, Kind::Capture, request.amount_minor)? {
            return Ok(CallOutcome::Done);
        }
        let payment = self.authorized(&request.reference)?;
        payment.in_currency(&request.currency)?;
        if payment.closed {
            return Err(PaymentError::refused("the rest of the payment was let go"));
        }
        let left = payment.amount - payment.captured;
        within(request.amount_minor, left, "authorized and not captured")?;
        let token = payment.token.clone();
        self.fail_on_purpose(&request.key, token.as_deref())?;

        let payment = self.authorized(&request.reference)?;
        payment.captured += request.amount_minor;
        payment.closed = request.last;
        payment.changed();
        self.record(&request.key, &request.reference, Kind::Capture, request.amount_minor);
        Ok(CallOutcome::Done)
    }

    fn void(&mut self, request: &VoidRequest) -> Result<CallOutcome, PaymentError> {
        let payment = self.payment(&request.reference)?;
        // A declined payment holds nothing.
        if payment.closed || payment.declined.is_some() {
            return Ok(CallOutcome::Done);
        }
        let token = payment.token.clone();
        self.fail_on_purpose(&request.key, token.as_deref())?;
        let payment = self.payment(&request.reference)?;
        payment.closed = true;
        payment.changed();
        Ok(CallOutcome::Done)
    }

    /// An unknown key is recorded as released, so that a late request finds it used.
    fn abandon(&mut self, request: &AuthorizationRequest) -> Result<CallOutcome, PaymentError> {
        let payment = self.payments.entry(payment_reference(&request.key)).or_insert_with(|| Payment::new(request));
        if !payment.closed {
            payment.closed = true;
            payment.changed();
        }
        Ok(CallOutcome::Done)
    }

    fn refund(&mut self, request: &RefundRequest) -> Result<CallOutcome, PaymentError> {
        if self.moved(&request.key, &request.reference, Kind::Refund, request.amount_minor)? {
            return Ok(CallOutcome::Done);
        }
        let payment = self.authorized(&request.reference)?;
        payment.in_currency(&request.currency)?;
        within(request.amount_minor, payment.captured - payment.refunded, "captured and not refunded")?;
        let token = payment.token.clone();
        self.fail_on_purpose(&request.key, token.as_deref())?;

        let payment = self.authorized(&request.reference)?;
        payment.refunded += request.amount_minor;
        payment.changed();
        self.record(&request.key, &request.reference, Kind::Refund, request.amount_minor);
        Ok(CallOutcome::Done)
    }

    /// Whether this very movement was made before.
    fn moved(&self, key: &str, payment: &str, kind: Kind, amount: i64) -> Result<bool, PaymentError> {
        let Some(made) = self.movements.get(&movement_reference(key)) else { return Ok(false) };
        let same = made.payment == payment && made.kind == kind && made.amount == amount;
        if same { Ok(true) } else { Err(used_key(key)) }
    }

    fn record(&mut self, key: &str, payment: &str, kind: Kind, amount: i64) {
        let movement =
            Movement { key: key.to_owned(), payment: payment.to_owned(), kind, amount, state: RowState::New };
        self.movements.insert(movement_reference(key), movement);
    }

    fn fail_on_purpose(&mut self, key: &str, token: Option<&str>) -> Result<(), PaymentError> {
        if token != Some("tok_flaky") {
            return Ok(());
        }
        let failures = self.failures.entry(key.to_owned()).or_default();
        if failures.count >= FLAKY_FAILURES {
            return Ok(());
        }
        *failures = Failures { count: failures.count + 1, state: RowState::Changed };
        Err(PaymentError::unknown("the sandbox failed, as its token says"))
    }

    fn payment(&mut self, reference: &str) -> Result<&mut Payment, PaymentError> {
        let missing = || PaymentError::refused(format!("there is no payment {reference}"));
        self.payments.get_mut(reference).ok_or_else(missing)
    }

    fn authorized(&mut self, reference: &str) -> Result<&mut Payment, PaymentError> {
        let payment = self.payment(reference)?;
        if payment.declined.is_some() { Err(PaymentError::refused("the payment was declined")) } else { Ok(payment) }
    }

    /// The token of the payment that a call is about.
    fn token<'a>(&'a self, operation: &'a Operation) -> Option<&'a str> {
        match operation {
            Operation::Authorize(request) | Operation::Find(request) | Operation::Abandon(request) => {
                request.token.as_deref()
            }
            Operation::Capture(_) | Operation::Void(_) | Operation::Refund(_) => {
                self.payments.get(&operation.payment())?.token.as_deref()
            }
        }
    }
}

impl Payment {
    fn new(request: &AuthorizationRequest) -> Self {
        let declined = match request.token.as_deref() {
            Some("tok_declined" | "tok_timeout_then_declined") => Some("card_declined".to_owned()),
            None | Some("tok_ok" | "tok_timeout_then_ok" | "tok_slow" | "tok_flaky") => None,
            // A misspelt token must not look like a successful payment.
            Some(_) => Some(UNKNOWN_TOKEN.to_owned()),
        };
        Self {
            key: request.key.clone(),
            order_id: request.order_id.clone(),
            currency: request.currency.clone(),
            amount: request.amount_minor,
            token: request.token.clone(),
            declined,
            captured: 0,
            refunded: 0,
            closed: false,
            state: RowState::New,
        }
    }

    /// The answer to the authorization, the same for every repetition.
    fn answer(&self, request: &AuthorizationRequest) -> Result<CallOutcome, PaymentError> {
        let same = self.order_id == request.order_id
            && self.currency == request.currency
            && self.amount == request.amount_minor
            && self.token == request.token;
        if !same {
            return Err(used_key(&request.key));
        }
        match &self.declined {
            Some(code) if code == UNKNOWN_TOKEN => {
                Err(PaymentError::declined(code, "the sandbox knows no such token; tok_ok is one that is paid"))
            }
            Some(code) => Err(PaymentError::declined(code, "the sandbox declined it, as its token says")),
            None => Ok(CallOutcome::Done),
        }
    }

    fn in_currency(&self, currency: &str) -> Result<(), PaymentError> {
        if self.currency == currency {
            return Ok(());
        }
        Err(PaymentError::refused(format!("the payment is in {}, not {currency}", self.currency)))
    }

    fn changed(&mut self) {
        if self.state == RowState::AsStored {
            self.state = RowState::Changed;
        }
    }
}

fn positive(amount: i64) -> Result<(), PaymentError> {
    if amount > 0 { Ok(()) } else { Err(PaymentError::refused("the amount must be at least 1")) }
}

fn within(amount: i64, left: i64, what: &str) -> Result<(), PaymentError> {
    positive(amount)?;
    if amount <= left { Ok(()) } else { Err(PaymentError::refused(format!("{amount} is more than the {left} {what}"))) }
}

fn used_key(key: &str) -> PaymentError {
    PaymentError::refused(format!("the key {key} was used for another request"))
}
