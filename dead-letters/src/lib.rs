//! Dead letters, as operators look at them, redrive, change and discard them: for the command line, over HTTP and in the console.
//!
//! A dead-letter queue can't be read without hiding from others what is read, and has no read by id. So a process reads it for one asker
//! at a time and up to a bound, and what was read a moment ago is shown to all. Whatever is decided about one is recorded in the log before
//! it is done, in the stream of the dead letter; that it was done is recorded after it. So a request that comes again goes on where the
//! first one stopped.
//!
//! - `look`: the first of each queue, and one by its id.
//! - `body`: what is wrong with a body, and where.
//! - `decide`: redrive, edit and discard. `record`: their events.
//! - [`routes`]: all of it over HTTP.

mod body;
mod decide;
mod look;
mod record;
mod routes;

use std::sync::{Arc, Mutex};

use event_store::EventStore;
use messaging::{DeadLetterQueue, MessageSigningKeys};
use tokio::sync::Semaphore;

pub use body::{BodyMistake, check_body};
pub use look::{DeadLetterLook, LookBounds, Whereabouts, by_reason, find, look_at};
pub use routes::{description, read_dead_letter, read_dead_letters, routes};

use look::SharedLook;

/// The dead letters of a platform. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetters(Arc<Inner>);

struct Inner {
    store: EventStore,
    /// The dead-letter queues. None: this process does not know them.
    queues: Vec<DeadLetterQueue>,
    /// What is sent again is signed with these.
    keys: MessageSigningKeys,
    /// Who reads the queues. Two readers would hide from each other what they read.
    turn: Arc<Semaphore>,
    latest: Mutex<Option<SharedLook>>,
}

impl DeadLetters {
    #[must_use]
    pub fn new(store: EventStore, queues: Vec<DeadLetterQueue>, keys: MessageSigningKeys) -> Self {
        Self(Arc::new(Inner { store, queues, keys, turn: Arc::new(Semaphore::new(1)), latest: Mutex::default() }))
    }

    pub(crate) fn keys(&self) -> &MessageSigningKeys {
        &self.0.keys
    }
}
