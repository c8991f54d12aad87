//! The file that changes are appended to, and the thread that writes it.
//!
//! All changes that wait are one write and one flush, and whoever appended one goes on once it is on disk. When a write fails, nothing
//! more is written: what is in the file then is what the next start finds.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::record::{JournalReadError, JournalReader, JournalRecord, MAGIC, QueueDefinition, frame};

/// A write gathers no more changes after so many bytes.
const WRITE_BYTES: usize = 1024 * 1024;

/// Why a journal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("another process keeps its queues in {}", path.display())]
    InUse { path: PathBuf },
    #[error("cannot write to {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Read(#[from] JournalReadError),
    #[error("queue {queue} can't be made again: {reason}")]
    Queue { queue: String, reason: String },
    #[error("message {id} of queue {queue} can't be sent again: {reason}")]
    Message { id: Uuid, queue: String, reason: String },
}

/// The folder of a journal, which no other process uses.
#[derive(Debug)]
pub(super) struct JournalFolder {
    journal: PathBuf,
    folder: PathBuf,
    _lock: File,
}

impl JournalFolder {
    /// Takes the folder, and makes it if needed.
    pub(super) fn take(folder: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let lock = private().write(true).create(true).open(folder.join("queues.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { journal: folder.join("queues.journal"), folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Where a shorter journal is written.
    fn shorter(&self) -> PathBuf {
        self.folder.join("queues.journal.new")
    }

    /// Gives each record to `keep`, with the length of its line, and opens the file behind the last one. What a crash left of a write is
    /// cut off: nobody was told that it is done. Returns the file's size.
    pub(super) fn open(self, mut keep: impl FnMut(JournalRecord, usize)) -> Result<(Journal, u64), JournalError> {
        let failed = |source| JournalError::Io { path: self.journal.clone(), source };
        // What a crash left of one.
        match fs::remove_file(self.shorter()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let mut end = 0;
        if let Some(mut records) = JournalReader::open(&self.journal)? {
            while let Some(frame) = records.next_frame()? {
                frame.into_iter().for_each(|(record, length)| keep(record, length));
            }
            end = records.end();
        }
        let mut file = private().append(true).create(true).open(&self.journal).map_err(failed)?;
        let before = file.metadata().map_err(failed)?.len();
        if before > end {
            tracing::warn!(file = %self.journal.display(), bytes = before - end, "the end of a write that broke off is cut off");
        }
        file.set_len(end).map_err(failed)?;
        if end == 0 {
            file.write_all(MAGIC).map_err(failed)?;
            end = MAGIC.len() as u64;
        }
        file.sync_all().and_then(|()| sync_folder(&self.folder)).map_err(failed)?;
        let (orders, taken) = mpsc::unbounded_channel();
        let (failing, failure) = watch::channel(None);
        let writer = JournalWriter { folder: self, file, failing };
        let thread = thread::Builder::new().name("queues".to_owned()).spawn(move || writer.run(taken));
        let thread = thread.map_err(|source| JournalError::Io { path: PathBuf::from("a thread"), source })?;
        Ok((Journal { orders, failure, thread: Mutex::new(Some(thread)) }, end))
    }
}

/// A file that only its owner reads: messages are other people's mails.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The journal of a running endpoint.
#[derive(Debug)]
pub(super) struct Journal {
    orders: mpsc::UnboundedSender<Order>,
    failure: watch::Receiver<Option<String>>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What is left when the journal is made shorter.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) queues: Vec<QueueDefinition>,
    /// The messages, and which queue each is in.
    pub(super) messages: HashMap<Uuid, Arc<str>>,
}

#[derive(Debug)]
enum Order {
    Append { lines: Vec<u8>, done: oneshot::Sender<()> },
    Compact(Kept),
    Close,
}

impl Journal {
    /// Appends lines behind all before. The future ends when they are on disk, with an error if it is not known whether they are.
    pub(super) fn append(&self, lines: Vec<u8>) -> impl Future<Output = Result<(), String>> + use<> {
        let (done, written) = oneshot::channel();
        // If nobody takes it, `written` fails.
        let _ = self.orders.send(Order::Append { lines, done });
        let failure = self.failure.clone();
        async move {
            written.await.map_err(|_| failure.borrow().clone().unwrap_or_else(|| "the journal is closed".to_owned()))
        }
    }

    /// Makes the file shorter: it then has what is kept, and what is appended from now on.
    pub(super) fn compact(&self, kept: Kept) {
        // A closed journal is not written.
        let _ = self.orders.send(Order::Compact(kept));
    }

    /// Why nothing is written any more. `None`: it is.
    pub(super) fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.clone()
    }

    /// Ends when all that was appended is on disk, and the folder is free.
    pub(super) async fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        // If nobody takes it, the thread has ended.
        let _ = self.orders.send(Order::Close);
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::error!("the journal of the queues did not end well");
        }
    }
}

