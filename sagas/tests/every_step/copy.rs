//! A copy of the sagas in a runtime of its own, with connections of its own, so that it can be killed with all that it has begun.

use std::sync::Arc;
use std::time::Duration;

use event_store::{AppendQueueSettings, EventStore, StreamLocks};
use messaging::{Consumer, ConsumerSettings, Producer, ProducerSettings};
use payments::PaymentGateway;
use sagas::SagaDependencies;
use sqlx::postgres::PgPoolOptions;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::World;

pub(crate) struct Copy {
    /// Always there until it is dropped.
    runtime: Option<Runtime>,
    task: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Copy {
    pub(crate) fn start(world: &World, payments: Arc<dyn PaymentGateway>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stop, settings) = (CancellationToken::new(), world.settings.clone());
        let (url, sqs, queues) = (world.database.url().to_owned(), world.sqs.url(), world.queues.clone());
        let stopped = stop.clone();
        let task = runtime.spawn(async move {
            let pool = PgPoolOptions::new().max_connections(8).connect(&url).await.unwrap();
            let store = EventStore::start(pool, AppendQueueSettings::default());
            let client = testkit::sqs_client(&sqs);
            // What a copy took from the queue and was killed over comes again soon.
            let consumer = ConsumerSettings { visibility_timeout: Duration::from_secs(2), ..Default::default() };
            let sagas = SagaDependencies {
                store: store.clone(),
                stock: StreamLocks::new(store.clone(), 100),
                payments,
                notifications: Producer::new(
                    client.clone(),
                    queues.notifications.clone(),
                    testkit::MESSAGE_KEYS.parse().unwrap(),
                    ProducerSettings::default(),
                ),
                replies: Consumer::new(client, queues.replies, testkit::MESSAGE_KEYS.parse().unwrap(), consumer)
                    .unwrap(),
                settings,
            };
            sagas::run(sagas, sagas::SagaMetrics::default(), stopped).await;
            store.close().await;
        });
        Self { runtime: Some(runtime), task: Some(task), stop }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.await.unwrap();
        }
    }

    /// Ends it wherever it is. Everything that it has open is closed.
    pub(crate) fn kill(self) {}
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
