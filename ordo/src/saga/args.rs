//! The arguments of `ordo saga`.

use std::num::NonZeroU32;
use std::str::FromStr;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use domain::ids::{PaymentToken, RefundId};
use domain::order::saga::SagaStep;
use sagas::operator::ManualRefundName;
use sagas::report::SagaState;

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SagaCliCommand {
    /// The sagas that wait or are stuck, and how many for which reason
    List(SagaListArgs),
    /// Everything about the sagas of an order: its steps, what happened about each, and what can be decided
    Show {
        /// The order's id
        order: String,
        /// Say it as one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Try the step that an order waits for again, now; or all that are stuck, or all mails that were given up
    Retry(SagaRetryArgs),
    /// Go on without the step
    Skip(StepDecisionArgs),
    /// Undo what was done for the order, and end it; or give up its edit alone, if the step is that of an edit
    Compensate(EndOrderArgs),
    /// The step was done: the provider says so
    MarkSucceeded {
        /// What the provider knows it by
        #[arg(long, value_name = "REFERENCE", value_parser = NonEmptyStringValueParser::new())]
        reference: String,
        /// Of what.
        #[command(flatten)]
        target: StepDecisionArgs,
    },
    /// The step was not done, and will not be: the provider says so
    MarkFailed(EndOrderArgs),
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SagaListArgs {
    /// Only those that are so; failed: mails that were given up [default: running and stuck, which is all that waits]
    #[arg(long, value_name = "STATE", value_parser = states())]
    pub(crate) state: Option<SagaState>,
    /// Only those whose last error contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// Only those at this step
    #[arg(long, value_name = "STEP", value_parser = steps())]
    pub(crate) step: Option<SagaStep>,
    /// The most to list; all are counted
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) limit: NonZeroU32,
    /// Say it as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The order and step of a decision, and who makes it.
#[derive(Debug, Clone, Args)]
pub(crate) struct StepDecisionArgs {
    /// The order's id
    pub(crate) order: String,
    /// The step [default: the one that the order waits for]
    #[arg(long, value_name = "STEP", value_parser = steps())]
    pub(crate) step: Option<SagaStep>,
    /// Which payment, where the order has several
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) payment: Option<u32>,
    /// Which refund; refuse if the step is at another one. Of money that a person gives back, this or --rest is needed
    #[arg(long, value_name = "ID", value_parser = refund_id, conflicts_with = "rest")]
    pub(crate) refund: Option<RefundId>,
    /// What will never be captured of a payment that was paid elsewhere, and no refund
    #[arg(long)]
    pub(crate) rest: bool,
    /// Who decides, and why.
    #[command(flatten)]
    pub(crate) why: JustificationArgs,
}

impl StepDecisionArgs {
    /// The refund that the decision is about.
    pub(super) fn named(&self) -> Option<ManualRefundName> {
        let rest = self.rest.then_some(ManualRefundName::Rest);
        self.refund.clone().map(ManualRefundName::Refund).or(rest)
    }
}

/// A decision that ends an order. Its customer gets a mail.
#[derive(Debug, Clone, Args)]
pub(crate) struct EndOrderArgs {
    /// Of what.
    #[command(flatten)]
    pub(crate) target: StepDecisionArgs,
    /// What the customer's mail gives as the reason [default: that the payment was declined, where it was; otherwise none]
    #[arg(long, value_name = "TEXT", value_parser = customer_message)]
    pub(crate) customer_message: Option<String>,
    /// Do not ask first, on a terminal
    #[arg(long)]
    pub(crate) yes: bool,
}

/// A mail shows this many characters of a reason at most.
const MAX_MESSAGE_CHARS: usize = 500;

fn customer_message(text: &str) -> Result<String, String> {
    let holds = !text.trim().is_empty() && text.chars().count() <= MAX_MESSAGE_CHARS;
    let holds = holds && !text.chars().any(char::is_control);
    holds.then(|| text.to_owned()).ok_or_else(|| format!("must be one line of 1 to {MAX_MESSAGE_CHARS} characters"))
}

/// The operator and the reason. Both are recorded on the order.
#[derive(Debug, Clone, Args)]
pub(crate) struct JustificationArgs {
    /// Justification, for those who look after orders: the customer does not read it
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    /// Who decides [default: who runs this, or else operator]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    actor: Option<String>,
}

impl JustificationArgs {
    /// Who decides.
    pub(super) fn actor(&self) -> String {
        // The name of the user before sudo.
        let of_process = ["SUDO_USER", "USER"].iter().filter_map(|name| std::env::var(name).ok());
        let named = self.actor.iter().cloned().chain(of_process).find(|name| !name.is_empty());
        named.unwrap_or_else(|| "operator".to_owned())
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct SagaRetryArgs {
    /// The order's id
    #[arg(required_unless_present_any = ["stuck", "failed"], conflicts_with_all = ["stuck", "failed"])]
    pub(crate) order: Option<String>,
    /// Another means of payment: paymentToken=TOKEN
    #[arg(long, value_name = "NAME=VALUE", conflicts_with_all = ["stuck", "failed"])]
    pub(crate) input: Option<RetryPaymentToken>,
    /// The step [default: the one that the order waits for; with --stuck, any]
    #[arg(long, value_name = "STEP", value_parser = steps())]
    pub(crate) step: Option<SagaStep>,
    /// Which payment, where the order has several
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["stuck", "failed"])]
    pub(crate) payment: Option<u32>,
    /// All that are stuck
    #[arg(long)]
    pub(crate) stuck: bool,
    /// All mails that were given up
    #[arg(long, conflicts_with_all = ["stuck", "step"])]
    pub(crate) failed: bool,
    /// Of those that are stuck or were given up, the ones whose error contains this
    #[arg(long, value_name = "TEXT", conflicts_with = "order")]
    pub(crate) error: Option<String>,
    /// The most to retry in a second [default: as fast as it goes]
    #[arg(long, value_name = "N", conflicts_with = "order")]
    pub(crate) rate: Option<NonZeroU32>,
    /// Show which would be retried, and change nothing
    #[arg(long, conflicts_with = "order")]
    pub(crate) dry_run: bool,
    /// Say it as one line of JSON
    #[arg(long, conflicts_with = "order")]
    pub(crate) json: bool,
    /// Who decides, and why.
    #[command(flatten)]
    pub(crate) why: JustificationArgs,
}

/// The other means of payment for a retry, given as `paymentToken=TOKEN`.
#[derive(Debug, Clone)]
pub(crate) struct RetryPaymentToken {
    /// Another means of payment.
    pub(crate) payment_token: PaymentToken,
}

impl FromStr for RetryPaymentToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let token = text.strip_prefix("paymentToken=").ok_or("it has to be paymentToken=TOKEN")?;
        PaymentToken::parse(token).map(|payment_token| Self { payment_token }).map_err(|error| error.to_string())
    }
}

