//! The sandbox's payments agree with the orders. The payments of other providers cannot be checked here.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::order::{AuthorizationState, Payment};
use payments::{SandboxPaymentRow, is_sandbox_payment, ledger_of};
use sqlx::PgConnection;

use super::findings::Findings;
use super::order::AuditedOrder;

/// Compares orders with the sandbox's payments.
pub(super) async fn check(
    connection: &mut PgConnection,
    ids: &[String],
    orders: &[AuditedOrder],
    findings: &mut Findings,
) -> Result<(), sqlx::Error> {
    let now: DateTime<Utc> = sqlx::query_scalar("select now()").fetch_one(&mut *connection).await?;
    let mut sandbox_ledger: HashMap<String, Vec<SandboxPaymentRow>> = HashMap::new();
    for row in ledger_of(connection, ids).await? {
        sandbox_ledger.entry(row.order_id.clone()).or_default().push(row);
    }
    for order in orders {
        let rows = sandbox_ledger.get(&order.id).map_or(&[][..], Vec::as_slice);
        compare(order, rows, order.is_at_rest(now), findings);
    }
    Ok(())
}

fn held(row: &SandboxPaymentRow) -> i64 {
    row.authorized - row.captured - row.voided
}

fn compare(order: &AuditedOrder, rows: &[SandboxPaymentRow], at_rest: bool, findings: &mut Findings) {
    let mut wrong = |what: String| findings.add(order.about(), what);
    let live = rows.iter().filter(|row| held(row) > 0).count();
    let payments = order.placed.payments.iter().filter(|payment| !payment.is_paid_elsewhere()).count();
    if live > payments {
        wrong(format!("{live} authorizations of it hold money, and it has {payments} payments"));
    }
    let currency = order.placed.content.currency.code();
    for row in rows.iter().filter(|row| row.currency != currency) {
        wrong(format!("it is in {currency}, and {} in {}", row.reference, row.currency));
    }
    if order.money_is_by_hand() {
        return;
    }
    let taken: i64 = rows.iter().map(|row| row.captured - row.refunded).sum();
    let kept: i64 = rows.iter().map(held).sum();
    if order.is_undone() && (taken != 0 || kept != 0) {
        wrong(format!("it ended {}, and {kept} are held and {taken} taken", order.placed.stage()));
        return;
    }
    let own: Vec<&SandboxPaymentRow> = order
        .placed
        .payments
        .iter()
        .filter_map(|payment| compare_payment(order, payment, rows, at_rest, findings))
        .collect();
    let mut wrong = |what: String| findings.add(order.about(), what);
    if !at_rest {
        return;
    }
    for row in rows.iter().filter(|row| own.iter().all(|own| own.reference != row.reference)) {
        if held(row) != 0 || row.captured != 0 {
            let (held, captured) = (held(row), row.captured);
            wrong(format!("{} holds {held} and took {captured}, and the order knows nothing of it", row.reference));
        }
    }
}

/// Compares a payment with its row, and returns that. `None`: it has none.
fn compare_payment<'a>(
    order: &AuditedOrder,
    payment: &Payment,
    rows: &'a [SandboxPaymentRow],
    at_rest: bool,
    findings: &mut Findings,
) -> Option<&'a SandboxPaymentRow> {
    let mut wrong = |what: String| findings.add(order.about(), format!("{}{what}", order.of_payment(payment)));
    let AuthorizationState::Authorized { reference, amount_minor: authorized } = &payment.state else { return None };
    let Some(row) = rows.iter().find(|row| row.reference == *reference) else {
        if is_sandbox_payment(reference) {
            wrong(format!("{authorized} are authorized under {reference}, which is not in the books"));
        }
        return None;
    };
    let said = [*authorized, payment.captured_minor, payment.refunded_minor];
    let booked = [row.authorized, row.captured, row.refunded];
    // The provider may be ahead while something is under way; never behind.
    let agree = if at_rest { booked == said } else { booked.iter().zip(said).all(|(booked, said)| *booked >= said) };
    if !agree {
        let words = |[authorized, captured, refunded]: [i64; 3]| {
            format!("{authorized} authorized, {captured} captured, {refunded} refunded")
        };
        wrong(format!("the books have {}; its events {}", words(booked), words(said)));
    }
    let open = if order.placed.is_all_shipped() { 0 } else { authorized - payment.captured_minor };
    if at_rest && agree && held(row) != open {
        wrong(format!("{} are held, and {open} are still to be shipped", held(row)));
    }
    Some(row)
}

/// Checks that the payments agree with their movements, and that their orders exist.
pub(super) async fn check_strays(connection: &mut PgConnection, findings: &mut Findings) -> Result<(), sqlx::Error> {
    let strays: Vec<(String, String)> = sqlx::query_as(
        "select p.order_id, p.reference from sandbox_payments p
          where p.declined is null and (p.closed_at is null or p.captured > 0)
            and not exists (select from events e where e.aggregate_type = 'order' and e.aggregate_id = p.order_id)
          order by 1, 2",
    )
    .fetch_all(&mut *connection)
    .await?;
    for (order_id, reference) in strays {
        findings.add(format!("order {order_id}"), format!("{reference} pays for it, and there is no such order"));
    }
    let sums: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(
        "select p.reference, p.captured, p.refunded,
                coalesce(sum(m.amount) filter (where m.kind = 'capture'), 0)::bigint,
                coalesce(sum(m.amount) filter (where m.kind = 'refund'), 0)::bigint
           from sandbox_payments p left join sandbox_movements m on m.payment = p.reference
          group by p.reference
         having p.captured <> coalesce(sum(m.amount) filter (where m.kind = 'capture'), 0)
             or p.refunded <> coalesce(sum(m.amount) filter (where m.kind = 'refund'), 0)
          order by 1",
    )
    .fetch_all(connection)
    .await?;
    for (reference, captured, refunded, captures, refunds) in sums {
        let what = format!(
            "{captured} captured and {refunded} refunded, but its captures come to {captures} and its refunds to {refunds}"
        );
        findings.add(format!("payment {reference}"), what);
    }
    Ok(())
}
