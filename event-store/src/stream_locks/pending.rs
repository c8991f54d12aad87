//! The events that an append writes to locked streams, kept until they are known to be stored.

use event_versions::Upcastable;
use uuid::Uuid;

use crate::append::StreamAppend;
use crate::event::NewEvent;
use crate::read::Versioned;

/// The events of one append to one locked stream, kept until it is known that they are stored.
pub(super) struct PendingStreamEvents<A: Upcastable> {
    pub(super) stream_id: String,
    pub(super) expected_version: i64,
    /// With their ids.
    events: Vec<(A::Event, Uuid)>,
    /// How many events the append has from the first of these on, these included.
    to_end_of_append: i64,
}

impl<A: Upcastable> PendingStreamEvents<A> {
    /// Those of the aggregate's streams. A stream with an event that can't be decoded is left out: it is read again later.
    pub(super) fn of(streams: &[StreamAppend]) -> Vec<Self> {
        let mut to_end_of_append = 0;
        let mut pending = Vec::with_capacity(streams.len());
        for stream in streams.iter().rev() {
            to_end_of_append += i64::try_from(stream.events.len()).unwrap_or(0);
            if stream.stream_type != A::TYPE {
                continue;
            }
            let decoded = |event: &NewEvent| Ok((serde_json::from_str(&event.payload)?, event.event_id));
            let events: Result<_, serde_json::Error> = stream.events.iter().map(decoded).collect();
            if let Ok(events) = events {
                let (stream_id, expected_version) = (stream.stream_id.clone(), stream.expected_version);
                pending.push(Self { stream_id, expected_version, events, to_end_of_append });
            }
        }
        pending
    }

    /// Tells of each event.
    pub(super) fn tell(&self, observer: &dyn Fn(&str, &A::Event)) {
        self.events.iter().for_each(|(event, _)| observer(&self.stream_id, event));
    }

    /// Applies the events to their stream, given the position of the append's last event, and returns the stream's id.
    pub(super) fn fold_into(self, stream: &mut Versioned<A>, last_position: i64) -> String {
        // The events of one append have consecutive positions.
        let first = last_position - self.to_end_of_append + 1;
        for (((event, event_id), version), position) in
            self.events.into_iter().zip(self.expected_version + 1..).zip(first..)
        {
            stream.apply(event, version, position, event_id);
        }
        self.stream_id
    }
}
