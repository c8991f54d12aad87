//! The follower of the log that issues the documents that orders call for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use cqrs_es::Aggregate;
use domain::document::{DocumentSeries, Seller};
use domain::order::event::{OperatorEvent, OrderSubject, PaymentEvent, RefundEvent};
use domain::order::saga::SagaStep;
use domain::order::{Order, OrderEvent};
use event_store::read::last_position;
use event_store::{
    ConflictRetryPolicy, EventStore, HandleError, ReadError, StoredEvent, StreamLocks, Subscriber, SubscriberError,
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::issue_command::{IssueCause, IssueDocuments, IssueError};

/// The name of the subscription.
const SUBSCRIPTION: &str = "documents";
/// Orders whose documents are issued in one append.
const ORDERS: usize = 50;
/// How often orders are decided on together; after that each is decided on by itself.
const ATTEMPTS_TOGETHER: u32 = 2;
/// Series that are cached. There are two a year.
const SERIES_REMEMBERED: usize = 16;

/// Issues documents as `seller` until told to stop. Any number of copies share the work.
pub async fn run(store: EventStore, seller: Seller, stop: CancellationToken) {
    let series = StreamLocks::new(store.clone(), SERIES_REMEMBERED);
    let issuer = DocumentIssuer { store: store.clone(), series, seller: Arc::new(seller) };
    store.subscribe(issuer, stop).await;
}

/// Issues what the orders of new events call for.
struct DocumentIssuer {
    store: EventStore,
    series: StreamLocks<DocumentSeries>,
    seller: Arc<Seller>,
}

#[async_trait]
impl Subscriber for DocumentIssuer {
    fn name(&self) -> &str {
        SUBSCRIPTION
    }

    fn follows(&self) -> Option<&'static str> {
        Some(Order::TYPE)
    }

    /// What happened before there was a seller is on others' invoices.
    async fn begins_after(&mut self, transaction: &mut PgConnection) -> Result<i64, sqlx::Error> {
        last_position(transaction).await
    }

    async fn handle(&mut self, events: &[StoredEvent], transaction: &mut PgConnection) -> Result<(), SubscriberError> {
        // The last of these events of each order is what its documents are traced back to.
        let mut causes: BTreeMap<&str, IssueCause<'_>> = BTreeMap::new();
        for event in events {
            if let Some(settles) = calls_for_documents(&event.decode::<Order>()?) {
                let cause = causes.entry(&event.stream_id).or_insert(IssueCause { event, settles });
                *cause = IssueCause { event, settles: settles || cause.settles };
            }
        }
        if causes.is_empty() {
            return Ok(());
        }
        let now: DateTime<Utc> = sqlx::query_scalar("select now()").fetch_one(&mut *transaction).await?;
        let causes: Vec<IssueCause<'_>> = causes.into_values().collect();
        for causes in causes.chunks(ORDERS) {
            self.issue_together(causes, now.date_naive()).await?;
        }
        Ok(())
    }
}

impl DocumentIssuer {
    /// Issues the documents of several orders in one append, or if others keep changing one of them, of each by itself.
    async fn issue_together(&self, causes: &[IssueCause<'_>], today: NaiveDate) -> Result<(), SubscriberError> {
        match self.issue(causes, today, ConflictRetryPolicy::attempts(ATTEMPTS_TOGETHER)).await {
            Err(HandleError::Contended { .. }) if causes.len() > 1 => {}
            issued => return issued.map_err(failed),
        }
        for cause in causes {
            self.issue(std::slice::from_ref(cause), today, ConflictRetryPolicy::default()).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn issue(
        &self,
        causes: &[IssueCause<'_>],
        today: NaiveDate,
        retry: ConflictRetryPolicy,
    ) -> Result<(), HandleError<IssueError>> {
        let mut command = IssueDocuments::new(&self.store, &self.series, &self.seller, causes, today);
        self.store.handle(&mut command, None, retry).await.map(drop)
    }
}

/// Nothing about an order makes it impossible to issue its documents, but an event that this build does not know.
fn failed(error: HandleError<IssueError>) -> SubscriberError {
    match error {
        HandleError::Undecidable(IssueError::Unknown(error)) | HandleError::Read(ReadError::Decode(error)) => {
            error.into()
        }
        HandleError::Undecidable(IssueError::Database(error)) | HandleError::Read(ReadError::Database(error)) => {
            error.into()
        }
        // What is wrong with one order holds up no other.
        error @ HandleError::Undecidable(IssueError::Encode(_) | IssueError::Id(_) | IssueError::Series(_)) => {
            SubscriberError::poison(error)
        }
        error @ (HandleError::Refused(_)
        | HandleError::Contended { .. }
        | HandleError::KeyReused
        | HandleError::Append(_)
        | HandleError::Encode(_)) => SubscriberError::unavailable(error),
    }
}

/// Whether an order may call for a document after this event and did not before: `true` if a shipment is settled by it, and so may
/// call for an invoice; `false` if some of a refund is.
fn calls_for_documents(event: &OrderEvent) -> Option<bool> {
    match event.subject() {
        OrderSubject::Payment(PaymentEvent::PaymentCaptured(_)) => Some(true),
        OrderSubject::Refund(RefundEvent::PaymentRefunded(_)) => Some(false),
        // The money is given up.
        OrderSubject::Operator(OperatorEvent::OperatorIntervened(it)) => {
            let settles = it.step == SagaStep::CapturePayment;
            let refunds = matches!(it.step, SagaStep::RefundPayment | SagaStep::RefundManually);
            (settles || refunds).then_some(settles)
        }
        OrderSubject::Payment(
            PaymentEvent::PaymentAuthorized(_)
            | PaymentEvent::PaymentDeclined(_)
            | PaymentEvent::PaymentOutcomeUnknown(_)
            | PaymentEvent::PaymentVoided(_),
        )
        | OrderSubject::Refund(RefundEvent::RefundRequested(_))
        | OrderSubject::Lifecycle(_)
        | OrderSubject::Reservation(_)
        | OrderSubject::Fulfilment(_)
        | OrderSubject::Return(_)
        | OrderSubject::Notification(_)
        | OrderSubject::Note(_)
        | OrderSubject::Document(_) => None,
    }
}

/// The series whose numbers may be taken on a day.
pub(crate) fn series_on(today: NaiveDate) -> BTreeSet<String> {
    use domain::document::{DocumentKind, series_of};
    [DocumentKind::Invoice, DocumentKind::CreditNote].map(|kind| series_of(kind, today)).into()
}
