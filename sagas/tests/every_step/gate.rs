//! A provider whose answers, or the calls to it, are held up until the test lets them through.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use payments::{
    AcceptedRefund, AuthorizationRequest, CaptureRequest, CapturedPayment, PaymentAuthorization, PaymentError,
    PaymentGateway, RefundRequest, VoidRequest,
};
use testkit::{FaultyGateway, PaymentCall};
use tokio::sync::oneshot;

/// Where a call is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    /// On its way there.
    Call,
    /// The provider has done it.
    Answer,
}

/// The next call of a kind, held up.
pub(crate) struct Gate {
    reached: oneshot::Receiver<()>,
    open: oneshot::Sender<()>,
}

/// A provider with gates.
pub(crate) struct GatedGateway {
    gateway: FaultyGateway,
    gates: Mutex<HashMap<(Held, PaymentCall), Gateside>>,
}

/// The provider's side of a gate: says that it is reached, hears that it is open.
type Gateside = (oneshot::Sender<()>, oneshot::Receiver<()>);

impl Gate {
    pub(crate) async fn reached(&mut self) {
        tokio::time::timeout(crate::world::PATIENCE, &mut self.reached).await.unwrap().unwrap();
    }

    pub(crate) fn open(self) {
        self.open.send(()).unwrap();
    }
}

impl GatedGateway {
    pub(crate) fn new(gateway: FaultyGateway) -> Self {
        Self { gateway, gates: Mutex::default() }
    }

    /// Holds up the next call of a kind.
    pub(crate) fn hold(&self, held: Held, call: PaymentCall) -> Gate {
        let ((reaches, reached), (open, opened)) = (oneshot::channel(), oneshot::channel());
        self.gates.lock().unwrap().insert((held, call), (reaches, opened));
        Gate { reached, open }
    }

    async fn pass<T>(&self, call: PaymentCall, work: impl Future<Output = T>) -> T {
        self.meet(Held::Call, call).await;
        let answer = work.await;
        self.meet(Held::Answer, call).await;
        answer
    }

    async fn meet(&self, held: Held, call: PaymentCall) {
        let gate = self.gates.lock().unwrap().remove(&(held, call));
        if let Some((reaches, opened)) = gate {
            let _ = reaches.send(());
            let _ = opened.await;
        }
    }
}

#[async_trait]
impl PaymentGateway for GatedGateway {
    async fn authorize(&self, request: &AuthorizationRequest) -> Result<PaymentAuthorization, PaymentError> {
        self.pass(PaymentCall::Authorize, self.gateway.authorize(request)).await
    }

    async fn find(&self, request: &AuthorizationRequest) -> Result<Option<PaymentAuthorization>, PaymentError> {
        self.pass(PaymentCall::Find, self.gateway.find(request)).await
    }

    async fn capture(&self, request: &CaptureRequest) -> Result<CapturedPayment, PaymentError> {
        self.pass(PaymentCall::Capture, self.gateway.capture(request)).await
    }

    async fn void(&self, request: &VoidRequest) -> Result<(), PaymentError> {
        self.pass(PaymentCall::Void, self.gateway.void(request)).await
    }

    async fn abandon(&self, request: &AuthorizationRequest) -> Result<(), PaymentError> {
        self.pass(PaymentCall::Void, self.gateway.abandon(request)).await
    }

    async fn refund(&self, request: &RefundRequest) -> Result<AcceptedRefund, PaymentError> {
        self.pass(PaymentCall::Refund, self.gateway.refund(request)).await
    }
}
