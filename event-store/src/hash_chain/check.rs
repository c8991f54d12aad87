//! Compares the log with its seals and with a head, in one pass that keeps only what does not agree.

mod suspects;

use std::collections::VecDeque;

use sqlx::{Connection, PgConnection};

use self::suspects::SuspectPositions;
use super::chain::{ChainHead, RunningHash, digest};
use super::fault::{HashChainFault, SealHeadAgreement};
use super::row::CopyTuple;
use super::seals::{Seal, SealedEventDigest};
use crate::bulk::{CopyOutOrder, copy_out};
use crate::filter::EventFilter;

/// Seals read at once: usually two megabytes.
const SEALS: i64 = 32;
/// How many faults of seals are listed.
const SEAL_FAULTS: usize = 20;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashChainReport {
    /// The head of the log as it is now.
    pub head: ChainHead,
    /// How many events it has.
    pub events: u64,
    /// The last position that is sealed; 0: none is.
    pub sealed_up_to: i64,
    /// How many events are not sealed yet.
    pub not_sealed: u64,
    /// Whether the log agrees with the given head; `None`: none was given.
    pub matches_head: Option<bool>,
    /// What is wrong: the events first, by position, then the seals, then the head. Only the first events are examined and listed.
    pub faults: Vec<HashChainFault>,
    /// How many faults there are, listed or not.
    pub fault_count: u64,
}

/// Compares the log with its seals, and with a head if one is given. The connection should be in a transaction with one snapshot: then
/// events that are appended meanwhile do not matter.
pub async fn check_chain(
    connection: &mut PgConnection,
    head: Option<ChainHead>,
) -> Result<HashChainReport, sqlx::Error> {
    let mut check = HashChainCheck::new(head);
    // The settings for the export end with this transaction.
    let mut reading = connection.begin().await?;
    // An attacker may have inserted events anywhere, before the first one too.
    let mut after = -i64::MAX;
    loop {
        let seals = Seal::read(&mut reading, after, SEALS).await?;
        seals.iter().for_each(|seal| check.seal(seal));
        // Events after the last seal are not sealed yet.
        let up_to = seals.last().map(|last| last.up_to);
        let filter = EventFilter { up_to, ..EventFilter::after(after) };
        let mut events = copy_out(&mut reading, &filter, CopyOutOrder::ByPosition).await?;
        while let Some(event) = events.next().await? {
            check.row(&CopyTuple::parse(event.row())?);
        }
        check.report_missing();
        drop(events);
        match up_to {
            Some(up_to) => after = up_to,
            None => break,
        }
    }
    reading.rollback().await?;
    Ok(check.into_report())
}

struct HashChainCheck {
    /// The head of the log, up to its last event so far.
    log: ChainHead,
    events: u64,
    not_sealed: u64,
    /// The head by the seals so far.
    seals: ChainHead,
    /// Entries of sealed events that are still to come, in order.
    expected: VecDeque<SealedEventDigest>,
    /// After the first and up to the second position nothing is sealed.
    gaps: VecDeque<(i64, i64)>,
    suspects: SuspectPositions,
    seal_faults: Vec<HashChainFault>,
    seal_fault_count: u64,
    given: Option<GivenChainHead>,
}

/// The head that was given, and the heads of the log and of the seals at its position.
struct GivenChainHead {
    head: ChainHead,
    log: ChainHead,
    seals: ChainHead,
}

impl HashChainCheck {
    fn new(head: Option<ChainHead>) -> Self {
        let zero = ChainHead { position: 0, hash: RunningHash::default().0 };
        Self {
            log: zero,
            events: 0,
            not_sealed: 0,
            seals: zero,
            expected: VecDeque::new(),
            gaps: VecDeque::new(),
            suspects: SuspectPositions::new(head.map_or(0, |head| head.position)),
            seal_faults: Vec::new(),
            seal_fault_count: 0,
            given: head.map(|head| GivenChainHead { head, log: zero, seals: zero }),
        }
    }

