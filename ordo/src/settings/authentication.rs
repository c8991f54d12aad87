//! The settings of tokens: whose they are, and what verifies them.

use std::path::PathBuf;

use access_control::{AuthenticationSettings, IssuerUrl, TokenClaimSettings, TokenKeys, TokenSecret};

use super::open_id;
use super::reader::SettingsReader;
use super::value_types::SettingType;

fn token_secret() -> SettingType<TokenSecret> {
    SettingType::new("32 to 1024 bytes", |_| "***".to_owned(), TokenSecret::parse)
}

fn jwks_url() -> SettingType<IssuerUrl> {
    let allowed = "an https:// address such as https://id.shop.example/.well-known/jwks.json; http:// is for this machine (localhost, 127.0.0.1, [::1])";
    SettingType::new(allowed, IssuerUrl::to_text, IssuerUrl::parse)
}

fn path() -> SettingType<PathBuf> {
    SettingType::new("the path of a file", |path: &PathBuf| path.display().to_string(), |text| Some(text.into()))
}

/// What `iss` and `aud` may be.
fn claim_value() -> SettingType<String> {
    SettingType::new("1 to 255 bytes without spaces, such as https://id.shop.example/", String::clone, |text| {
        let plain = !text.chars().any(|character| character.is_control() || character.is_whitespace());
        ((1..=255).contains(&text.len()) && plain).then(|| text.to_owned())
    })
}

/// A claim's name. Those that every token has mean something else.
fn claim_name(also: Option<&'static str>) -> SettingType<String> {
    let taken =
        move |text: &str| also != Some(text) && ["iss", "aud", "exp", "nbf", "iat", "jti", "sub"].contains(&text);
    let allowed = "1 to 255 bytes without spaces, and not the name of a registered claim";
    SettingType::new(allowed, String::clone, move |text| (claim_value().parse)(text).filter(|name| !taken(name)))
}

pub(super) fn read(table: &mut SettingsReader) -> AuthenticationSettings {
    let usual = TokenClaimSettings::default();
    let secret = table.secret(
        "ORDO_TOKEN_SECRET",
        &token_secret(),
        "The secret of HS256 tokens, for development. `up` makes one in its data directory without it",
    );
    let jwks_url = table.optional(
        "ORDO_JWKS_URL",
        &jwks_url(),
        "Where the issuer of tokens has its public keys, as a JSON Web Key Set",
    );
    let jwks_ca = table.optional(
        "ORDO_JWKS_CA",
        &path(),
        "The certificate authorities, as PEM, that vouch for that address, instead of those that the system knows",
    );
    let jwks_file = table.optional(
        "ORDO_JWKS_FILE",
        &path(),
        "The file with these keys, instead; it is read again every 5 minutes",
    );
    let usual_issuer = usual.issuer.clone();
    let issuer = table.value("ORDO_TOKEN_ISSUER", usual.issuer, &claim_value(), "What `iss` of a token must be");
    let audience =
        table.value("ORDO_TOKEN_AUDIENCE", usual.audience, &claim_value(), "What `aud` of a token must be, or have");
    let role_claim =
        table.value("ORDO_TOKEN_ROLE_CLAIM", usual.role_claim, &claim_name(None), "The claim with the role");
    let customer_claim = table.value(
        "ORDO_TOKEN_CUSTOMER_CLAIM",
        usual.customer_claim,
        &claim_name(Some("sub")),
        "The claim with the customer's id, for the role customer",
    );
    if role_claim == customer_claim {
        table.refuse("ORDO_TOKEN_CUSTOMER_CLAIM", "must be another claim than ORDO_TOKEN_ROLE_CLAIM");
    }
    if jwks_ca.is_some() && !jwks_url.as_ref().is_some_and(IssuerUrl::is_https) {
        table.refuse("ORDO_JWKS_CA", "is for an https:// address in ORDO_JWKS_URL");
    }
    let jwks_url = jwks_url.map(|url| match jwks_ca {
        Some(authority) => url.trusting(authority),
        None => url,
    });
    let given = [
        (secret.map(TokenKeys::Secret), "ORDO_TOKEN_SECRET"),
        (jwks_url.map(TokenKeys::JwksUrl), "ORDO_JWKS_URL"),
        (jwks_file.map(TokenKeys::JwksFile), "ORDO_JWKS_FILE"),
    ];
    let mut given = given.into_iter().filter_map(|(keys, name)| Some((keys?, name)));
    let first = given.next();
    // Whoever has a secret could sign what only the issuer should.
    if let (Some((_, first)), Some((_, second))) = (&first, given.next()) {
        table.refuse(
            second,
            &format!("can't be set with {first}: tokens are verified with one of them; unset the other"),
        );
    }
    let by_issuer = first.as_ref().filter(|(keys, _)| !matches!(keys, TokenKeys::Secret(_)));
    if let Some((_, name)) = by_issuer
        && issuer == usual_issuer
    {
        let because = format!("{name} is set");
        table.needed("ORDO_TOKEN_ISSUER", &claim_value(), &because);
    }
    let token_keys = first.map(|(keys, _)| keys);
    let open_id = open_id::read(table, token_keys.as_ref(), &issuer);
    let token_claims = TokenClaimSettings { issuer, audience, role_claim, customer_claim };
    AuthenticationSettings { token_claims, token_keys, open_id }
}
