//! The queues and the mail service.

use std::fmt::Display;

use aws_sdk_sesv2::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;
use error_chain::error_chain;
use messaging::{Queue, queues};
use serde_json::Value;

use super::PATIENCE;
use super::report::Findings;
use crate::settings::Settings;
use crate::{aws, migrate};

pub(super) async fn check(settings: &Settings, findings: &mut Findings) {
    let sqs = aws::sqs(&settings.aws).await;
    match tokio::time::timeout(PATIENCE, queues::find(&sqs, &migrate::wanted(settings))).await {
        Ok(Ok(found)) => {
            for (check, dead, queue) in [
                ("queue-requests", "dead-requests", &found.notifications),
                ("queue-replies", "dead-replies", &found.replies),
            ] {
                one(&sqs, check, dead, queue, findings).await;
            }
        }
        Ok(Err(error)) => {
            findings.problem(
                "queue-requests",
                &error_chain(&error),
                "run `ordo migrate --queues`, and see that AWS_ENDPOINT_URL_SQS or AWS_REGION is right",
            );
            for check in ["dead-requests", "queue-replies", "dead-replies"] {
                findings.not_checked(check, "the queues were not found");
            }
        }
        Err(_) => {
            findings.problem("queue-requests", "SQS did not answer in time", "see that it can be reached from here");
        }
    }
    mail(settings, findings).await;
}

/// A queue, and its dead-letter queue.
async fn one(
    sqs: &aws_sdk_sqs::Client,
    check: &'static str,
    dead: &'static str,
    queue: &Queue,
    findings: &mut Findings,
) {
    let described = async {
        let of = |url: &str| sqs.get_queue_attributes().queue_url(url).attribute_names(Attribute::All).send();
        tokio::try_join!(of(&queue.url), of(&queue.dead_letter_url))
    };
    let (live, letters) = match tokio::time::timeout(PATIENCE, described).await {
        Ok(Ok((live, letters))) => (live.attributes.unwrap_or_default(), letters.attributes.unwrap_or_default()),
        Ok(Err(error)) => {
            return findings.problem(
                check,
                &DisplayErrorContext(error).to_string(),
                "see what the queue's policy allows",
            );
        }
        Err(_) => return findings.problem(check, "SQS did not answer in time", "see that it can be reached from here"),
    };
    let redrive: Option<Value> =
        live.get(&Attribute::RedrivePolicy).and_then(|policy| serde_json::from_str(policy).ok());
    let target = redrive.as_ref().and_then(|policy| policy["deadLetterTargetArn"].as_str());
    let waiting = number(live.get(&Attribute::ApproximateNumberOfMessages));
    if target.is_some() && target == letters.get(&Attribute::QueueArn).map(String::as_str) {
        findings.ok(check, format!("{} is there, {waiting} messages wait", queue.name));
    } else {
        let seen = format!("{} does not redrive to its dead-letter queue", queue.name);
        findings.problem(
            check,
            &seen,
            "run `ordo migrate --queues`: a message that crashes its consumer would come back for ever",
        );
    }
    match number(letters.get(&Attribute::ApproximateNumberOfMessages)) {
        0 => findings.ok(dead, "there are no dead letters"),
        count => findings.warning(
            dead,
            &format!("{count} dead letters"),
            "`ordo dlq list` shows them; see the how-to about dead letters",
        ),
    }
}

fn number(attribute: Option<&String>) -> u64 {
    attribute.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The account at SES, and the address that mails come from.
async fn mail(settings: &Settings, findings: &mut Findings) {
    if let Some(endpoint) = &settings.aws.ses_endpoint {
        return findings.not_checked("mail", format!("mails go to {endpoint}, which is not AWS's own"));
    }
    let ses = aws::ses(&settings.aws).await;
    let account = match tokio::time::timeout(PATIENCE, ses.get_account().send()).await {
        Ok(Ok(account)) => account,
        Ok(Err(error)) => return unknown(findings, &DisplayErrorContext(error)),
        Err(_) => return unknown(findings, &"SES did not answer in time"),
    };
    let identity = identity(&settings.mail_from);
    let verified = ses.get_email_identity().email_identity(identity).send().await;
    let verified = verified.is_ok_and(|identity| identity.verified_for_sending_status);
    if !account.sending_enabled {
        findings.problem("mail", "SES has sending paused for this account", "see the account's dashboard at SES");
    } else if !verified {
        let seen = format!("{identity} is not a verified identity");
        findings.problem(
            "mail",
            &seen,
            "verify the domain of ORDO_MAIL_FROM at SES; if only the address is verified, this may be ignored",
        );
    } else if account.production_access_enabled {
        findings.ok("mail", format!("SES sends for {identity}"));
    } else {
        findings.warning(
            "mail",
            "the account is in SES's sandbox: only verified addresses get mails",
            "ask for production access",
        );
    }
}

fn unknown(findings: &mut Findings, error: &dyn Display) {
    findings.problem(
        "mail",
        &format!("the account at SES can't be looked at: {error}"),
        "see the credentials, AWS_REGION, and that ses:GetAccount is allowed",
    );
}

/// The domain of an address such as `Shop <orders@shop.example>`.
fn identity(from: &str) -> &str {
    let domain = from.rsplit_once('@').map_or(from, |(_, domain)| domain);
    domain.trim_end_matches(['>', ' '])
}

#[cfg(test)]
mod tests {
    use super::identity;

    #[test]
    fn the_identity_of_a_sender_is_its_domain() {
        assert_eq!(identity("orders@shop.example"), "shop.example");
        assert_eq!(identity("The Shop <orders@shop.example>"), "shop.example");
    }
}