    /// Takes the next seal: the log has to agree with it.
    fn seal(&mut self, seal: &Seal) {
        let ChainHead { position: before, hash } = self.seals;
        if seal.after > before {
            self.gaps.push_back((before, seal.after));
            self.seal_fault(HashChainFault::SealsMissing { after: before, up_to: seal.after });
        }
        let mut chain = RunningHash(hash);
        let entries = seal.entries().filter(|entries| entries.first().is_some_and(|first| first.position > before));
        match entries {
            Some(entries) => {
                for entry in entries {
                    chain.add(&entry.digest);
                    if let Some(given) = self.given.as_mut().filter(|it| entry.position <= it.head.position) {
                        given.seals = ChainHead { position: entry.position, hash: chain.0 };
                    }
                    self.expected.push_back(entry);
                }
            }
            // A malformed seal says nothing about its events.
            None => self.gaps.push_back((before.max(seal.after), seal.up_to)),
        }
        if seal.after <= before && seal.end() != Some(chain) {
            self.seal_fault(HashChainFault::SealChanged { up_to: seal.up_to });
        }
        // The next seal is compared with what this one says.
        self.seals = ChainHead { position: seal.up_to, hash: seal.end().unwrap_or(chain).0 };
    }

    fn seal_fault(&mut self, fault: HashChainFault) {
        self.seal_fault_count += 1;
        if self.seal_faults.len() < SEAL_FAULTS {
            self.seal_faults.push(fault);
        }
    }

    /// Takes the next event.
    fn row(&mut self, row: &CopyTuple<'_>) {
        let (position, digest) = (row.position(), digest(row.tuple));
        let mut chain = RunningHash(self.log.hash);
        chain.add(&digest);
        self.log = ChainHead { position, hash: chain.0 };
        self.events += 1;
        if let Some(given) = self.given.as_mut().filter(|it| position <= it.head.position) {
            given.log = self.log;
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

    /// Whether an event at a position would have been sealed.
    fn is_sealed(&mut self, position: i64) -> bool {
        while self.gaps.pop_front_if(|(_, up_to)| *up_to < position).is_some() {}
        position <= self.seals.position && self.gaps.front().is_none_or(|(after, _)| position <= *after)
    }

    fn report_missing(&mut self) {
        self.expected.drain(..).for_each(|missing| self.suspects.add(Some(missing), None));
    }

    fn into_report(self) -> HashChainReport {
        let mut faults = self.suspects.faults();
        let (mut in_all, up_to_head) = self.suspects.counts();
        in_all += self.seal_fault_count;
        let mut others = self.seal_faults;
        let matches_head = self.given.as_ref().map(|given| given.log == given.head);
        if let Some(given) = self.given {
            let position = given.head.position;
            if given.log != given.head {
                others.push(given.fault(self.log.position, self.seals.position));
                in_all += 1;
            } else if up_to_head > 0 {
                // The log up to there is what it was, whatever the seals say.
                faults.retain(|fault| fault.position().is_none_or(|it| it > position));
                in_all = in_all - up_to_head + 1;
                others.push(HashChainFault::SealsAgainstHead { position });
            }
        }
        faults.extend(others);
        HashChainReport {
            head: self.log,
            events: self.events,
            sealed_up_to: self.seals.position,
            not_sealed: self.not_sealed,
            matches_head,
            faults,
            fault_count: in_all,
        }
    }
}

impl GivenChainHead {
    /// Why the log does not agree with the head. `last` is the log's last position, `sealed` the last sealed one.
    fn fault(&self, last: i64, sealed: i64) -> HashChainFault {
        let position = self.head.position;
        let not_the_head = |seals| HashChainFault::NotTheHead { position, seals };
        if position > last.max(sealed) {
            HashChainFault::BeyondTheLog { position, last }
        } else if self.seals == self.head {
            not_the_head(SealHeadAgreement::LeadToHead)
        } else if position != self.log.position && position != self.seals.position {
            HashChainFault::NoSuchHead { position }
        } else if position > sealed {
            not_the_head(SealHeadAgreement::EndBefore(sealed))
        } else {
            not_the_head(SealHeadAgreement::LeadElsewhere)
        }
    }
}