struct JournalWriter {
    folder: JournalFolder,
    file: File,
    failing: watch::Sender<Option<String>>,
}

impl JournalWriter {
    fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut next = orders.blocking_recv();
        while let Some(order) = next.take() {
            match order {
                Order::Close => return,
                Order::Compact(kept) => {
                    if let Err(error) = self.compact(&kept) {
                        return self.fails(&error);
                    }
                }
                Order::Append { mut lines, done } => {
                    let mut waiting = vec![done];
                    while lines.len() < WRITE_BYTES {
                        match orders.try_recv() {
                            Ok(Order::Append { lines: more, done }) => {
                                lines.extend_from_slice(&more);
                                waiting.push(done);
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    if let Err(error) = self.write(&lines) {
                        return self.fails(&error);
                    }
                    for done in waiting {
                        // Somebody who is gone does not need to know.
                        let _ = done.send(());
                    }
                }
            }
            next = next.or_else(|| orders.blocking_recv());
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.file.write_all(&frame(lines)?)?;
        self.file.sync_data()
    }

    /// The orders that wait are dropped with the thread: it is not known what became of them.
    fn fails(&self, error: &io::Error) {
        self.failing.send_replace(Some(format!("{} can't be written: {error}", self.folder.journal.display())));
    }

    /// While there is no new file in place of the old one, a failure leaves that, which grows on.
    fn compact(&mut self, kept: &Kept) -> io::Result<()> {
        let new = self.folder.shorter();
        let made = self.write_kept(&new, kept).and_then(|file| fs::rename(&new, &self.folder.journal).map(|()| file));
        match made {
            Ok(file) => {
                self.file = file;
                sync_folder(&self.folder.folder)
            }
            Err(error) => {
                tracing::warn!(%error, file = %self.folder.journal.display(), "the journal could not be made shorter");
                // The next attempt begins it anew.
                let _ = fs::remove_file(&new);
                Ok(())
            }
        }
    }

    fn write_kept(&self, new: &Path, kept: &Kept) -> io::Result<File> {
        let mut file = private().write(true).create(true).truncate(true).open(new)?;
        file.write_all(MAGIC)?;
        let (mut lines, mut written) = (Vec::new(), 0);
        for queue in &kept.queues {
            lines.extend(JournalRecord::Queue(queue.clone()).line()?);
        }
        let mut records = JournalReader::open(&self.folder.journal).map_err(io::Error::other)?;
        while let Some(next) = records.as_mut().map(JournalReader::next_frame) {
            let Some(frame_of_old) = next.map_err(io::Error::other)? else { break };
            for (record, _) in frame_of_old {
                let JournalRecord::Sent(mut sent) = record else { continue };
                let Some(queue) = kept.messages.get(&sent.id) else { continue };
                sent.queue = queue.to_string();
                lines.extend(JournalRecord::Sent(sent).line()?);
                written += 1;
            }
            if lines.len() >= WRITE_BYTES {
                file.write_all(&frame(&lines)?)?;
                lines.clear();
            }
        }
        if !lines.is_empty() {
            file.write_all(&frame(&lines)?)?;
        }
        // A frame whose checksum is wrong ends the reading, and all of them were acknowledged.
        if written != kept.messages.len() {
            let missing = format!("{} messages are in the queues, and {written} in the journal", kept.messages.len());
            return Err(io::Error::other(missing));
        }
        file.sync_all()?;
        private().append(true).open(new)
    }
}
