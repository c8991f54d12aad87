//! Settings that could not work are refused at the start, by name.

use crate::support::{Ordo, PATIENCE, only_says_what_is_set, run};

#[tokio::test]
async fn a_platform_that_could_not_work_does_not_start_and_says_why() {
    let up =
        ["up", "--ephemeral", "--listen", "127.0.0.1:0", "--sqs-listen", "127.0.0.1:0", "--ses-listen", "127.0.0.1:0"];
    for (setting, value, said) in [
        ("ORDO_APPEND_QUEUE", "0", "ORDO_APPEND_QUEUE: \"0\" must be a whole number from 1 to 1000000"),
        ("ORDO_DATABASE_CONNECTIONS", "3", "ORDO_DATABASE_CONNECTIONS: \"3\" must be a whole number from 4 to 500"),
        ("ORDO_DATABASE_CONNECTIONS", "12", "ORDO_DATABASE_CONNECTIONS is 12, but these roles need "),
        // The log takes one writer: there is no number of them to set.
        ("ORDO_APPEND_WRITERS", "0", "ORDO_APPEND_WRITERS: there is no such setting"),
        ("ORDO_LEASE", "0", "ORDO_LEASE: \"0\" must be whole seconds from 1 to 300"),
    ] {
        let refused = run(&up, &[(setting, value)]).await;
        assert_eq!(refused.code, 1, "{setting}={value}: {refused:?}");
        assert!(refused.err.contains(said), "{setting}={value}: {}", refused.err);
        assert!(only_says_what_is_set(&refused.out), "{setting}={value}: {}", refused.out);
    }
}

#[tokio::test]
async fn orders_are_not_promised_by_whoever_does_not_know_who_takes_payments() {
    let database = testkit::database().await;
    let nobody = [("DATABASE_URL", database.url()), ("ORDO_PAYMENT_PROVIDER", ""), ("ORDO_LOG", "off")];
    let refused = run(&["serve", "--listen", "127.0.0.1:0", "--allow-anonymous", "--unsafe-durability"], &nobody).await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""), "{refused:?}");
    let said = "ordo: ORDO_PAYMENT_PROVIDER is not set: say who takes payments, stripe or, ";
    assert!(refused.err.starts_with(said), "{}", refused.err);

    // `up` brings everything, and says that it is the sandbox.
    let up = Ordo::up(&[("ORDO_PAYMENT_PROVIDER", "")]).await;
    let said = "payments go to the sandbox: no money moves";
    testkit::eventually(PATIENCE, || async { up.log().contains(said) }).await;
}

#[tokio::test]
async fn roles_that_read_messages_do_not_start_without_a_key() {
    // Nothing listens there: the key is missed first.
    let no_key = [("DATABASE_URL", "postgres://127.0.0.1:9/ordo"), ("ORDO_MESSAGE_KEYS", ""), ("ORDO_LOG", "off")];
    for (roles, needs_it) in
        [("sagas", true), ("notification", true), ("all", true), ("command-api", false), ("projections", false)]
    {
        let refused = run(&["serve", "--listen", "127.0.0.1:0", "--allow-anonymous", "--roles", roles], &no_key).await;
        assert_eq!(refused.code, 1, "{roles}: {refused:?}");
        let said = refused.err.starts_with("ordo: ORDO_MESSAGE_KEYS is not set: messages are signed with it");
        assert_eq!(said, needs_it, "{roles}: {}", refused.err);
    }
    let short = [("ORDO_MESSAGE_KEYS", "a:c2hvcnQ=")];
    let refused = run(&["config", "check"], &short).await;
    let said = "ORDO_MESSAGE_KEYS: must be ID:SECRET, or several";
    assert!(refused.code == 1 && refused.out.contains(said) && !refused.out.contains("c2hvcnQ="), "{refused:?}");
}
