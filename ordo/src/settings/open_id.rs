//! The settings of signing in at the issuer of tokens, in a browser.

use access_control::{IssuerUrl, OpenIdClientSecret, OpenIdSettings, RedirectUrl, TokenKeys};

use super::reader::SettingsReader;
use super::value_types::SettingType;

const CLIENT_ID: &str = "ORDO_OIDC_CLIENT_ID";
const CLIENT_SECRET: &str = "ORDO_OIDC_CLIENT_SECRET";
const CONSOLE_URL: &str = "ORDO_CONSOLE_URL";

/// `None`: nobody signs in there. `keys` and `issuer` are those of tokens.
pub(super) fn read(table: &mut SettingsReader, keys: Option<&TokenKeys>, issuer: &str) -> Option<OpenIdSettings> {
    let client_id = table.optional(
        CLIENT_ID,
        &client_id(),
        "The client as which the console has people sign in at ORDO_TOKEN_ISSUER, by OpenID Connect",
    );
    let client_secret = table.secret(CLIENT_SECRET, &client_secret(), "Its secret; without it, it is a public client");
    let scopes = table.value(
        "ORDO_OIDC_SCOPES",
        vec!["openid".to_owned()],
        &scopes(),
        "What it asks for; the token that comes of it needs the claims of every other token",
    );
    let console = table.optional(
        CONSOLE_URL,
        &console_url(),
        "Where browsers reach the console; the issuer sends them back to /sign-in/callback there",
    );
    let Some(client_id) = client_id else {
        let alone = [(CLIENT_SECRET, client_secret.is_some()), (CONSOLE_URL, console.is_some())];
        for (name, _) in alone.into_iter().filter(|(_, is_given)| *is_given) {
            table.refuse(name, "is for signing in at the issuer: set ORDO_OIDC_CLIENT_ID, too");
        }
        return None;
    };
    let because = format!("{CLIENT_ID} is set");
    let Some(console) = console else {
        table.needed(CONSOLE_URL, &console_url(), &because);
        return None;
    };
    let document = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let document = match (keys, IssuerUrl::parse(&document)) {
        (Some(TokenKeys::JwksUrl(url)), Some(document)) => document.trusting_like(url),
        (Some(TokenKeys::JwksFile(_)), Some(document)) => document,
        (_, None) => {
            table.refuse(CLIENT_ID, "needs an ORDO_TOKEN_ISSUER that is an https:// address");
            return None;
        }
        (Some(TokenKeys::Secret(_)) | None, Some(_)) => {
            table.refuse(CLIENT_ID, "needs ORDO_JWKS_URL or ORDO_JWKS_FILE: the issuer's tokens are verified by them");
            return None;
        }
    };
    Some(OpenIdSettings {
        issuer: issuer.to_owned(),
        document,
        client_id,
        client_secret,
        scopes,
        redirect_url: console,
    })
}

fn client_id() -> SettingType<String> {
    SettingType::new("1 to 255 visible ASCII characters", String::clone, |text| {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| text.to_owned())
    })
}

fn client_secret() -> SettingType<OpenIdClientSecret> {
    SettingType::new("1 to 1024 visible ASCII characters", |_| "***".to_owned(), OpenIdClientSecret::parse)
}

fn scopes() -> SettingType<Vec<String>> {
    SettingType::new(
        "words with spaces between, openid among them",
        |words: &Vec<String>| words.join(" "),
        |text| {
            let words: Vec<String> = text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
            let fits = text.len() <= 1_000 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            (fits && words.iter().any(|word| word == "openid")).then_some(words)
        },
    )
}

/// Read as the address of the callback there.
fn console_url() -> SettingType<RedirectUrl> {
    const CALLBACK: &str = "/sign-in/callback";
    let allowed =
        "an https:// address without a path, such as https://console.shop.example; http:// is for this machine";
    let show = |url: &RedirectUrl| url.as_str().trim_end_matches(CALLBACK).to_owned();
    SettingType::new(allowed, show, |text| {
        let origin = text.trim_end_matches('/');
        let is_origin = origin.split_once("://").is_some_and(|(_, host)| !host.contains(['/', '?', '#']));
        IssuerUrl::parse(origin).filter(|_| is_origin)?;
        RedirectUrl::new(format!("{origin}{CALLBACK}")).ok()
    })
}
