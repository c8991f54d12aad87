//! The log compared with its seals and with a head: one pass over it, which of it keeps only what does not agree.

mod suspects;

use std::collections::VecDeque;

use sqlx::{Connection, PgConnection};

use self::suspects::Suspects;
use super::chain::{Chain, Head, digest};
use super::fault::{Fault, SealsSay};
use super::row::Row;
use super::seals::{Entry, Seal};
use crate::copy::{CopyOrder, copy_out};
use crate::selection::Selection;

/// Seals read at once: of the usual size they are two megabytes.
const SEALS: i64 = 32;
/// How many faults of seals are listed.
const SEAL_FAULTS: usize = 20;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The log as it is now, up to its last event.
    pub head: Head,
    /// How many events it has.
    pub events: u64,
    /// The last position that is sealed; 0: none is.
    pub sealed_up_to: i64,
    /// How many events are not sealed yet.
    pub not_sealed: u64,
    /// Whether it is what the head says, up to there; `None`: there was none to compare it with.
    pub as_head_says: Option<bool>,
    /// What is wrong: the events first, by position, then the seals, then the head. Only the first events are looked at closely,
    /// and listed.
    pub faults: Vec<Fault>,
    /// How many faults there are, listed or not.
    pub faults_in_all: u64,
}

/// Compares the log with its seals, and with a head if there is one to compare it with. The connection should be in a transaction
/// that sees one moment: then what is appended meanwhile does not matter.
pub async fn check_chain(connection: &mut PgConnection, head: Option<Head>) -> Result<Checked, sqlx::Error> {
    let mut check = Check::new(head);
    // What reading in bulk sets is set back with it.
    let mut reading = connection.begin().await?;
    // What an attacker inserted may be anywhere, before the first event too.
    let mut after = -i64::MAX;
    loop {
        let seals = Seal::read(&mut reading, after, SEALS).await?;
        seals.iter().for_each(|seal| check.seal(seal));
        // What follows on the last seal is not sealed yet.
        let up_to = seals.last().map(|last| last.up_to);
        let selection = Selection { up_to, ..Selection::after(after) };
        let mut events = copy_out(&mut reading, &selection, CopyOrder::ByPosition).await?;
        while let Some(event) = events.next().await? {
            check.row(&Row::parse(event.row())?);
        }
        check.expect_no_more();
        drop(events);
        match up_to {
            Some(up_to) => after = up_to,
            None => break,
        }
    }
    reading.rollback().await?;
    Ok(check.end())
}

struct Check {
    /// What the log comes to, at the position of its last event so far.
    log: Head,
    events: u64,
    not_sealed: u64,
    /// What the seals come to, likewise.
    seals: Head,
    /// Entries that events are still to be compared with, in order.
    expected: VecDeque<Entry>,
    /// Behind the first and up to the second position nothing is sealed.
    gaps: VecDeque<(i64, i64)>,
    suspects: Suspects,
    seal_faults: Vec<Fault>,
    seal_faults_in_all: u64,
    against: Option<Against>,
}

/// The head that the log is compared with, and what both come to at its position.
struct Against {
    head: Head,
    log: Head,
    seals: Head,
}

impl Check {
    fn new(head: Option<Head>) -> Self {
        let zero = Head { position: 0, hash: Chain::default().0 };
        Self {
            log: zero,
            events: 0,
            not_sealed: 0,
            seals: zero,
            expected: VecDeque::new(),
            gaps: VecDeque::new(),
            suspects: Suspects::new(head.map_or(0, |head| head.position)),
            seal_faults: Vec::new(),
            seal_faults_in_all: 0,
            against: head.map(|head| Against { head, log: zero, seals: zero }),
        }
    }