fn refund_id(text: &str) -> Result<RefundId, String> {
    RefundId::parse(text).map_err(|error| error.to_string())
}

fn states() -> impl TypedValueParser<Value = SagaState> {
    let state = |name: String| SagaState::ALL.into_iter().find(|state| state.name() == name).ok_or("no such state");
    PossibleValuesParser::new(SagaState::ALL.map(SagaState::name)).try_map(state)
}

fn steps() -> impl TypedValueParser<Value = SagaStep> {
    let step = |name: String| SagaStep::parse(&name).ok_or("no such step");
    PossibleValuesParser::new(SagaStep::ALL.map(SagaStep::name)).try_map(step)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        saga: SagaCliCommand,
    }

    #[test]
    fn a_retry_is_of_one_order_or_of_all_that_are_stuck() {
        let SagaCliCommand::Retry(one) = parse("saga retry o-1 --input paymentToken=tok_ok --reason mended").unwrap()
        else {
            panic!("not retry")
        };
        assert_eq!((one.order.as_deref(), one.stuck), (Some("o-1"), false));
        assert_eq!(one.input.unwrap().payment_token.to_string(), "tok_ok");
        let SagaCliCommand::Retry(all) =
            parse("saga retry --stuck --step void_payment --rate 5 --reason mended").unwrap()
        else {
            panic!("not retry")
        };
        assert_eq!((all.order, all.step), (None, Some(SagaStep::VoidPayment)));
    }

    #[test]
    fn every_decision_says_why_and_what_makes_no_sense_is_refused() {
        for (line, kind) in [
            ("saga retry --reason x", ErrorKind::MissingRequiredArgument),
            ("saga retry o-1 --stuck --reason x", ErrorKind::ArgumentConflict),
            ("saga retry o-1 --rate 5 --reason x", ErrorKind::ArgumentConflict),
            ("saga retry o-1 --input amount=1 --reason x", ErrorKind::ValueValidation),
            ("saga retry o-1", ErrorKind::MissingRequiredArgument),
            ("saga retry o-1 --failed --reason x", ErrorKind::ArgumentConflict),
            ("saga retry --failed --stuck --reason x", ErrorKind::ArgumentConflict),
            ("saga skip o-1", ErrorKind::MissingRequiredArgument),
            ("saga skip o-1 --reason=", ErrorKind::InvalidValue),
            ("saga compensate o-1 --actor ada", ErrorKind::MissingRequiredArgument),
            ("saga mark-succeeded o-1 --reason x", ErrorKind::MissingRequiredArgument),
            ("saga mark-failed o-1 --step pay --reason x", ErrorKind::InvalidValue),
            ("saga mark-failed o-1 --refund f --rest --reason x", ErrorKind::ArgumentConflict),
            ("saga mark-failed o-1 --refund f/g --reason x", ErrorKind::ValueValidation),
            ("saga compensate o-1 --reason x --customer-message=", ErrorKind::ValueValidation),
            ("saga skip o-1 --reason x --customer-message sorry", ErrorKind::UnknownArgument),
            ("saga list --state lost", ErrorKind::InvalidValue),
        ] {
            assert_eq!(parse(line).map(drop).unwrap_err().kind(), kind, "{line}");
        }
    }

    fn parse(line: &str) -> Result<SagaCliCommand, clap::Error> {
        Line::try_parse_from(line.split(' ')).map(|line| line.saga)
    }
}
