//! What an operator can decide about an order's sagas, each decision with what it will do.

use domain::order::saga::SagaStep;
use domain::order::{ManualRefund, OrderStage, PlacedOrder};
use sagas::report::{OrderSagasReport, StepRemedy, StepReport, StepState};

use crate::action::{ActionForm, Field};
use crate::admission::Reader;
use crate::display::{Text, words};

/// The forms of all decisions that the report offers. `version` is that of the order that was looked at.
pub(super) fn forms(
    reader: &Reader,
    (version, order): (i64, &PlacedOrder),
    report: &OrderSagasReport,
) -> Vec<ActionForm> {
    let all = report.remedies.iter().flat_map(|remedy| remedy.verbs.iter().map(move |verb| (remedy, *verb)));
    all.filter_map(|(remedy, verb)| form(reader, (version, order), report, remedy, verb)).collect()
}

fn form(
    reader: &Reader,
    (version, order): (i64, &PlacedOrder),
    report: &OrderSagasReport,
    remedy: &StepRemedy,
    verb: &'static str,
) -> Option<ActionForm> {
    let (id, step) = (report.order_id.as_str(), remedy.step);
    let payment = remedy.payment_number;
    let about =
        payment.map_or_else(|| words(step.name()), |number| format!("{} of payment {number}", words(step.name())));
    let title = match verb {
        "retry" => format!("Retry: {about}"),
        "skip" => format!("Skip: {about}"),
        "compensate" => format!("Undo, at {about}"),
        "mark-succeeded" => format!("It was done: {about}"),
        _ => format!("It was not done: {about}"),
    };
    let route = ("POST", "/orders/{order_id}/saga/decisions");
    let back = format!("/orders/{}", Text::from(id).in_path());
    let name = format!("{verb}-{}-{}", step.name(), payment.unwrap_or_default());
    let form = reader.form(route, &[id], title, back)?.named(&name).at_version(version);
    let form = form.with("/decision", verb).with("/step", step.name());
    let form = match payment {
        Some(number) => form.with("/paymentNumber:number", number.to_string()),
        None => form,
    };
    let form = what_it_does(order, report, step, verb).into_iter().fold(form, ActionForm::explained);
    let form = match manual_refund(order, step, payment).filter(|_| verb != "compensate") {
        Some(ManualRefund::Refund(refund)) => {
            form.explained(format!("It is about refund {}.", refund.id)).with("/refundId", refund.id.as_str())
        }
        Some(ManualRefund::Rest(_)) => form.explained("It is about what is never captured.").with("/rest:bool", "true"),
        None => form,
    };
    let form = form.field(Field::line("/reason", "Reason").required().hint("For other operators"));
    Some(match verb {
        "retry" if remedy.inputs.contains(&"paymentToken") => {
            form.field(Field::line("/paymentToken", "Another means of payment").hint("Empty: the same"))
        }
        "mark-succeeded" => form.field(Field::line("/reference", "What the provider knows it by").required()),
        // The customer is not told of an edit that is given up.
        "compensate" if is_edited(order) => form,
        "compensate" | "mark-failed" => form.field(
            Field::line("/customerMessage", "Message to the customer").hint("What the mail gives as the reason"),
        ),
        _ => form,
    })
}

/// What a person gives back of the payment that a decision is about.
fn manual_refund(order: &PlacedOrder, step: SagaStep, payment: Option<u32>) -> Option<ManualRefund<'_>> {
    let mut waiting = order.manual_refunds().filter(|it| payment.is_none_or(|number| number == it.payment_number()));
    waiting.next().filter(|_| step == SagaStep::RefundManually)
}

fn is_edited(order: &PlacedOrder) -> bool {
    matches!(order.stage(), OrderStage::Editing | OrderStage::PartiallyShippedEditing)
}

fn what_it_does(order: &PlacedOrder, report: &OrderSagasReport, step: SagaStep, verb: &str) -> Vec<String> {
    let done: Vec<&StepReport> = report
        .sagas
        .iter()
        .flat_map(|saga| &saga.steps)
        .filter(|step| step.progress.state == StepState::Done)
        .collect();
    let named = |steps: Vec<SagaStep>| match steps.is_empty() {
        true => "nothing".to_owned(),
        false => steps.into_iter().map(|step| words(step.name())).collect::<Vec<_>>().join(", "),
    };
    let is_done = format!("Done so far: {}.", named(done.iter().map(|step| step.step).collect()));
    let undo = named(done.iter().filter_map(|step| step.undo.as_ref()).map(|undo| undo.step).collect());
    let is_of_edit = matches!(step, SagaStep::AuthorizePayment | SagaStep::ApplyEdit);
    let does = match verb {
        "retry" => "The step is tried again now.".to_owned(),
        "skip" => "The sagas go on without the step.".to_owned(),
        "mark-succeeded" => {
            "The step counts as done under the reference. The provider is asked for nothing.".to_owned()
        }
        _ if is_edited(order) && is_of_edit => "The edit is given up, and the order stays as it is.".to_owned(),
        "compensate" => {
            let held = if order.payments.len() > 1 { " Payments that are held are voided." } else { "" };
            format!("It will undo: {undo}.{held} The order ends, and its customer gets a mail. There is no way back.")
        }
        _ if step == SagaStep::AuthorizePayment && order.stage() == OrderStage::Pending => {
            "The payment counts as declined. What was done is undone, and the order ends. There is no way back."
                .to_owned()
        }
        _ => "The step counts as not done, for good. What that means for the order is undone or given up.".to_owned(),
    };
    vec![is_done, does]
}
