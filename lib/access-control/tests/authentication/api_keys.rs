//! API keys in the database.

use std::time::Duration;

use access_control::{
    ApiKeyError, ApiKeyId, ApiKeyRequest, ApiKeyRow, AuthenticationError, AuthenticationSettings, Authenticator, Role,
};
use chrono::{TimeDelta, Utc};
use futures_util::future::join_all;
use sqlx::PgPool;

use crate::{assert_refused, principal_of};

fn with_keys_of(database: &PgPool) -> Authenticator {
    Authenticator::start(&AuthenticationSettings::default(), Some(database.clone())).unwrap()
}

fn shop() -> ApiKeyRequest {
    ApiKeyRequest { role: Role::Shop, customer_id: None, name: Some("web-shop".to_owned()), expires_at: None }
}

async fn refused(authenticator: &Authenticator, key: &str, what: &str) {
    assert_refused(principal_of(authenticator, key).await.expect_err(what), what).await;
}

#[tokio::test]
async fn a_key_is_its_role_under_its_name() {
    let database = testkit::database().await;
    let key = shop().create(database.pool()).await.unwrap();
    let authenticator = with_keys_of(database.pool());
    let principal = principal_of(&authenticator, key.expose()).await.unwrap();
    assert_eq!((principal.actor().as_str(), principal.expires_at()), ("shop:web-shop", None));

    let expires_at = Some(Utc::now() + TimeDelta::days(90));
    let customer_id = Some("customer-42".to_owned());
    let new = ApiKeyRequest { role: Role::Customer, customer_id, name: None, expires_at };
    let key = new.create(database.pool()).await.unwrap();
    // A key that was made a moment ago is found once the copy is loaded again, after the pause.
    let principal = loop {
        match principal_of(&authenticator, key.expose()).await {
            Ok(principal) => break principal,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    assert_eq!((principal.role(), principal.customer_id()), (Role::Customer, Some("customer-42")));
    assert_eq!(principal.subject(), key.id().to_string());
    assert!(principal.expires_at().is_some());
}

#[tokio::test]
async fn the_database_does_not_have_the_key() {
    let database = testkit::database().await;
    let key = shop().create(database.pool()).await.unwrap();
    let row: String = sqlx::query_scalar("select row_to_json(api_keys)::text from api_keys")
        .fetch_one(database.pool())
        .await
        .unwrap();
    let secret = &key.expose()[27..];
    assert!(secret.len() == 43 && !row.contains(secret) && !format!("{key:?}").contains(secret), "{row}");
}

#[tokio::test]
async fn keys_that_are_forged_expired_or_revoked_are_refused_alike() {
    let database = testkit::database().await;
    let key = shop().create(database.pool()).await.unwrap();
    let expired = shop().create(database.pool()).await.unwrap();
    let revoked = shop().create(database.pool()).await.unwrap();
    let id = revoked.id();
    ApiKeyRow::revoke(database.pool(), id).await.unwrap();
    ApiKeyRow::revoke(database.pool(), id).await.unwrap();
    sqlx::query("update api_keys set expires_at = now() - interval '1 s' where id = $1")
        .bind(expired.id().to_string())
        .execute(database.pool())
        .await
        .unwrap();
    let authenticator = with_keys_of(database.pool());
    principal_of(&authenticator, key.expose()).await.unwrap();
    let (id, secret) = key.expose().split_at(27);
    let other = shop().create(database.pool()).await.unwrap();
    for (key, what) in [
        (expired.expose().to_owned(), "expired"),
        (revoked.expose().to_owned(), "revoked"),
        (format!("{id}{}", &other.expose()[27..]), "the secret of another key"),
        (format!("{id}{}", "A".repeat(43)), "another secret"),
        (format!("ordo_live_0000000000000000_{secret}"), "another id"),
        (id.to_owned(), "no secret"),
        (format!("{}=", key.expose()), "padded"),
        ("ordo_live_' or true; --_x".to_owned(), "SQL"),
        ("ordo_live_".to_owned() + &"x".repeat(20_000), "very long"),
        ("ordo_test_".to_owned() + secret, "another prefix"),
    ] {
        refused(&authenticator, &key, what).await;
    }
}

#[tokio::test]
async fn a_revocation_takes_effect_within_ten_seconds() {
    let database = testkit::database().await;
    let key = shop().create(database.pool()).await.unwrap();
    let authenticator = with_keys_of(database.pool());
    principal_of(&authenticator, key.expose()).await.unwrap();
    ApiKeyRow::revoke(database.pool(), key.id()).await.unwrap();
    let revoked = async {
        while principal_of(&authenticator, key.expose()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), revoked).await.unwrap();
}

#[tokio::test]
async fn made_up_keys_do_not_cost_the_database_a_read_each() {
    let database = testkit::database().await;
    let key = shop().create(database.pool()).await.unwrap();
    let authenticator = with_keys_of(database.pool());
    principal_of(&authenticator, key.expose()).await.unwrap();
    let scans = "select coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::bigint from pg_stat_user_tables
                 where relname = 'api_keys'";
    let started = std::time::Instant::now();
    for nth in 0..1_000_u32 {
        refused(&authenticator, &format!("ordo_live_{nth:016x}_{}", "A".repeat(43)), "made up").await;
    }
    // One a second, one every five seconds, and those of this test. Postgres counts a session's scans at its end or once a second.
    let most = 10 + 2 * i64::try_from(started.elapsed().as_secs()).unwrap();
    drop(authenticator);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let scans: i64 = sqlx::query_scalar(scans).fetch_one(database.pool()).await.unwrap();
    assert!(scans <= most, "{scans} scans, and {most} were expected at the most");
}

#[tokio::test]
async fn without_the_database_nobody_is_told_that_a_key_is_not_valid() {
    let nowhere = PgPool::connect_lazy("postgres://ordo@127.0.0.1:1/ordo").unwrap();
    let key = "ordo_live_0123456789abcdef_".to_owned() + &"A".repeat(43);
    let error = principal_of(&with_keys_of(&nowhere), &key).await.unwrap_err();
    assert!(matches!(error, AuthenticationError::Unavailable(_)), "{error:?}");
    let (status, challenge, body) = crate::answer(error).await;
    assert_eq!((status, challenge.as_str()), (503, ""), "{body}");
}

#[tokio::test]
async fn a_key_of_a_role_that_this_build_does_not_know_holds_up_no_other() {
    let database = testkit::database().await;
    let (key, other) = (shop().create(database.pool()).await.unwrap(), shop().create(database.pool()).await.unwrap());
    sqlx::query("update api_keys set role = 'courier' where id = $1")
        .bind(other.id().to_string())
        .execute(database.pool())
        .await
        .unwrap();
    let authenticator = with_keys_of(database.pool());
    principal_of(&authenticator, key.expose()).await.unwrap();
    refused(&authenticator, other.expose(), "another build's role").await;
}

#[tokio::test]
async fn a_name_is_that_of_one_customer() {
    let database = testkit::database().await;
    let of = |role: Role, customer: Option<&str>| {
        let (customer_id, name) = (customer.map(str::to_owned), Some("app".to_owned()));
        ApiKeyRequest { role, customer_id, name, expires_at: None }
    };
    let first = of(Role::Customer, Some("c-1")).create(database.pool()).await.unwrap();
    of(Role::Customer, Some("c-1")).create(database.pool()).await.unwrap();
    of(Role::Shop, None).create(database.pool()).await.unwrap();
    let another = of(Role::Customer, Some("c-2"));
    assert!(matches!(another.create(database.pool()).await, Err(ApiKeyError::NameTaken)));
    ApiKeyRequest { name: None, ..another }.create(database.pool()).await.unwrap();
    assert!(ApiKeyRow::list(database.pool(), true).await.unwrap().iter().any(|key| key.id == first.id().to_string()));
}

#[tokio::test]
async fn keys_made_at_the_same_time_count_each_other() {
    let database = testkit::database().await;
    fill(database.pool(), 9_999).await;
    let made = join_all((0..4).map(async |_| shop().create(database.pool()).await.is_ok())).await;
    assert_eq!(made.iter().filter(|made| **made).count(), 1);
}

#[tokio::test]
async fn what_was_in_use_stays_if_there_are_too_many() {
    let database = testkit::database().await;
    let oldest = shop().create(database.pool()).await.unwrap();
    // Not by `create`, which counts.
    fill(database.pool(), 10_000).await;
    principal_of(&with_keys_of(database.pool()), oldest.expose()).await.unwrap();
}

/// Keys that nobody has.
async fn fill(database: &PgPool, keys: i32) {
    let insert = "insert into api_keys (id, secret_hash, role)
                  select lpad(to_hex(nth), 16, '0'), sha256(''), 'shop' from generate_series(1, $1) as nth";
    sqlx::query(insert).bind(keys).execute(database).await.unwrap();
}

#[tokio::test]
async fn keys_that_make_no_sense_are_not_made() {
    let database = testkit::database().await;
    let refused = async |new: ApiKeyRequest| new.create(database.pool()).await.unwrap_err();
    let named = |name: &str| ApiKeyRequest { name: Some(name.to_owned()), ..shop() };
    assert!(matches!(refused(named("")).await, ApiKeyError::Name));
    assert!(matches!(refused(named("a\nb")).await, ApiKeyError::Name));
    let customer = ApiKeyRequest { role: Role::Customer, ..shop() };
    assert!(matches!(refused(customer).await, ApiKeyError::CustomerMissing));
    let other = ApiKeyRequest { customer_id: Some("customer-42".to_owned()), ..shop() };
    assert!(matches!(refused(other).await, ApiKeyError::CustomerGiven));
    let nobody: ApiKeyId = "0123456789abcdef".parse().unwrap();
    assert!(matches!(ApiKeyRow::revoke(database.pool(), &nobody).await, Err(ApiKeyError::Unknown(_))));
    assert!("0123".parse::<ApiKeyId>().is_err());
    assert!(ApiKeyRow::list(database.pool(), true).await.unwrap().is_empty());

    fill(database.pool(), 10_000).await;
    assert!(matches!(refused(shop()).await, ApiKeyError::TooMany));
}
