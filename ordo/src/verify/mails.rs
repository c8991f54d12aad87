//! Each mail was sent once, and for something that happened.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::findings::Findings;
use super::order::AuditedOrder;

/// The mails by the orders' events.
#[derive(Debug, Default)]
pub(super) struct ExpectedMailCounts {
    pub(super) sent: usize,
    /// Failed mails that no operator has decided about since.
    pub(super) given_up: usize,
}

#[derive(sqlx::FromRow)]
struct DeliveryRecordRow {
    notification_id: Uuid,
    order_id: String,
    template: String,
    provider_message_id: Option<String>,
}

/// Compares orders with the delivery records.
pub(super) async fn check(
    connection: &mut PgConnection,
    ids: &[String],
    orders: &[AuditedOrder],
    mails: &mut ExpectedMailCounts,
    findings: &mut Findings,
) -> Result<(), sqlx::Error> {
    let sent: Vec<DeliveryRecordRow> = sqlx::query_as(
        "select notification_id, order_id, template, provider_message_id
           from notification_deliveries where order_id = any($1) and outcome = 'sent'",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let mut by_order: HashMap<&str, Vec<&DeliveryRecordRow>> = HashMap::new();
    for delivery in &sent {
        by_order.entry(&delivery.order_id).or_default().push(delivery);
    }
    for order in orders {
        mails.sent += order.sent.len();
        mails.given_up += order.given_up.mails().len();
        compare(order, by_order.get(order.id.as_str()).map_or(&[][..], Vec::as_slice), findings);
    }
    Ok(())
}

fn compare(order: &AuditedOrder, deliveries: &[&DeliveryRecordRow], findings: &mut Findings) {
    let mut wrong = |what: String| findings.add(order.about(), what);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for delivery in deliveries {
        *counts.entry(&delivery.template).or_default() += 1;
    }
    for (template, count) in counts {
        let owed = order.owed.iter().find(|(owed, _)| owed.name() == template).map_or(0, |(_, count)| *count);
        if count > owed {
            wrong(format!("{count} mails {template} were sent, and what they tell happened {owed} times"));
        }
    }
    let mut seen = HashSet::new();
    for told in &order.sent {
        if !seen.insert(told.notification_id) {
            wrong(format!("mail {} is noted as sent twice", told.notification_id));
        }
        let record = deliveries.iter().find(|delivery| delivery.notification_id == told.notification_id);
        match record {
            None => wrong(format!("mail {} is noted as sent, and there is no record of it", told.notification_id)),
            Some(record) if record.provider_message_id.as_deref() != Some(told.provider_message_id.as_str()) => {
                let known = record.provider_message_id.as_deref().unwrap_or("nothing");
                let (mail, noted) = (told.notification_id, &told.provider_message_id);
                wrong(format!("mail {mail} is noted as {noted}, and recorded as {known}"));
            }
            Some(_) => {}
        }
    }
}

/// Checks that the orders of all delivery records exist.
pub(super) async fn check_strays(connection: &mut PgConnection, findings: &mut Findings) -> Result<(), sqlx::Error> {
    let strays: Vec<(String, String)> = sqlx::query_as(
        "select d.order_id, d.template from notification_deliveries d
          where d.outcome = 'sent'
            and not exists (select from events e where e.aggregate_type = 'order' and e.aggregate_id = d.order_id)
          order by 1, 2",
    )
    .fetch_all(connection)
    .await?;
    for (order_id, template) in strays {
        findings.add(format!("order {order_id}"), format!("a mail {template} was sent, and there is no such order"));
    }
    Ok(())
}
