//! A parser for server-sent events that arrive in pieces.

/// A block of a stream: an event, or a heartbeat.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SseBlock {
    /// A position in the log.
    pub(crate) id: Option<i64>,
    /// `None` for a heartbeat.
    pub(crate) data: Option<String>,
}

/// An event that is longer than is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SseEventTooLong;

/// Holds the incomplete part of a stream.
pub(crate) struct SseParser {
    line: Vec<u8>,
    block: SseBlock,
    max_bytes: usize,
}

impl SseParser {
    /// `max_bytes`: the longest line, and the longest data of a block.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { line: Vec::new(), block: SseBlock::default(), max_bytes }
    }

    /// The blocks that a piece completes.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<Vec<SseBlock>, SseEventTooLong> {
        let mut complete = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > self.max_bytes {
                return Err(SseEventTooLong);
            }
            self.line.extend(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                complete.extend(self.end_line(&String::from_utf8_lossy(&line))?);
            }
        }
        Ok(complete)
    }

    fn end_line(&mut self, line: &str) -> Result<Option<SseBlock>, SseEventTooLong> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Ok(Some(std::mem::take(&mut self.block)));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.block.id = value.parse().ok(),
            "data" => match &mut self.block.data {
                Some(data) if data.len() + value.len() >= self.max_bytes => return Err(SseEventTooLong),
                // JSON on several lines is the same on one.
                Some(data) => data.extend([" ", value]),
                None => self.block.data = Some(value.to_owned()),
            },
            // The event's name is in the data, too. Comments and unknown fields are passed over.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_same_however_they_arrive() {
        let text = "retry: 1000\nid: 6\n\nid: 7\r\nevent: A\r\ndata: {\r\ndata: \"ä\":1}\r\n\r\n:\nid:9\n\nid: 10\n";
        let block = |id, data: Option<&str>| SseBlock { id: Some(id), data: data.map(str::to_owned) };
        let expected = [block(6, None), block(7, Some("{ \"ä\":1}")), block(9, None)];
        for size in 1..text.len() {
            let mut sse = SseParser::new(64);
            let taken: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| sse.take(piece).unwrap()).collect();
            assert_eq!(taken, expected, "{size}");
        }
    }

    #[test]
    fn a_line_or_data_without_an_end_is_given_up() {
        let endless = |piece: &[u8]| (0..100).any(|_| is_refused(&mut SseParser::new(64), piece));
        fn is_refused(sse: &mut SseParser, piece: &[u8]) -> bool {
            (0..100).any(|_| sse.take(piece) == Err(SseEventTooLong))
        }
        assert!(endless(b"data: aaaaaaaaaa"));
        assert!(endless(b"data: aaaaaaaaaa\n"));
        assert!(endless(b"aaaaaaaaaaaaaaaa"));
        assert!(!endless(b":\n"));
    }
}
