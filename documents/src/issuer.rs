//! The follower of the log that issues the documents that orders call for.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use domain::document::{DocumentSeries, Seller};
use domain::order::event::{OperatorEvent, OrderDocumentEvent, OrderSubject, PaymentEvent, RefundEvent};
use domain::order::saga::SagaStep;
use domain::order::{Order, OrderEvent};
use event_store::read::last_position;
use event_store::{EventStore, StoredEvent, StreamLocks, Subscriber, SubscriberError};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::append::issue_together;
use crate::issue_command::{IssueCause, IssueDocuments};
use crate::metrics::DocumentMetrics;

/// The name of the subscription.
const SUBSCRIPTION: &str = "documents";
/// Series that are cached. There are two a year.
const SERIES_REMEMBERED: usize = 16;

/// Issues documents as `seller` until told to stop. Any number of copies share the work. What happened before the first one began is on
/// others' invoices.
pub async fn issue_documents(store: EventStore, seller: Seller, metrics: DocumentMetrics, stop: CancellationToken) {
    let series = StreamLocks::new(store.clone(), SERIES_REMEMBERED);
    let issuer = DocumentIssuer { store: store.clone(), series, seller: Arc::new(seller), metrics };
    store.subscribe(issuer, stop).await;
}

/// Issues what the orders of new events call for.
struct DocumentIssuer {
    store: EventStore,
    series: StreamLocks<DocumentSeries>,
    seller: Arc<Seller>,
    metrics: DocumentMetrics,
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
        let (mut invoices, mut credit_notes) = (0, 0);
        for event in events {
            let happened = event.decode::<Order>()?;
            if let OrderSubject::Document(issued) = happened.subject() {
                match issued {
                    OrderDocumentEvent::InvoiceIssued(_) => invoices += 1,
                    OrderDocumentEvent::CreditNoteIssued(_) => credit_notes += 1,
                }
            }
            if let Some(settles) = calls_for_documents(&happened) {
                let cause = causes.entry(&event.stream_id).or_insert(IssueCause { event, settles });
                *cause = IssueCause { event, settles: settles || cause.settles };
            }
        }
        if !causes.is_empty() {
            let now: DateTime<Utc> = sqlx::query_scalar("select now()").fetch_one(&mut *transaction).await?;
            let (causes, today): (Vec<IssueCause<'_>>, _) = (causes.into_values().collect(), now.date_naive());
            let Self { store, series, seller, .. } = self;
            issue_together(store, &causes, |causes| IssueDocuments { store, series, seller, causes, today }).await?;
        }
        self.metrics.documents_issued("invoice", invoices);
        self.metrics.documents_issued("creditNote", credit_notes);
        Ok(())
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
        | OrderSubject::Edit(_)
        | OrderSubject::Fulfilment(_)
        | OrderSubject::Return(_)
        | OrderSubject::Notification(_)
        | OrderSubject::Note(_)
        | OrderSubject::Document(_) => None,
    }
}
