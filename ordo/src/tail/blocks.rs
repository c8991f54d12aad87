//! Server-sent events, put together from the pieces in which they arrive.

/// What stands between two empty lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// Its position in the log.
    pub(super) id: Option<i64>,
    /// What happened; none in a heartbeat.
    pub(super) data: Option<String>,
}

/// What has arrived of a stream, as far as it is not complete.
#[derive(Default)]
pub(super) struct Blocks {
    line: Vec<u8>,
    block: Block,
}

impl Blocks {
    /// The blocks that a piece completes.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<Block> {
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

    fn end_line(&mut self, line: &str) -> Option<Block> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Some(std::mem::take(&mut self.block));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.block.id = value.parse().ok(),
            "data" => match &mut self.block.data {
                // JSON on several lines is the same on one.
                Some(data) => data.extend([" ", value]),
                None => self.block.data = Some(value.to_owned()),
            },
            // The name is in the data too; comments and what is not known do not count.
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
        let block = |id, data: Option<&str>| Block { id: Some(id), data: data.map(str::to_owned) };
        let expected = [block(6, None), block(7, Some("{ \"ä\":1}")), block(9, None)];
        for size in 1..text.len() {
            let mut blocks = Blocks::default();
            let taken: Vec<_> = text.as_bytes().chunks(size).flat_map(|piece| blocks.take(piece)).collect();
            assert_eq!(taken, expected, "{size}");
        }
    }
}
