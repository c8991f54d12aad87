//! What is in the queues, as far as the journal has to know it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rustack_sqs_model::types::{Message, RedrivePolicy};
use uuid::Uuid;

use super::id_in;
use super::journal::Kept;
use super::record::{JournalRecord, QueueDefinition};

/// A file that is smaller is not worth making it shorter.
const WORTH_COMPACTING: u64 = 8 * 1024 * 1024;

/// What the names of FIFO queues end with.
const FIFO: &str = ".fifo";

/// The queues and the messages that were not deleted.
#[derive(Debug, Default)]
pub(super) struct LiveMessages {
    queues: BTreeMap<String, LiveQueue>,
    /// By the id that the emulator has for them.
    messages: HashMap<Uuid, LiveMessage>,
    /// The records of the messages.
    bytes: u64,
    /// The file, with what is dead in it.
    file_bytes: u64,
}

#[derive(Debug)]
struct LiveQueue {
    definition: QueueDefinition,
    name: Arc<str>,
    /// Of a FIFO queue: the sequence number of the last message that came.
    last_sequence: String,
}

#[derive(Debug)]
struct LiveMessage {
    /// What its sender was told. The emulator has another id for a message that was sent again after a start.
    id: Uuid,
    queue: Arc<str>,
    bytes: u64,
    /// How often it was received from that queue.
    receives: u32,
    /// The receipt handle that it was handed out with last: no other deletes it.
    handle: Option<String>,
    /// What else is another now.
    again: Option<SentAgain>,
}

/// What the sender of a message that was sent again after a start gave it.
#[derive(Debug)]
pub(super) struct SentAgain {
    pub(super) sent_at: u64,
    pub(super) deduplication_id: Option<String>,
}

impl LiveMessages {
    /// For a file of so many bytes.
    pub(super) fn of_file(file_bytes: u64) -> Self {
        Self { file_bytes, ..Self::default() }
    }

    /// The bytes of the messages.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The queue is this from now on. `false`: it was before.
    pub(super) fn define(&mut self, definition: &QueueDefinition) -> bool {
        match self.queues.get_mut(&definition.name) {
            Some(known) if known.definition == *definition => false,
            Some(known) => {
                known.definition = definition.clone();
                true
            }
            None => {
                let name = definition.name.as_str().into();
                let new = LiveQueue { definition: definition.clone(), name, last_sequence: String::new() };
                self.queues.insert(definition.name.clone(), new);
                true
            }
        }
    }

    /// Whether a message that was just sent is a new one. A FIFO queue may answer with a message that came before.
    pub(super) fn is_new(&mut self, queue: &str, sequence: Option<&str>) -> bool {
        let Some((queue, sequence)) = self.queues.get_mut(queue).zip(sequence) else { return true };
        // Twenty digits each.
        let is_new = *sequence > *queue.last_sequence;
        if is_new {
            sequence.clone_into(&mut queue.last_sequence);
        }
        is_new
    }

    /// A message is in the queue, under the emulator's id.
    pub(super) fn add(&mut self, emulated: Uuid, id: Uuid, queue: &str, bytes: u64, again: Option<SentAgain>) {
        let queue = self.queues.get(queue).map_or_else(|| queue.into(), |queue| Arc::clone(&queue.name));
        self.bytes += bytes;
        self.messages.insert(emulated, LiveMessage { id, queue, bytes, receives: 0, handle: None, again });
    }

    /// The id that its sender was told for a message of the emulator. `None`: it is not there.
    pub(super) fn id_of(&self, emulated: Uuid) -> Option<Uuid> {
        self.messages.get(&emulated).map(|message| message.id)
    }

