//! What the settings promise to whoever sets them.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::time::Duration;

use ordo::settings::{
    PlatformRole, RawSettings, ReadModelStoreKind, SettingMistakes, SettingSource, Settings, SettingsWithSources,
};

#[test]
fn nothing_needs_to_be_set() {
    let settings = load(&[], "").unwrap().settings;
    assert_eq!(settings.database_url, None);
    assert_eq!(settings.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(settings.roles, PlatformRole::ALL);
    assert_eq!(settings.aws.region, "us-east-1");
    assert_eq!(settings.notification_deadline, Duration::from_secs(15));
    assert_eq!(settings.database_connections, 48);
}

#[test]
fn every_default_is_allowed() {
    let SettingsWithSources { entries, .. } = load(&[], "").unwrap();
    let defaults: Vec<_> =
        entries.iter().filter_map(|entry| entry.default.as_deref().map(|text| (entry.name, text))).collect();
    assert!(defaults.len() > 15);
    load(&defaults, "").unwrap();
}

#[test]
fn every_mistake_is_named_at_once() {
    let mistakes = mistakes(
        &[
            ("ORDO_LISTEN", "everywhere"),
            ("ORDO_ROLES", "sagas,saga"),
            ("ORDO_DATABASE_CONNECTIONS", "3"),
            ("ORDO_APPEND_QUEUE", "0"),
            ("ORDO_NOTIFICATION_DEADLINE", "3601"),
            ("ORDO_NOTIFICATIONS_BATCH_SIZE", "11"),
            ("ORDO_REPLIES_WAIT_SECONDS", "21"),
            ("ORDO_REPLIES_VISIBILITY_TIMEOUT", "-1"),
            ("ORDO_LOG", "info,,=="),
            ("ORDO_LOG_FORMAT", "xml"),
            ("ORDO_MAIL_FROM", "shop\r\nBcc: everyone@shop.example"),
            ("AWS_ENDPOINT_URL", "localhost:4566"),
        ],
        "database_connection = 4",
    );
    assert_eq!(
        mistakes,
        [
            r#"ORDO_DATABASE_CONNECTIONS: "3" must be a whole number from 4 to 500"#,
            r#"ORDO_LISTEN: "everywhere" must be an address and a port such as 127.0.0.1:3000 or 0.0.0.0:3000 (port 0: any free one)"#,
            r#"ORDO_ROLES: "sagas,saga" must be all, or a comma list of command-api, projections, sagas, notification, webhooks, console"#,
            r#"AWS_ENDPOINT_URL: "localhost:4566" must be an http:// or https:// address such as http://127.0.0.1:4566"#,
            r#"ORDO_MAIL_FROM: "shop\r\nBcc: everyone@shop.example" must be a mail address in ASCII such as orders@shop.example, or `Name <orders@shop.example>`"#,
            r#"ORDO_APPEND_QUEUE: "0" must be a whole number from 1 to 1000000"#,
            r#"ORDO_NOTIFICATION_DEADLINE: "3601" must be whole seconds from 1 to 3600"#,
            r#"ORDO_NOTIFICATIONS_BATCH_SIZE: "11" must be a whole number from 1 to 10"#,
            r#"ORDO_REPLIES_WAIT_SECONDS: "21" must be a whole number from 0 to 20"#,
            r#"ORDO_REPLIES_VISIBILITY_TIMEOUT: "-1" must be whole seconds from 1 to 43200"#,
            r#"ORDO_LOG: "info,,==" must be a level (error, warn, info, debug, trace, off) or directives such as info,ordo=debug"#,
            r#"ORDO_LOG_FORMAT: "xml" must be auto, text or json"#,
            "`database_connection` in the settings file: there is no such setting; did you mean database_connections?",
        ]
    );
}

#[test]
fn settings_of_tokens_name_what_is_wrong_and_hide_the_secret() {
    assert_eq!(
        mistakes(
            &[
                ("ORDO_TOKEN_SECRET", "too-short-s3cret"),
                ("ORDO_TOKEN_ISSUER", "an issuer"),
                ("ORDO_TOKEN_ROLE_CLAIM", "exp"),
                ("ORDO_TOKEN_CUSTOMER_CLAIM", "role"),
            ],
            ""
        ),
        [
            "ORDO_TOKEN_SECRET: must be 32 to 1024 bytes (not shown: it is a secret)",
            r#"ORDO_TOKEN_ISSUER: "an issuer" must be 1 to 255 bytes without spaces, such as https://id.shop.example/"#,
            r#"ORDO_TOKEN_ROLE_CLAIM: "exp" must be 1 to 255 bytes without spaces, and not the name of a registered claim"#,
            "ORDO_TOKEN_CUSTOMER_CLAIM: must be another claim than ORDO_TOKEN_ROLE_CLAIM",
        ]
    );
    assert_eq!(
        mistakes(
            &[("ORDO_JWKS_URL", "http://id.shop.example/jwks.json"), ("ORDO_TOKEN_ISSUER", "https://id.shop.example/")],
            ""
        ),
        [
            r#"ORDO_JWKS_URL: "http://id.shop.example/jwks.json" must be an https:// address such as https://id.shop.example/.well-known/jwks.json; http:// is for this machine (localhost, 127.0.0.1, [::1])"#
        ]
    );
    assert_eq!(
        mistakes(
            &[
                ("ORDO_JWKS_URL", "https://id.shop.example/jwks.json"),
                ("ORDO_TOKEN_SECRET", "0123456789abcdef-s3cret-0123456789"),
            ],
            ""
        ),
        ["ORDO_JWKS_URL: can't be set with ORDO_TOKEN_SECRET: tokens are verified with one of them; unset the other",]
    );
    for url in [&[][..], &[("ORDO_JWKS_URL", "http://127.0.0.1:1/"), ("ORDO_TOKEN_ISSUER", "https://id.shop.example/")]]
    {
        let given = [url, &[("ORDO_JWKS_CA", "ca.pem")]].concat();
        assert_eq!(mistakes(&given, ""), ["ORDO_JWKS_CA: is for an https:// address in ORDO_JWKS_URL"]);
    }
    assert_eq!(
        mistakes(&[("ORDO_JWKS_FILE", "jwks.json")], ""),
        [
            "ORDO_TOKEN_ISSUER: is needed, since ORDO_JWKS_FILE is set: 1 to 255 bytes without spaces, such as https://id.shop.example/"
        ]
    );
    let secret = "0123456789abcdef-s3cret-0123456789";
    let loaded = load(&[("ORDO_TOKEN_SECRET", secret)], "").unwrap();
    assert!(!format!("{loaded:?}").contains("s3cret"));
}

#[test]
fn people_sign_in_at_the_issuer_whose_tokens_are_verified() {
    let issuer = [
        ("ORDO_TOKEN_ISSUER", "https://id.shop.example/realms/shop/"),
        ("ORDO_JWKS_URL", "https://id.shop.example/realms/shop/keys"),
        ("ORDO_OIDC_CLIENT_ID", "ordo-console"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&issuer[..], more].concat();
    let console = ("ORDO_CONSOLE_URL", "https://console.shop.example/");
    let settings = load(&with(&[console, ("ORDO_OIDC_CLIENT_SECRET", "s3cret")]), "").unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
    let open_id = settings.settings.authentication.open_id.unwrap();
    assert_eq!(open_id.document.to_text(), "https://id.shop.example/realms/shop/.well-known/openid-configuration");
    assert_eq!(open_id.redirect_url.as_str(), "https://console.shop.example/sign-in/callback");
    assert_eq!(open_id.scopes, ["openid"]);
    let address =
        "an https:// address without a path, such as https://console.shop.example; http:// is for this machine";
    assert_eq!(
        mistakes(&issuer, ""),
        [format!("ORDO_CONSOLE_URL: is needed, since ORDO_OIDC_CLIENT_ID is set: {address}")]
    );
    for url in ["https://console.shop.example/ordo", "http://console.shop.example", "console.shop.example", "https://"]
    {
        let said = mistakes(&with(&[("ORDO_CONSOLE_URL", url)]), "");
        assert!(said[0].starts_with("ORDO_CONSOLE_URL: ") && said[0].contains(address), "{said:?}");
    }
    let alone = [issuer[2], console];
    let said = mistakes(&alone, "");
    assert_eq!(said, ["ORDO_OIDC_CLIENT_ID: needs an ORDO_TOKEN_ISSUER that is an https:// address"]);
    let said = mistakes(&[issuer[0], issuer[2], console], "");
    assert!(said[0].starts_with("ORDO_OIDC_CLIENT_ID: needs ORDO_JWKS_URL or ORDO_JWKS_FILE"), "{said:?}");
    let said = mistakes(&[console, ("ORDO_OIDC_CLIENT_SECRET", "s3cret")], "");
    let alone = |name: &str| format!("{name}: is for signing in at the issuer: set ORDO_OIDC_CLIENT_ID, too");
    assert_eq!(said, [alone("ORDO_OIDC_CLIENT_SECRET"), alone("ORDO_CONSOLE_URL")]);
    let said = mistakes(&with(&[console, ("ORDO_OIDC_SCOPES", "profile")]), "");
    assert!(said[0].starts_with("ORDO_OIDC_SCOPES: "), "{said:?}");
}

#[test]
fn an_unknown_variable_of_ours_is_a_mistake() {
    assert_eq!(
        mistakes(&[("ORDO_LISTN", "127.0.0.1:1"), ("ORDO_COLOUR", "red"), ("PATH", "/bin"), ("ORDO_CONFIG", "x")], ""),
        [
            "ORDO_COLOUR: there is no such setting; `ordo config list` shows those there are",
            "ORDO_LISTN: there is no such setting; did you mean ORDO_LISTEN?",
        ]
    );
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_file() {
    let file = "listen = '127.0.0.1:1'\nqueue_prefix = 'file'\nappend_queue = 7";
    let variables = [("ORDO_LISTEN", "127.0.0.1:2"), ("ORDO_QUEUE_PREFIX", "variable")];
    let sources = sources(&variables, file).flag("ORDO_LISTEN", "--listen", Some("127.0.0.1:3".to_owned()));
    let SettingsWithSources { settings, entries } = Settings::load(sources).unwrap();
    assert_eq!(settings.listen.port(), 3);
    assert_eq!(settings.queue_prefix, "variable");
    assert_eq!(settings.append_queue, 7);
    let source = |name| entries.iter().find(|entry| entry.name == name).unwrap().source;
    assert_eq!(source("ORDO_LISTEN"), SettingSource::Flag("--listen"));
    assert_eq!(source("ORDO_QUEUE_PREFIX"), SettingSource::Environment);
    assert_eq!(source("ORDO_APPEND_QUEUE"), SettingSource::File);
    assert_eq!(source("ORDO_ROLES"), SettingSource::Default);
}

#[test]
fn the_file_takes_tables_or_long_names() {
    let file = "roles = ['sagas', 'notification']\n[notifications]\nbatch_size = 5\n[aws]\nendpoint_url_sqs = 'http://sqs:4566/'";
    let settings = load(&[], file).unwrap().settings;
    assert_eq!(settings.roles, [PlatformRole::Sagas, PlatformRole::Notification]);
    assert_eq!(settings.notifications.batch_size, 5);
    assert_eq!(settings.aws.sqs_endpoint.as_deref(), Some("http://sqs:4566"));
    assert_eq!(settings.aws.ses_endpoint, None);
    assert_eq!(
        mistakes(&[], "notifications_batch_size = 5\n[notifications]\nbatch_size = 6\nwait_secs = 1"),
        [
            "settings file: `notifications_batch_size` and `notifications.batch_size` are the same setting",
            "`notifications.wait_secs` in the settings file: there is no such setting; did you mean notifications_wait_seconds?",
        ]
    );
}

#[test]
fn whatever_is_allowed_for_a_consumer_suits_it() {
    for limits in [["1", "0", "1", "1", "1", "1"], ["10", "20", "43200", "300", "1000", "1000"]] {
        let names =
            ["BATCH_SIZE", "WAIT_SECONDS", "VISIBILITY_TIMEOUT", "ERROR_BACKOFF", "CONCURRENCY", "MAX_ATTEMPTS"];
        let names = names.map(|name| format!("ORDO_REPLIES_{name}"));
        let variables: Vec<_> = names.iter().map(String::as_str).zip(limits).collect();
        load(&variables, "").unwrap().settings.replies.settings().validate().unwrap();
    }
}

#[test]
fn mail_addresses_are_those_that_notification_takes() {
    let named = "Ordo Shop <orders@shop.example>";
    assert_eq!(load(&[("ORDO_MAIL_FROM", named)], "").unwrap().settings.mail_from, named);
    for (name, wrong) in [
        ("ORDO_MAIL_FROM", "Ordo Shop"),
        ("ORDO_MAIL_FROM", "Ordo <orders@shop..example>"),
        ("ORDO_MAIL_DEFAULT_RECIPIENT", "Ann <ann@shop.example>"),
        ("ORDO_MAIL_DEFAULT_RECIPIENT", "ann@shop..example"),
    ] {
        assert_eq!(mistakes(&[(name, wrong)], "").len(), 1, "{name} {wrong}");
    }
}

#[test]
fn one_endpoint_can_stand_for_all_services() {
    let variables = [("AWS_ENDPOINT_URL", "http://aws:1"), ("AWS_ENDPOINT_URL_SESV2", "http://ses:2")];
    let aws = load(&variables, "").unwrap().settings.aws;
    assert_eq!(aws.sqs_endpoint.as_deref(), Some("http://aws:1"));
    assert_eq!(aws.sns_endpoint.as_deref(), Some("http://aws:1"));
    assert_eq!(aws.ses_endpoint.as_deref(), Some("http://ses:2"));
    assert_eq!(aws.dynamodb_endpoint.as_deref(), Some("http://aws:1"));
    let aws = load(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://db:3")], "").unwrap().settings.aws;
    assert_eq!((aws.dynamodb_endpoint.as_deref(), aws.sqs_endpoint), (Some("http://db:3"), None));
}

#[test]
fn events_are_published_on_fifo_queues_and_topics_alone() {
    let topic = "arn:aws:sns:eu-central-1:123456789012:ordo-events.fifo";
    let both = [("ORDO_EVENTS_QUEUE", "ordo-events.fifo"), ("ORDO_EVENTS_TOPIC", topic)];
    let events = load(&both, "").unwrap().settings.publication;
    assert_eq!(events.queue.as_deref(), Some("ordo-events.fifo"));
    let told = events.topic.unwrap();
    assert_eq!((told.to_string().as_str(), told.region()), (topic, "eu-central-1"));
    let none = load(&[], "").unwrap().settings.publication;
    assert_eq!((none.queue, none.topic), (None, None));
    for (name, wrong) in [
        ("ORDO_EVENTS_QUEUE", "ordo-events"),
        ("ORDO_EVENTS_QUEUE", "ordo-notifications.fifo"),
        ("ORDO_EVENTS_TOPIC", "ordo-events.fifo"),
        ("ORDO_EVENTS_TOPIC", "arn:aws:sns:eu-central-1:123456789012:ordo-events"),
        ("ORDO_EVENTS_TOPIC", "arn:aws:sqs:eu-central-1:123456789012:ordo-events.fifo"),
        ("ORDO_EVENTS_TOPIC", "arn:aws:sns:eu-central-1:12345678901:ordo-events.fifo"),
        ("ORDO_EVENTS_TOPIC", "arn:aws:sns::123456789012:ordo-events.fifo"),
        ("ORDO_EVENTS_TOPIC", "arn:aws:sns:eu-central-1:123456789012:a:ordo-events.fifo"),
        ("ORDO_EVENTS_TOPIC", "arn:aws:sns:eu-central-1:123456789012:.fifo"),
    ] {
        let told = mistakes(&[(name, wrong)], "");
        assert!(told.len() == 1 && told[0].contains(name), "{name} {wrong}: {told:?}");
    }
}

#[test]
fn read_models_are_kept_where_this_program_can_keep_them() {
    assert_eq!(load(&[], "").unwrap().settings.read_models, ReadModelStoreKind::Postgres);
    let dynamodb = load(&[("ORDO_READ_MODELS", "dynamodb")], "");
    if cfg!(feature = "dynamodb") {
        assert_eq!(dynamodb.unwrap().settings.read_models, ReadModelStoreKind::Dynamodb);
    } else {
        let mistakes = dynamodb.unwrap_err().to_string();
        let expected = "ORDO_READ_MODELS: dynamodb is not part of this program: build it with `--features dynamodb`";
        assert!(mistakes.starts_with(expected), "{mistakes}");
    }
    assert_eq!(
        mistakes(&[("ORDO_READ_MODELS", "mongodb"), ("ORDO_DYNAMODB_PREFIX", "a b")], ""),
        [
            r#"ORDO_READ_MODELS: "mongodb" must be postgres or dynamodb"#,
            r#"ORDO_DYNAMODB_PREFIX: "a b" must be 1 to 40 characters of a-z A-Z 0-9 - _"#,
        ]
    );
}

#[test]
fn a_secret_is_never_repeated_right_or_wrong() {
    let loaded = load(&[("DATABASE_URL", "postgres://shop:s3cret@db/ordo")], "").unwrap();
    assert!(!format!("{loaded:?}").contains("s3cret"), "{loaded:?}");

    let wrong = mistakes(&[("DATABASE_URL", "postgre://shop:s3cret@db/ordo")], "");
    assert_eq!(wrong.len(), 1);
    assert!(wrong[0].starts_with("DATABASE_URL: must be a postgres:// address"), "{wrong:?}");
    assert!(!wrong[0].contains("s3cret"), "{wrong:?}");

    let broken = mistakes(&[], "append_queue = 5\ndatabase_url = 'postgres://shop:s3cret@db/ordo");
    assert!(broken[0].starts_with("settings file: line 2: "), "{broken:?}");
    assert!(!broken[0].contains("s3cret"), "{broken:?}");
}

#[test]
fn a_secret_can_be_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("database-url");
    std::fs::write(&path, "postgres://shop:s3cret@db/ordo\n").unwrap();
    let path = path.to_str().unwrap();

    let settings = load(&[("DATABASE_URL_FILE", path)], "database_url = 'postgres://other/ordo'").unwrap().settings;
    assert_eq!(settings.database_url.unwrap().expose(), "postgres://shop:s3cret@db/ordo");

    let both = mistakes(&[("DATABASE_URL_FILE", path), ("DATABASE_URL", "postgres://db/ordo")], "");
    assert_eq!(both, ["DATABASE_URL: is given twice, here and by DATABASE_URL_FILE; keep one"]);

    let missing = mistakes(&[("DATABASE_URL_FILE", "/nowhere/at/all")], "");
    assert!(missing[0].starts_with("DATABASE_URL_FILE: \"/nowhere/at/all\" cannot be read"), "{missing:?}");
}

#[test]
fn stripe_needs_a_key_which_is_never_repeated() {
    let stripe = ("ORDO_PAYMENT_PROVIDER", "stripe");
    assert_eq!(
        mistakes(&[stripe], ""),
        [
            "ORDO_STRIPE_SECRET_KEY: is needed, since ORDO_PAYMENT_PROVIDER is stripe: a secret key of Stripe's, sk_… or rk_…"
        ]
    );
    assert_eq!(
        mistakes(&[stripe, ("ORDO_STRIPE_SECRET_KEY", "pk_test_s3cret")], ""),
        ["ORDO_STRIPE_SECRET_KEY: must be a secret key of Stripe's, sk_… or rk_… (not shown: it is a secret)"]
    );
    let in_file = mistakes(&[], "payment_provider = 'stripe'\nstripe_secret_key = 'sk_test s3cret'");
    assert_eq!(in_file.len(), 1, "{in_file:?}");
    let loaded = load(&[stripe, ("ORDO_STRIPE_SECRET_KEY", "sk_test_s3cret")], "").unwrap();
    assert!(!format!("{loaded:?}").contains("s3cret"), "{loaded:?}");
    assert_eq!(loaded.settings.payment.stripe_secret_key.unwrap().expose(), "sk_test_s3cret");
}

#[test]
fn a_secret_key_leaves_the_machine_only_under_tls() {
    let with = |url, key| mistakes(&[("ORDO_STRIPE_URL", url), ("ORDO_STRIPE_SECRET_KEY", key)], "");
    for (url, key) in [
        ("http://stripe.example", "sk_test_1"),
        ("http://127.0.0.1:8420", "sk_live_1"),
        ("http://localhost.stripe.example", "sk_test_1"),
        ("http://127.0.0.1.stripe.example", "rk_test_1"),
    ] {
        let mistakes = with(url, key);
        assert!(
            matches!(&mistakes[..], [one] if one.starts_with("ORDO_STRIPE_URL: must be an https:// address")),
            "{mistakes:?}"
        );
    }
    for url in ["http://127.0.0.1:8420", "http://[::1]:8420", "http://localhost:8420", "https://stripe.example"] {
        assert!(load(&[("ORDO_STRIPE_URL", url), ("ORDO_STRIPE_SECRET_KEY", "rk_test_1")], "").is_ok(), "{url}");
    }
    let planted = mistakes(&[("ORDO_STRIPE_SECRET_KEY", "sk_live_1")], "stripe_url = 'http://stripe.example'");
    assert!(planted[0].starts_with("`stripe_url` in the settings file: must be an https:// address"), "{planted:?}");
}

#[test]
fn the_payment_breaker_decides_by_half_of_its_window() {
    let breaker = load(&[], "").unwrap().settings.payment.breaker;
    assert_eq!((breaker.window, breaker.at_least), (100, 50));
    let breaker = load(&[("ORDO_PAYMENT_BREAKER_WINDOW", "5")], "").unwrap().settings.payment.breaker;
    assert_eq!((breaker.window, breaker.at_least), (5, 3));
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    assert_eq!(load(&[("AWS_ENDPOINT_URL", ""), ("ORDO_LISTEN", "")], "").unwrap().settings.listen.port(), 3000);
}

fn sources(variables: &[(&str, &str)], file: &str) -> RawSettings {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    RawSettings::default().environment(variables).file(file)
}

fn load(variables: &[(&str, &str)], file: &str) -> Result<SettingsWithSources, SettingMistakes> {
    Settings::load(sources(variables, file))
}

fn mistakes(variables: &[(&str, &str)], file: &str) -> Vec<String> {
    load(variables, file).unwrap_err().0.iter().map(ToString::to_string).collect()
}
