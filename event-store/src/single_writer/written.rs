//! What an append writes to the streams of an aggregate, kept until it is known to be stored.

use event_versions::Versioned;
use uuid::Uuid;

use crate::append::StreamAppend;
use crate::event::NewEvent;
use crate::read::Loaded;

/// What an append writes to one stream.
pub(super) struct Written<A: Versioned> {
    pub(super) stream_id: String,
    pub(super) expected_version: i64,
    /// With their ids.
    events: Vec<(A::Event, Uuid)>,
    /// How many events the append has from the first of these on.
    up_to_the_end: i64,
}

impl<A: Versioned> Written<A> {
    /// Of those streams that are the aggregate's. One with an event that can't be read is left out: it is read again later.
    pub(super) fn of(streams: &[StreamAppend]) -> Vec<Self> {
        let mut up_to_the_end = 0;
        let mut written = Vec::with_capacity(streams.len());
        for stream in streams.iter().rev() {
            up_to_the_end += i64::try_from(stream.events.len()).unwrap_or(0);
            if stream.stream_type != A::TYPE {
                continue;
            }
            let decoded = |event: &NewEvent| Ok((serde_json::from_str(&event.payload)?, event.event_id));
            let events: Result<_, serde_json::Error> = stream.events.iter().map(decoded).collect();
            if let Ok(events) = events {
                let (stream_id, expected_version) = (stream.stream_id.clone(), stream.expected_version);
                written.push(Self { stream_id, expected_version, events, up_to_the_end });
            }
        }
        written
    }

    /// Applies it to the stream, given the position of the last event of the append.
    pub(super) fn fold_into(self, stream: &mut Loaded<A>, last_position: i64) -> String {
        // A command is stored in one piece of the log.
        let first = last_position - self.up_to_the_end + 1;
        for (((event, event_id), version), position) in
            self.events.into_iter().zip(self.expected_version + 1..).zip(first..)
        {
            stream.apply(event, version, position, event_id);
        }
        self.stream_id
    }
}