    /// The next seal: what it says is what the log has to be.
    fn seal(&mut self, seal: &Seal) {
        let Head { position: before, hash } = self.seals;
        if seal.after > before {
            self.gaps.push_back((before, seal.after));
            self.seal_fault(Fault::SealsMissing { after: before, up_to: seal.after });
        }
        let mut chain = Chain(hash);
        let entries = seal.entries().filter(|entries| entries.first().is_some_and(|first| first.position > before));
        match entries {
            Some(entries) => {
                for entry in entries {
                    chain.add(&entry.digest);
                    if let Some(against) = self.against.as_mut().filter(|it| entry.position <= it.head.position) {
                        against.seals = Head { position: entry.position, hash: chain.0 };
                    }
                    self.expected.push_back(entry);
                }
            }
            // It says nothing of its events.
            None => self.gaps.push_back((before.max(seal.after), seal.up_to)),
        }
        if seal.after <= before && seal.end() != Some(chain) {
            self.seal_fault(Fault::SealChanged { up_to: seal.up_to });
        }
        // Those that follow can only follow from what it says.
        self.seals = Head { position: seal.up_to, hash: seal.end().unwrap_or(chain).0 };
    }

    fn seal_fault(&mut self, fault: Fault) {
        self.seal_faults_in_all += 1;
        if self.seal_faults.len() < SEAL_FAULTS {
            self.seal_faults.push(fault);
        }
    }

    /// The next event.
    fn row(&mut self, row: &Row<'_>) {
        let (position, digest) = (row.position(), digest(row.tuple));
        let mut chain = Chain(self.log.hash);
        chain.add(&digest);
        self.log = Head { position, hash: chain.0 };
        self.events += 1;
        if let Some(against) = self.against.as_mut().filter(|it| position <= it.head.position) {
            against.log = self.log;
        }
        while let Some(missing) = self.expected.pop_front_if(|next| next.position < position) {
            self.suspects.add(Some(missing), None);
        }
        if let Some(expected) = self.expected.pop_front_if(|next| next.position == position) {
            if expected.digest != digest {
                self.suspects.add(Some(expected), Some(row));
            }
        } else if self.is_sealed(position) {
            self.suspects.add(None, Some(row));
        } else {
            self.not_sealed += 1;
        }
    }

    /// Whether all that there was at a position would have been sealed.
    fn is_sealed(&mut self, position: i64) -> bool {
        while self.gaps.pop_front_if(|(_, up_to)| *up_to < position).is_some() {}
        position <= self.seals.position && self.gaps.front().is_none_or(|(after, _)| position <= *after)
    }

    fn expect_no_more(&mut self) {
        self.expected.drain(..).for_each(|missing| self.suspects.add(Some(missing), None));
    }

    fn end(self) -> Checked {
        let mut faults = self.suspects.faults();
        let (mut in_all, up_to_head) = self.suspects.counts();
        in_all += self.seal_faults_in_all;
        let mut others = self.seal_faults;
        let as_head_says = self.against.as_ref().map(|against| against.log == against.head);
        if let Some(against) = self.against {
            let position = against.head.position;
            if against.log != against.head {
                others.push(against.fault(self.log.position, self.seals.position));
                in_all += 1;
            } else if up_to_head > 0 {
                // All up to there is what it was, whatever the seals say.
                faults.retain(|fault| fault.position().is_none_or(|it| it > position));
                in_all = in_all - up_to_head + 1;
                others.push(Fault::SealsAgainstHead { position });
            }
        }
        faults.extend(others);
        Checked {
            head: self.log,
            events: self.events,
            sealed_up_to: self.seals.position,
            not_sealed: self.not_sealed,
            as_head_says,
            faults,
            faults_in_all: in_all,
        }
    }
}

impl Against {
    /// Why the log is not what the head says, whose last position is this, and the last that is sealed that.
    fn fault(&self, last: i64, sealed: i64) -> Fault {
        let position = self.head.position;
        let not_the_head = |seals| Fault::NotTheHead { position, seals };
        if position > last.max(sealed) {
            Fault::BeyondTheLog { position, last }
        } else if self.seals == self.head {
            not_the_head(SealsSay::TheHead)
        } else if position != self.log.position && position != self.seals.position {
            Fault::NoSuchHead { position }
        } else if position > sealed {
            not_the_head(SealsSay::OnlyUpTo(sealed))
        } else {
            not_the_head(SealsSay::SomethingElse)
        }
    }
}
