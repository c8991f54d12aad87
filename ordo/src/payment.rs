//! The payment provider that the settings name, behind its guard.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use payments::{Guarded, PaymentGateway, Sandbox, Stripe, StripeSettings};

use crate::connections::SharedClients;
use crate::settings::{PaymentProvider, PlatformRole, Settings};

/// The time-out for connecting, which takes one to three round trips. It is shorter than a call's time-out: a call that never
/// connected certainly did not happen, while a call that timed out has an unknown outcome.
const CONNECT: Duration = Duration::from_secs(2);

/// The gateway for all roles of this process: they share its connections, its breaker and its metrics.
pub(crate) fn gateway(settings: &Settings, connections: &SharedClients) -> anyhow::Result<Arc<Guarded>> {
    let payment = &settings.payment;
    let provider: Arc<dyn PaymentGateway> = match payment.provider {
        // Only the sagas need a provider.
        Some(PaymentProvider::Sandbox) | None => {
            if settings.roles.contains(&PlatformRole::Sagas) {
                tracing::info!("payments go to the sandbox: no money moves (ORDO_PAYMENT_PROVIDER)");
            }
            Arc::new(Sandbox::start(connections.database.clone()))
        }
        Some(PaymentProvider::Stripe) => {
            let key = payment.stripe_secret_key.as_ref().context("ORDO_STRIPE_SECRET_KEY is not set")?;
            let stripe = StripeSettings {
                url: payment.stripe_url.clone(),
                secret_key: key.expose().to_owned(),
                connect_timeout: CONNECT.min(payment.timeout * 2 / 3),
            };
            Arc::new(Stripe::new(&stripe).context("cannot talk to Stripe")?)
        }
    };
    Ok(Arc::new(Guarded::new(provider, payment.timeout, payment.breaker.clone())))
}

#[cfg(test)]
mod tests {
    use payments::{AuthorizationRequest, BreakerState};

    use super::*;
    use crate::settings::RawSettings;

    async fn gateway_with(variables: &[(&str, &str)]) -> anyhow::Result<Arc<Guarded>> {
        let database = testkit::database().await;
        let url = [("DATABASE_URL", database.url()), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
        let variables = url.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings = Settings::load(RawSettings::default().environment(variables)).unwrap().settings;
        let connections = SharedClients::open(&settings).await.unwrap();
        gateway(&settings, &connections)
    }

    #[tokio::test]
    async fn the_sandbox_takes_payments() {
        let gateway = gateway_with(&[("ORDO_PAYMENT_PROVIDER", "sandbox")]).await.unwrap();
        let request = AuthorizationRequest {
            key: "order-1:authorize".to_owned(),
            order_id: "order-1".to_owned(),
            amount_minor: 1,
            currency: "EUR".to_owned(),
            token: None,
        };
        gateway.authorize(&request).await.unwrap();
        assert_eq!(gateway.state(), BreakerState::Closed);
    }

    #[tokio::test]
    async fn stripe_is_asked_only_when_there_is_something_to_ask() {
        let variables = [("ORDO_PAYMENT_PROVIDER", "stripe"), ("ORDO_STRIPE_SECRET_KEY", "sk_test_s3cret")];
        let gateway = gateway_with(&variables).await.unwrap();
        assert!(!format!("{gateway:?}").contains("s3cret"));
    }
}
