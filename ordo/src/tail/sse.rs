//! A parser for server-sent events that arrive in pieces.

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SseEvent {
    /// The event's position in the log.
    pub(super) id: Option<i64>,
    /// `None` for a heartbeat.
    pub(super) data: Option<String>,
}

/// Holds the incomplete part of a stream.
#[derive(Default)]
pub(super) struct SseParser {
    line: Vec<u8>,
    event: SseEvent,
}

impl SseParser {
    /// The events that a piece completes.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<SseEvent> {
        let mut complete = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                complete.extend(self.end_line(&String::from_utf8_lossy(&line)));
            }
        }
        complete
    }

    fn end_line(&mut self, line: &str) -> Option<SseEvent> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Some(std::mem::take(&mut self.event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.event.id = value.parse().ok(),
            "data" => match &mut self.event.data {
                // JSON on several lines is the same on one.
                Some(data) => data.extend([" ", value]),
                None => self.event.data = Some(value.to_owned()),
            },
            // The event's name is in the data, too. Comments and unknown fields are ignored.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_same_however_they_arrive() {
        let text = "retry: 1000\nid: 6\n\nid: 7\r\nevent: A\r\ndata: {\r\ndata: \"ä\":1}\r\n\r\n:\nid:9\n\nid: 10\n";
        let block = |id, data: Option<&str>| SseEvent { id: Some(id), data: data.map(str::to_owned) };
        let expected = [block(6, None), block(7, Some("{ \"ä\":1}")), block(9, None)];
        for size in 1..text.len() {
            let mut sse = SseParser::default();
            let taken: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| sse.take(piece)).collect();
            assert_eq!(taken, expected, "{size}");
        }
    }
}
