//! A payment provider that misbehaves on request and remembers what was done.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use payments::{
    AcceptedRefund, AuthorizationRequest, CaptureRequest, CapturedPayment, PaymentAuthorization, PaymentError,
    PaymentGateway, RefundRequest, VoidRequest,
};

/// The kinds of calls to a payment provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PaymentCall {
    /// Hold money.
    Authorize,
    /// Look up whether money is held.
    Find,
    /// Take money that is held.
    Capture,
    /// Let go of money that is held.
    Void,
    /// Give back money that was taken.
    Refund,
}

/// What is wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentFault {
    /// The call fails before it reaches the provider, and the caller knows that.
    Unavailable,
    /// The provider does what is asked, and its answer gets lost.
    AnswerLost,
    /// The call never reaches the provider, and the caller can not know that.
    Lost,
    /// The provider declines for good.
    Declined,
    /// The provider does not understand it.
    Refused,
    /// The same, of a movement of money, and it says so again whenever it is asked under this key for the same attempt.
    Kept,
    /// The provider does what is asked, and never answers.
    NoAnswer,
}

/// A payment provider in memory. Clones are the same provider.
#[derive(Clone, Default)]
pub struct FaultyGateway(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    faults: HashMap<PaymentCall, VecDeque<PaymentFault>>,
    always: HashMap<PaymentCall, PaymentFault>,
    calls: BTreeMap<PaymentCall, usize>,
    payments: BTreeMap<String, Payment>,
    done: HashMap<String, String>,
    /// By key, how often a movement was refused for good.
    kept: HashMap<String, u32>,
}

/// What the provider knows of a payment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payment {
    /// How much it agreed to hold.
    pub authorized: i64,
    /// How much of that it took.
    pub captured: i64,
    /// How much of that it gave back.
    pub refunded: i64,
    /// Whether it let go of the rest.
    pub voided: bool,
}

impl Payment {
    /// Whether it holds money that was not taken.
    pub fn is_held(&self) -> bool {
        !self.voided && self.captured < self.authorized
    }
}

impl FaultyGateway {
    /// Has the next call of a kind go wrong, after those that are to go wrong already.
    pub fn next(&self, call: PaymentCall, fault: PaymentFault) {
        self.state(|state| state.faults.entry(call).or_default().push_back(fault));
    }

    /// Has all calls of a kind go wrong from now on, or none any more.
    pub fn always(&self, call: PaymentCall, fault: Option<PaymentFault>) {
        self.state(|state| match fault {
            Some(fault) => state.always.insert(call, fault),
            None => state.always.remove(&call),
        });
    }

    /// How often it was asked for this.
    pub fn calls(&self, call: PaymentCall) -> usize {
        self.state(|state| state.calls.get(&call).copied().unwrap_or(0))
    }

    /// What it knows of the payments, by the keys they were authorized under.
    pub fn payments(&self) -> BTreeMap<String, Payment> {
        self.state(|state| state.payments.clone())
    }

    fn state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a call, and does what it asks unless it is to go wrong.
    async fn call<T>(
        &self,
        call: PaymentCall,
        effect: impl FnOnce(&mut State) -> Result<T, PaymentError>,
    ) -> Result<T, PaymentError> {
        self.attempt(call, None, effect).await
    }

