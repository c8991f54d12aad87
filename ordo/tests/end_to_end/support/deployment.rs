//! The services for roles that run as processes of their own, and checks of what they did.

use std::time::{Duration, Instant};

use embedded::inbox::Inbox;
use embedded::sqs::Sqs;
use serde_json::Value;
use testkit::Database;

use super::{Ordo, Setting, SilenceableProxy, run};

/// A database, queues and an inbox that outlive every role.
pub(crate) struct Deployment {
    pub(crate) database: Database,
    pub(crate) inbox: Inbox,
    /// The queues, behind a proxy.
    pub(crate) queues: SilenceableProxy,
    _sqs: Sqs,
    settings: Vec<(String, String)>,
}

impl Deployment {
    /// With these settings for all roles, beside those that say where things are.
    pub(crate) async fn new(settings: &[Setting<'_>]) -> Self {
        let (database, sqs, inbox) = tokio::join!(testkit::durable_database(), testkit::sqs(), testkit::inbox());
        let queues = SilenceableProxy::in_front_of(&sqs.url()).await;
        let places = [
            ("DATABASE_URL", database.url().to_owned()),
            ("AWS_ENDPOINT_URL_SQS", queues.http_url()),
            ("AWS_ENDPOINT_URL_SESV2", inbox.url()),
            // All processes share the hundred connections of one Postgres.
            ("ORDO_DATABASE_CONNECTIONS", "16".to_owned()),
            ("ORDO_READ_CONNECTIONS", "4".to_owned()),
            ("ORDO_LOG", "warn".to_owned()),
            // What a process that was killed had in work is to come again soon.
            ("ORDO_NOTIFICATION_DEADLINE", "2".to_owned()),
            ("ORDO_NOTIFICATIONS_VISIBILITY_TIMEOUT", "3".to_owned()),
            ("ORDO_REPLIES_VISIBILITY_TIMEOUT", "3".to_owned()),
        ];
        let given = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let settings = places.into_iter().chain(given).map(|(name, value)| (name.to_owned(), value)).collect();
        let deployment = Self { database, inbox, queues, _sqs: sqs, settings };
        let migrated = run(&["migrate", "--queues"], &deployment.settings()).await;
        assert_eq!(migrated.code, 0, "{}", migrated.err);
        deployment
    }

    pub(crate) fn settings(&self) -> Vec<Setting<'_>> {
        self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// A process with these roles.
    pub(crate) async fn serve(&self, roles: &str) -> Ordo {
        Ordo::serve(roles, &self.settings()).await
    }
}

/// What `ordo verify` says of a database, which must be readable.
pub(crate) async fn verify(database: &str) -> Value {
    verify_with(&[("DATABASE_URL", database)]).await
}

async fn verify_with(settings: &[Setting<'_>]) -> Value {
    let told = run(&["verify", "--json"], settings).await;
    let answer: Value = serde_json::from_str(&told.out).unwrap_or_else(|_| panic!("{told:?}"));
    assert_eq!(told.code, i32::from(answer["ok"] != true), "{told:?}");
    answer
}

/// Waits until so many orders are there and none of them is under way, all of which agrees, and says what `ordo verify` does.
pub(crate) async fn at_rest(database: &str, orders: usize, patience: Duration) -> Value {
    at_rest_with(&[("DATABASE_URL", database)], orders, patience).await
}

/// The same, where the settings say that read models are kept elsewhere.
pub(crate) async fn at_rest_with(settings: &[Setting<'_>], orders: usize, patience: Duration) -> Value {
    let until = Instant::now() + patience;
    loop {
        let told = verify_with(settings).await;
        assert_eq!(told["findings"], Value::Array(vec![]), "{told}");
        let under_way = |what: &str| told["sagas"][what].as_u64().unwrap();
        if told["orders"] == orders && under_way("waiting") + under_way("justBeginning") == 0 {
            return told;
        }
        assert!(Instant::now() < until, "still under way after {patience:?}: {told}");
        // Asking costs a process each time.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}
