//! Who takes the customers' money, and how patient we are with them.

use std::fmt;
use std::time::Duration;

use payments::BreakerSettings;

use super::kinds::{Kind, endpoint, payment_provider, seconds, stripe_key, whole};
use super::reading::Reading;

/// The payment provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Which one.
    pub provider: PaymentProvider,
    /// Where Stripe is.
    pub stripe_url: String,
    /// The key of the account there; always there if Stripe is the provider.
    pub stripe_secret_key: Option<StripeKey>,
    /// How long a call to the provider may take.
    pub timeout: Duration,
    /// When calls stop because too many fail, and for how long.
    pub breaker: BreakerSettings,
}

/// Who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentProvider {
    /// The one that needs no account: it moves no money.
    Sandbox,
    /// Stripe, or what speaks its API.
    Stripe,
}

/// The secret key of a Stripe account. Shown anywhere, it hides itself.
#[derive(Clone, PartialEq, Eq)]
pub struct StripeKey(String);

impl StripeKey {
    /// Reads what Stripe's keys look like, and nothing that could not stand in a header.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let secret = text.starts_with("sk_") || text.starts_with("rk_");
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (secret && plain && (4..=255).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    /// The key, for Stripe alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StripeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for StripeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn read(table: &mut Reading) -> Payment {
    let usual = BreakerSettings::default();
    let stripe_key: Kind<StripeKey> = stripe_key();
    let provider = table.value(
        "ORDO_PAYMENT_PROVIDER",
        PaymentProvider::Sandbox,
        &payment_provider(),
        "Who takes payments; the sandbox keeps books in the database and moves no money",
    );
    let stripe_url =
        table.value("ORDO_STRIPE_URL", "https://api.stripe.com".to_owned(), &endpoint(), "Where Stripe's API is");
    let stripe_secret_key =
        table.secret("ORDO_STRIPE_SECRET_KEY", &stripe_key, "The secret key of the account at Stripe");
    if provider == PaymentProvider::Stripe && stripe_secret_key.is_none() {
        table.needed("ORDO_STRIPE_SECRET_KEY", &stripe_key, "ORDO_PAYMENT_PROVIDER is stripe");
    }
    let timeout = table.value(
        "ORDO_PAYMENT_TIMEOUT",
        Duration::from_secs(3),
        &seconds(1..=60),
        "How long a call to the payment provider may take; past it, its outcome is found out later",
    );
    let window = table.value(
        "ORDO_PAYMENT_BREAKER_WINDOW",
        usual.window,
        &whole(2..=1000),
        "How many of the last calls to the payment provider are looked at; with less than half of them nothing is decided",
    );
    let error_percent = table.value(
        "ORDO_PAYMENT_BREAKER_ERROR_PERCENT",
        usual.error_percent,
        &whole(1..=100),
        "How many of a hundred have to fail for calls to stop",
    );
    let pause = table.value(
        "ORDO_PAYMENT_BREAKER_PAUSE",
        usual.pause,
        &seconds(1..=3600),
        "How long they stop, until one goes to see",
    );
    let breaker = BreakerSettings { window, at_least: window.div_ceil(2), error_percent, pause };
    Payment { provider, stripe_url, stripe_secret_key, timeout, breaker }
}