    /// The same for a movement of money: what was refused for good stays so until it is another attempt.
    async fn attempt<T>(
        &self,
        call: PaymentCall,
        attempt: Option<(&str, u32)>,
        effect: impl FnOnce(&mut State) -> Result<T, PaymentError>,
    ) -> Result<T, PaymentError> {
        let (fault, done) = self.state(|state| {
            *state.calls.entry(call).or_default() += 1;
            let fault = state.faults.get_mut(&call).and_then(VecDeque::pop_front);
            let fault = fault.or_else(|| state.always.get(&call).copied());
            if let (Some(PaymentFault::Kept), Some((key, _))) = (fault, attempt) {
                *state.kept.entry(key.to_owned()).or_default() += 1;
            }
            let is_kept = attempt.is_some_and(|(key, retries)| state.kept.get(key).is_some_and(|kept| *kept > retries));
            let fault = if is_kept { Some(PaymentFault::Kept) } else { fault };
            let gets_there = matches!(fault, None | Some(PaymentFault::AnswerLost | PaymentFault::NoAnswer));
            (fault, gets_there.then(|| effect(state)))
        });
        let unknown = || PaymentError::Unknown { reason: "the answer got lost".into() };
        match fault {
            Some(PaymentFault::Unavailable) => Err(PaymentError::Unavailable { reason: "out of order".into() }),
            Some(PaymentFault::Declined) => {
                Err(PaymentError::Declined { code: "card_declined".into(), message: "no funds".into() })
            }
            Some(PaymentFault::Refused | PaymentFault::Kept) => {
                Err(PaymentError::Refused { reason: "no such token".into() })
            }
            Some(PaymentFault::AnswerLost | PaymentFault::Lost) => Err(unknown()),
            Some(PaymentFault::NoAnswer) => std::future::pending().await,
            None => done.unwrap_or_else(|| Err(unknown())),
        }
    }
}

fn refused<T>(reason: &str) -> Result<T, PaymentError> {
    Err(PaymentError::Refused { reason: reason.to_owned() })
}

impl State {
    fn payment(&mut self, reference: &str) -> Result<&mut Payment, PaymentError> {
        match self.payments.get_mut(reference) {
            Some(payment) => Ok(payment),
            None => refused("there is no such payment"),
        }
    }
}

#[async_trait]
impl PaymentGateway for FaultyGateway {
    async fn authorize(&self, request: &AuthorizationRequest) -> Result<PaymentAuthorization, PaymentError> {
        self.call(PaymentCall::Authorize, |state| {
            let payment = state
                .payments
                .entry(request.key.clone())
                .or_insert_with(|| Payment { authorized: request.amount_minor, ..Payment::default() });
            if payment.voided {
                return Err(PaymentError::Declined { code: "voided".into(), message: "it was let go of".into() });
            }
            // The key is the reference.
            Ok(PaymentAuthorization { reference: request.key.clone() })
        })
        .await
    }

    async fn find(&self, request: &AuthorizationRequest) -> Result<Option<PaymentAuthorization>, PaymentError> {
        self.call(PaymentCall::Find, |state| {
            Ok(state.payments.get(&request.key).map(|_| PaymentAuthorization { reference: request.key.clone() }))
        })
        .await
    }

    async fn capture(&self, request: &CaptureRequest) -> Result<CapturedPayment, PaymentError> {
        let attempt = Some((request.key.as_str(), request.retries));
        self.attempt(PaymentCall::Capture, attempt, |state| {
            if state.done.contains_key(&request.key) {
                return Ok(CapturedPayment { reference: request.key.clone() });
            }
            let payment = state.payment(&request.reference)?;
            if payment.voided || payment.captured + request.amount_minor > payment.authorized {
                return refused("that is more than is held");
            }
            payment.captured += request.amount_minor;
            payment.voided = request.last;
            state.done.insert(request.key.clone(), request.key.clone());
            Ok(CapturedPayment { reference: request.key.clone() })
        })
        .await
    }

    async fn void(&self, request: &VoidRequest) -> Result<(), PaymentError> {
        self.call(PaymentCall::Void, |state| {
            state.payment(&request.reference)?.voided = true;
            Ok(())
        })
        .await
    }

    async fn abandon(&self, request: &AuthorizationRequest) -> Result<(), PaymentError> {
        self.call(PaymentCall::Void, |state| {
            state.payments.entry(request.key.clone()).or_default().voided = true;
            Ok(())
        })
        .await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<AcceptedRefund, PaymentError> {
        let attempt = Some((request.key.as_str(), request.retries));
        self.attempt(PaymentCall::Refund, attempt, |state| {
            if state.done.contains_key(&request.key) {
                return Ok(AcceptedRefund { reference: request.key.clone() });
            }
            let payment = state.payment(&request.reference)?;
            if payment.refunded + request.amount_minor > payment.captured {
                return refused("that is more than was taken");
            }
            payment.refunded += request.amount_minor;
            state.done.insert(request.key.clone(), request.key.clone());
            Ok(AcceptedRefund { reference: request.key.clone() })
        })
        .await
    }
}
