//! Settings that could not work are refused at the start, by name.

use crate::support::run;

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
        assert_eq!(refused.out, "", "{setting}={value}");
    }
}
