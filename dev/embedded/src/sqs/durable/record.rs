//! What the journal's records say, and how they are stored.
//!
//! The file begins with [`MAGIC`]. Then come frames, one for each write that was flushed: the length of its content, the checksum of these
//! four bytes, the checksum of the content (each four bytes, little-endian, CRC-32), and the content, which is one JSON record a line. A
//! frame is written only after the one before it is on disk, so a crash can leave none but the last one incomplete.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use rustack_sqs_model::input::SendMessageInput;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The first bytes of a journal, with the version of its format.
pub(super) const MAGIC: &[u8] = b"ordo queues 1\n";
/// What stands before the content of a frame.
const HEADER: usize = 12;

/// A change that must not be lost.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "camelCase")]
pub(super) enum JournalRecord {
    /// A queue is this from now on.
    Queue(QueueDefinition),
    /// A queue is gone with all that is in it.
    QueueDeleted {
        name: String,
    },
    /// All that a queue has is gone.
    Purged {
        queue: String,
    },
    Sent(SentMessage),
    /// A message is in another queue from now on.
    Moved {
        id: Uuid,
        queue: String,
    },
    /// A message was deleted.
    Deleted {
        id: Uuid,
    },
}

/// What can be set of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QueueDefinition {
    pub(super) name: String,
    pub(super) attributes: HashMap<String, String>,
    pub(super) tags: HashMap<String, String>,
}

/// A message in a queue.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SentMessage {
    /// What its sender was told.
    pub(super) id: Uuid,
    pub(super) queue: String,
    /// Milliseconds since 1970.
    pub(super) sent_at: u64,
    /// The request, without the URL of the queue.
    pub(super) message: SendMessageInput,
}

impl JournalRecord {
    /// The record as a line.
    pub(super) fn line(&self) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// The frame of some lines.
pub(super) fn frame(lines: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(lines.len()).map_err(|_| io::Error::other("a write of more than 4 GiB"))?.to_le_bytes();
    let mut frame = Vec::with_capacity(HEADER + lines.len());
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&crc32fast::hash(&length).to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(lines).to_le_bytes());
    frame.extend_from_slice(lines);
    Ok(frame)
}

/// Why a journal can't be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalReadError {
    #[error("cannot read {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no journal of queues", path.display())]
    Foreign { path: PathBuf },
    #[error(
        "{} is damaged at byte {at}: {what}. What comes after it would be lost; take the file from a copy, or move it away and begin with \
         empty queues",
        path.display()
    )]
    Damaged { path: PathBuf, at: u64, what: String },
}

/// The records of a journal, in order.
#[derive(Debug)]
pub(super) struct JournalReader {
    path: PathBuf,
    file: BufReader<File>,
    size: u64,
    /// Where the next frame begins.
    at: u64,
}

impl JournalReader {
    /// Begins to read. `None`: the file is new, or was left before its first bytes were written.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, JournalReadError> {
        let failed = |source| JournalReadError::Io { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let size = file.metadata().map_err(failed)?.len();
        let mut file = BufReader::new(file);
        let mut begin = Vec::new();
        file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut begin).map_err(failed)?;
        match begin.as_slice() {
            MAGIC => Ok(Some(Self { path: path.to_owned(), file, size, at: MAGIC.len() as u64 })),
            torn if MAGIC.starts_with(torn) => Ok(None),
            _ => Err(JournalReadError::Foreign { path: path.to_owned() }),
        }
    }

    /// Where the last whole frame ends, once all were read.
    pub(super) fn end(&self) -> u64 {
        self.at
    }

    /// The records of the next frame, each with the length of its line. `None`: there is no whole one.
    pub(super) fn next_frame(&mut self) -> Result<Option<Vec<(JournalRecord, usize)>>, JournalReadError> {
        let left = self.size - self.at;
        if left < HEADER as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        self.file.read_exact(&mut header).map_err(|source| self.failed(source))?;
        let [length, of_length, of_content] = [0, 4, 8].map(|at| {
            let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_le_bytes(bytes)
        });
        if crc32fast::hash(&header[..4]) != of_length {
            // A file may have grown before its bytes were written.
            return if header == [0; HEADER] && self.rest_is_empty()? {
                Ok(None)
            } else {
                Err(self.damaged("the checksum of a length is wrong"))
            };
        }
        let behind = left - HEADER as u64;
        if u64::from(length) > behind {
            return Ok(None);
        }
        let mut content = vec![0; length as usize];
        self.file.read_exact(&mut content).map_err(|source| self.failed(source))?;
        if crc32fast::hash(&content) != of_content {
            let is_last = u64::from(length) == behind;
            return if is_last { Ok(None) } else { Err(self.damaged("a checksum is wrong")) };
        }
        let lines = content.split_inclusive(|byte| *byte == b'\n');
        let read = |line: &[u8]| Ok((serde_json::from_slice(line)?, line.len()));
        let records: Result<Vec<_>, serde_json::Error> = lines.map(read).collect();
        let records = records.map_err(|error| self.damaged(&format!("a record can't be read: {error}")))?;
        self.at += HEADER as u64 + u64::from(length);
        Ok(Some(records))
    }

    fn rest_is_empty(&mut self) -> Result<bool, JournalReadError> {
        let mut piece = [0; 4096];
        loop {
            let read = self.file.read(&mut piece).map_err(|source| self.failed(source))?;
            if read == 0 || piece[..read].iter().any(|byte| *byte != 0) {
                return Ok(read == 0);
            }
        }
    }

    fn failed(&self, source: io::Error) -> JournalReadError {
        JournalReadError::Io { path: self.path.clone(), source }
    }

    fn damaged(&self, what: &str) -> JournalReadError {
        JournalReadError::Damaged { path: self.path.clone(), at: self.at, what: what.to_owned() }
    }
}
