//! The settings of the payment provider.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use payments::BreakerSettings;

use super::reader::SettingsReader;
use super::value_types::{SettingType, endpoint, integer, seconds};

/// The payment provider, and how it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentSettings {
    /// `None`: not set.
    pub provider: Option<PaymentProvider>,
    pub stripe_url: String,
    /// The key of the account there; always there if Stripe is the provider.
    pub stripe_secret_key: Option<StripeKey>,
    /// How long a call to the provider may take.
    pub timeout: Duration,
    /// When calls stop because too many fail, and for how long.
    pub breaker: BreakerSettings,
}

/// Which payment provider is used.
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

    /// Whether the key moves no money.
    fn is_test(&self) -> bool {
        self.0.starts_with("sk_test_") || self.0.starts_with("rk_test_")
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

/// Whether a URL is of this machine.
fn is_local(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn payment_provider() -> SettingType<PaymentProvider> {
    let show = |provider: &PaymentProvider| format!("{provider:?}").to_lowercase();
    SettingType::new("sandbox or stripe", show, |text| match text {
        "sandbox" => Some(PaymentProvider::Sandbox),
        "stripe" => Some(PaymentProvider::Stripe),
        _ => None,
    })
}

fn stripe_key() -> SettingType<StripeKey> {
    SettingType::new("a secret key of Stripe's, sk_… or rk_…", StripeKey::to_string, StripeKey::parse)
}

pub(super) fn read(table: &mut SettingsReader) -> PaymentSettings {
    let usual = BreakerSettings::default();
    let stripe_key = stripe_key();
    let provider = table.optional(
        "ORDO_PAYMENT_PROVIDER",
        &payment_provider(),
        "Who takes payments; the sandbox keeps books in the database and moves no money. `serve` needs it for sagas, `up` takes the sandbox",
    );
    let stripe_url =
        table.value("ORDO_STRIPE_URL", "https://api.stripe.com".to_owned(), &endpoint(), "Where Stripe's API is");
    let stripe_secret_key =
        table.secret("ORDO_STRIPE_SECRET_KEY", &stripe_key, "The secret key of the account at Stripe");
    if provider == Some(PaymentProvider::Stripe) && stripe_secret_key.is_none() {
        table.needed("ORDO_STRIPE_SECRET_KEY", &stripe_key, "ORDO_PAYMENT_PROVIDER is stripe");
    }
    let is_safe = |key: &StripeKey| stripe_url.starts_with("https://") || (key.is_test() && is_local(&stripe_url));
    if stripe_secret_key.as_ref().is_some_and(|key| !is_safe(key)) {
        table.refuse(
            "ORDO_STRIPE_URL",
            "must be an https:// address, for the secret key goes there; http:// is for this machine (localhost, 127.0.0.1, [::1]) with a test key, sk_test_… or rk_test_…",
        );
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
        &integer(2..=1000),
        "How many of the last calls to the payment provider are looked at, of an order that keeps failing one a minute; with less than half of them nothing is decided",
    );
    let error_percent = table.value(
        "ORDO_PAYMENT_BREAKER_ERROR_PERCENT",
        usual.error_percent,
        &integer(1..=100),
        "How many of a hundred have to fail for calls to stop",
    );
    let pause = table.value(
        "ORDO_PAYMENT_BREAKER_PAUSE",
        usual.pause,
        &seconds(1..=3600),
        "How long they stop, until some go to see",
    );
    let breaker = BreakerSettings { window, at_least: window.div_ceil(2), error_percent, pause };
    PaymentSettings { provider, stripe_url, stripe_secret_key, timeout, breaker }
}
