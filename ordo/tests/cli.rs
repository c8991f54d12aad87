//! The binary as a script sees it: standard output, standard error, exit codes.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

#[test]
fn config_check_lists_what_holds_and_hides_secrets() {
    let told =
        ordo(&["config", "check"], &[("DATABASE_URL", "postgres://shop:s3cret@db/ordo"), ("ORDO_APPEND_QUEUE", "9")]);
    assert_eq!(told.code, 0);
    let row = |name: &str| told.out.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("DATABASE_URL").contains("postgres://shop:***@db/ordo"), "{}", told.out);
    assert!(row("ORDO_APPEND_QUEUE").ends_with("environment"), "{}", told.out);
    assert!(!told.out.contains("s3cret"));
}

#[test]
fn config_check_lists_every_mistake_and_fails() {
    let told = ordo(&["config", "check"], &[("ORDO_APPEND_QUEUE", "none"), ("ORDO_ROLE", "sagas")]);
    assert_eq!(told.code, 1);
    assert_eq!(
        told.out.lines().collect::<Vec<_>>(),
        [
            r#"ORDO_APPEND_QUEUE: "none" must be a whole number from 1 to 1000000"#,
            "ORDO_ROLE: there is no such setting; did you mean ORDO_ROLES?",
        ]
    );
    let told = ordo(&["config", "check", "--json"], &[("ORDO_APPEND_QUEUE", "none")]);
    assert_eq!(told.code, 1);
    let json: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(json["mistakes"][0]["setting"], "ORDO_APPEND_QUEUE");
}

#[test]
fn a_token_is_printed_and_nothing_else() {
    let secret = ("ORDO_TOKEN_SECRET", "0123456789abcdef0123456789abcdef");
    let told = ordo(&["token", "--role", "customer", "--customer", "customer-42", "--expires", "2h"], &[secret]);
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let token = told.out.strip_suffix('\n').unwrap();
    assert!(token.split('.').count() == 3 && !token.contains(char::is_whitespace), "{token}");

    let nowhere = ordo(&["token", "--role", "shop", "--data-dir", "nowhere"], &[]);
    assert_eq!((nowhere.code, nowhere.out.as_str()), (1, ""));
    assert!(nowhere.err.starts_with("ordo: there is no secret for tokens in nowhere"), "{}", nowhere.err);
    let misused = [
        vec!["token", "--role", "customer"],
        vec!["token", "--role", "shop", "--customer", "customer-42"],
        vec!["token", "--role", "shop", "--subject", ""],
    ];
    for args in misused {
        let told = ordo(&args, &[secret]);
        assert_eq!((told.code, told.out.as_str()), (1, ""), "{args:?}");
    }
    for args in [&["token"][..], &["token", "--role", "root"], &["token", "--role", "shop", "--expires", "367d"]] {
        assert_eq!(ordo(args, &[secret]).code, 2, "{args:?}");
    }
}

#[test]
fn a_settings_file_that_is_named_must_be_there() {
    let told = ordo(&["config", "check", "--config", "nowhere.toml"], &[]);
    assert_eq!(told.code, 1);
    assert!(told.out.starts_with("settings file: nowhere.toml cannot be read"), "{}", told.out);
}

#[test]
fn wrong_usage_is_told_from_failure() {
    assert_eq!(ordo(&["fly"], &[]).code, 2);
    assert_eq!(ordo(&["serve", "--roles", "saga"], &[]).code, 2);
    let told = ordo(&["serve", "--listen", "127.0.0.1:0", "--roles", "command-api", "--allow-anonymous"], &[]);
    assert_eq!(told.code, 1);
    assert_eq!(
        told.err,
        "ordo: DATABASE_URL is not set, and no platform runs in .ordo: set it, or start one with `ordo up` \
         (--data-dir, if it is elsewhere)\n"
    );
}

#[test]
fn a_taken_address_is_one_line_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--sqs-listen", "--ses-listen"] {
        let mut line = vec!["up", "--ephemeral"];
        for other in ["--listen", "--sqs-listen", "--ses-listen"] {
            line.extend([other, if other == flag { &address } else { "127.0.0.1:0" }]);
        }
        let told = ordo(&line, &[]);
        assert_eq!(told.code, 1);
        let expected = format!(
            "ordo: cannot listen on {address}: another process has that port; \
             choose another address with {flag} (port 0: any free one)\n"
        );
        assert_eq!(told.err, expected);
    }
}

#[test]
fn the_demo_and_health_say_that_nothing_runs() {
    // Bound and let go: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}");
    let told = ordo(&["demo", "--api", &url], &[]);
    assert_eq!((told.code, told.err.lines().count()), (1, 1));
    assert!(told.err.contains("start one with `ordo up`"), "{}", told.err);
    let told = ordo(&["health", "--url", &url], &[]);
    assert_eq!((told.code, told.err.lines().count()), (1, 1));
}

#[test]
fn help_a_version_completions_and_a_manual_can_be_had() {
    let told = ordo(&["help"], &[]);
    assert_eq!(told.code, 0);
    assert!(told.out.contains("Examples:") && told.out.contains("ordo saga list --state stuck"), "{}", told.out);
    assert!(ordo(&["help", "saga", "retry"], &[]).out.contains("--stuck"));
    assert_eq!(ordo(&["version"], &[]).out, ordo(&["--version"], &[]).out);
    for shell in ["bash", "zsh", "fish"] {
        let told = ordo(&["completions", shell], &[]);
        assert!(told.code == 0 && told.out.contains("mark-succeeded"), "{shell}: {}", told.err);
    }
    let folder = tempfile::tempdir().unwrap();
    let told = ordo(&["man", folder.path().to_str().unwrap()], &[]);
    assert_eq!(told.code, 0, "{}", told.err);
    for page in ["ordo.1", "ordo-up.1", "ordo-saga-retry.1"] {
        assert!(std::fs::read_to_string(folder.path().join(page)).unwrap().contains(".TH"), "{page}");
    }
}

struct Told {
    code: i32,
    out: String,
    err: String,
}

/// Runs the binary in an empty folder with these variables and no others.
fn ordo(arguments: &[&str], variables: &[(&str, &str)]) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ordo"));
    command.args(arguments).current_dir(folder.path()).env_clear().envs(variables.iter().copied());
    let output = command.output().unwrap();
    Told {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
