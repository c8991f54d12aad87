//! Mails that were given up, and that no operator has decided about since. As long as there are any, a customer does not know something.
//!
//! Only the log has them. A mail is no longer given up once it went out after all, once somebody has it sent again or an operator skips it, or once
//! it would not be true: a cancelled order is not confirmed. [`OrderGivenUpMails`] is this rule for one order, [`FROM`] for all orders at once.

use chrono::{DateTime, Utc};
use domain::order::OrderEvent;
use domain::order::event::{MailTemplate, NotificationFailed};
use domain::order::saga::{OperatorDecision, SagaStep};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use super::history::notifying_saga;

/// The mails of an order that were given up.
#[derive(Debug, Default)]
pub struct OrderGivenUpMails {
    mails: Vec<NotificationFailed>,
    is_cancelled: bool,
}

impl OrderGivenUpMails {
    /// Adds the next event of the order.
    pub fn add(&mut self, event: &OrderEvent) {
        if let OrderEvent::NotificationFailed(failed) = event {
            self.mails.push(failed.clone());
        }
        self.is_cancelled |= matches!(event, OrderEvent::OrderCancelled(_));
        if self.is_cancelled {
            self.mails.retain(|failed| failed.template != MailTemplate::OrderConfirmed);
        }
        if let OrderEvent::NotificationSent(sent) = event {
            self.mails.retain(|failed| failed.notification_id != sent.notification_id);
        }
        if let OrderEvent::MailResendRequested(wanted) = event {
            self.mails.retain(|failed| failed.notification_id != wanted.notification_id);
        }
        if let OrderEvent::OperatorIntervened(it) = event
            && it.step == SagaStep::NotifyCustomer
            && matches!(it.decision, OperatorDecision::Retry { .. } | OperatorDecision::Skip)
        {
            self.mails.clear();
        }
    }

    /// The mails that no operator has decided about.
    pub fn mails(&self) -> &[NotificationFailed] {
        &self.mails
    }

    /// Whether this saga would have to send one of them.
    pub(super) fn is_of(&self, saga: &str) -> bool {
        self.mails.iter().any(|failed| notifying_saga(failed.template) == saga)
    }
}

/// A mail that was given up, and that no operator has decided about since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUpMail {
    pub order_id: String,
    pub template: String,
    /// Why it was given up.
    pub reason: String,
    /// When it was given up.
    pub since: DateTime<Utc>,
    /// The position of the event.
    pub position: i64,
}

/// Which of these mails. All conditions that are given must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct GivenUpMailFilter<'a> {
    /// Only mails whose reason contains this.
    pub error: Option<&'a str>,
    /// Only mails that were given up by then.
    pub until: Option<DateTime<Utc>>,
}

/// How many mails were given up for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUpMailGroup {
    pub template: String,
    /// Why they were given up.
    pub reason: String,
    pub count: i64,
}

const FROM: &str = "from events f, lateral (
        select f.payload -> 'NotificationFailed' ->> 'template' as template,
               f.payload -> 'NotificationFailed' ->> 'reason' as reason) as mail
     where f.aggregate_type = 'order' and f.event_type = 'NotificationFailed'
       and not exists (select from events l
         where l.aggregate_type = 'order' and l.aggregate_id = f.aggregate_id and l.sequence > f.sequence
           and (l.event_type = 'NotificationSent' and l.payload -> 'NotificationSent' ->> 'notificationId'
                                                    = f.payload -> 'NotificationFailed' ->> 'notificationId'
             or l.event_type = 'MailResendRequested' and l.payload -> 'MailResendRequested' ->> 'notificationId'
                                                       = f.payload -> 'NotificationFailed' ->> 'notificationId'
             or l.event_type = 'OperatorIntervened' and l.payload -> 'OperatorIntervened' ->> 'step' = 'notify_customer'
                and (l.payload -> 'OperatorIntervened' ->> 'verb' = 'skip'
                  or l.payload -> 'OperatorIntervened' -> 'verb' -> 'retry' is not null)))
       and not (mail.template = 'order-confirmed' and exists (select from events c
         where c.aggregate_type = 'order' and c.aggregate_id = f.aggregate_id and c.event_type = 'OrderCancelled'))
       and ($1::text is null or strpos(mail.reason, $1) > 0) and ($2::timestamptz is null or f.recorded_at <= $2)";

/// A page of these mails, longest first. `after` is the position of the last mail of the page before.
pub async fn given_up(
    pool: &PgPool,
    filter: GivenUpMailFilter<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<GivenUpMail>, sqlx::Error> {
    let query = format!(
        "select f.aggregate_id, mail.template, mail.reason, f.recorded_at, f.global_position {FROM}
            and f.global_position > $3 order by f.global_position limit $4"
    );
    let rows = sqlx::query(&query).bind(filter.error).bind(filter.until).bind(after).bind(limit);
    let mail = |row: &PgRow| {
        Ok(GivenUpMail {
            order_id: row.try_get(0)?,
            template: row.try_get(1)?,
            reason: row.try_get(2)?,
            since: row.try_get(3)?,
            position: row.try_get(4)?,
        })
    };
    rows.fetch_all(pool).await?.iter().map(mail).collect()
}

/// How many mails were given up for which reason: the hundred most frequent reasons, most frequent first.
pub async fn given_up_groups(
    pool: &PgPool,
    filter: GivenUpMailFilter<'_>,
) -> Result<Vec<GivenUpMailGroup>, sqlx::Error> {
    let query = format!(
        "select mail.template, mail.reason, count(*) {FROM}
          group by 1, 2 order by count(*) desc, 1, 2 limit 100"
    );
    let rows = sqlx::query(&query).bind(filter.error).bind(filter.until);
    let group = |row: &PgRow| {
        Ok(GivenUpMailGroup { template: row.try_get(0)?, reason: row.try_get(1)?, count: row.try_get(2)? })
    };
    rows.fetch_all(pool).await?.iter().map(group).collect()
}

/// How many mails were given up, by template.
pub async fn count_given_up(pool: &PgPool, filter: GivenUpMailFilter<'_>) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let query = format!("select mail.template, count(*) {FROM} group by 1");
    sqlx::query_as(&query).bind(filter.error).bind(filter.until).fetch_all(pool).await
}