    /// A message was handed out by the queue. Puts right what the emulator does not know of it.
    pub(super) fn received(&mut self, queue: &str, message: &mut Message) -> Option<JournalRecord> {
        let emulated = message.message_id.as_deref().and_then(|id| Uuid::parse_str(id).ok())?;
        let live = self.messages.get_mut(&emulated)?;
        // One that was deleted meanwhile is none that it could be in after a start.
        let moved_to = self.queues.get(queue).filter(|_| *live.queue != *queue).map(|queue| Arc::clone(&queue.name));
        let has_moved = moved_to.is_some();
        if let Some(moved_to) = moved_to {
            (live.queue, live.receives) = (moved_to, 0);
        }
        live.receives += 1;
        live.handle.clone_from(&message.receipt_handle);
        if let Some(SentAgain { sent_at, deduplication_id }) = &live.again {
            message.message_id = Some(live.id.to_string());
            let mut set = |name: &str, value: String| {
                message.attributes.get_mut(name).into_iter().for_each(|it| it.clone_from(&value));
            };
            set("SentTimestamp", sent_at.to_string());
            deduplication_id.iter().for_each(|id| set("MessageDeduplicationId", id.clone()));
        }
        has_moved.then(|| JournalRecord::Moved { id: live.id, queue: queue.to_owned() })
    }

    /// A message of the queue was deleted. `None`: it was before, or the emulator took no notice: the handle is an earlier one, or of
    /// another queue.
    pub(super) fn delete(&mut self, queue: &str, handle: &str) -> Option<JournalRecord> {
        let emulated = id_in(handle)?;
        let is_this = |it: &&LiveMessage| *it.queue == *queue && it.handle.as_deref() == Some(handle);
        self.messages.get(&emulated).filter(is_this)?;
        let message = self.messages.remove(&emulated)?;
        self.bytes -= message.bytes;
        Some(JournalRecord::Deleted { id: message.id })
    }

    /// The queue was purged.
    pub(super) fn purge(&mut self, queue: &str) -> Vec<JournalRecord> {
        let mut records = self.save_dead_letters(queue);
        let purged = JournalRecord::Purged { queue: queue.to_owned() };
        self.drop_messages_of(queue);
        records.push(purged);
        records
    }

    /// The queue was deleted. Nothing, if there was none.
    pub(super) fn delete_queue(&mut self, queue: &str) -> Vec<JournalRecord> {
        let mut records = self.save_dead_letters(queue);
        if self.queues.remove(queue).is_some() {
            self.drop_messages_of(queue);
            records.push(JournalRecord::QueueDeleted { name: queue.to_owned() });
        }
        records
    }

    fn drop_messages_of(&mut self, queue: &str) {
        let mut freed = 0;
        self.messages.retain(|_, message| {
            let stays = *message.queue != *queue;
            freed += if stays { 0 } else { message.bytes };
            stays
        });
        self.bytes -= freed;
    }

    /// Messages that were received as often as they may be have gone to the dead letters, or are about to, and the emulator does not say
    /// which. None of them may be lost with the queue that they came from.
    fn save_dead_letters(&mut self, queue: &str) -> Vec<JournalRecord> {
        let policy = self.queues.get(queue).and_then(|queue| queue.definition.attributes.get("RedrivePolicy"));
        let Some(policy) = policy.and_then(|policy| serde_json::from_str::<RedrivePolicy>(policy).ok()) else {
            return Vec::new();
        };
        let target = policy.dead_letter_target_arn.rsplit(':').next().unwrap_or_default();
        // One of another kind gets none.
        if target.ends_with(FIFO) != queue.ends_with(FIFO) {
            return Vec::new();
        }
        let Some(target) = self.queues.get(target).map(|queue| Arc::clone(&queue.name)) else { return Vec::new() };
        let most = u32::try_from(policy.max_receive_count).unwrap_or(u32::MAX);
        let gone = self.messages.values_mut().filter(|it| *it.queue == *queue && it.receives >= most);
        let moved = gone.map(|message| {
            (message.queue, message.receives) = (Arc::clone(&target), 0);
            JournalRecord::Moved { id: message.id, queue: target.to_string() }
        });
        moved.collect()
    }

    /// So many bytes were appended to the file. What is left, if it is time to make the file shorter: more than half of it is dead.
    #[must_use]
    pub(super) fn appended(&mut self, bytes: usize) -> Option<Kept> {
        self.file_bytes += bytes as u64;
        if self.file_bytes < WORTH_COMPACTING || self.file_bytes / 2 < self.bytes {
            return None;
        }
        // If it fails, the next attempt is made when the file has grown by as much again.
        self.file_bytes = self.bytes;
        let messages = self.messages.values().map(|message| (message.id, Arc::clone(&message.queue)));
        Some(Kept {
            queues: self.queues.values().map(|queue| queue.definition.clone()).collect(),
            messages: messages.collect(),
        })
    }
}
