//! What the checks came to.

use serde::Serialize;

/// What a check came to. Later ones are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CheckState {
    Ok,
    /// It could not be looked at from here, or does not concern this deployment.
    NotChecked,
    /// It works, and may not for long, or not as safely as it could.
    Warning,
    Problem,
}

/// A check and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct CheckedItem {
    pub(super) check: &'static str,
    pub(super) state: CheckState,
    /// What was seen.
    pub(super) seen: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

/// All that was checked, in order.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<CheckedItem>);

impl CheckState {
    fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotChecked => "-",
            Self::Warning => "WARNING",
            Self::Problem => "PROBLEM",
        }
    }
}

impl CheckedItem {
    /// The lines that show it: what was seen, and below it what to do.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("{:<8} {:<16} {}", self.state.label(), self.check, self.seen)];
        lines.extend(self.advice.as_ref().map(|advice| format!("{:>25} {advice}", "→")));
        lines
    }
}

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, seen: impl Into<String>) {
        self.note(check, CheckState::Ok, seen.into(), None);
    }

    pub(super) fn not_checked(&mut self, check: &'static str, because: impl Into<String>) {
        self.note(check, CheckState::NotChecked, because.into(), None);
    }

    pub(super) fn warning(&mut self, check: &'static str, seen: &str, advice: &str) {
        self.note(check, CheckState::Warning, seen.to_owned(), Some(advice.to_owned()));
    }

    pub(super) fn problem(&mut self, check: &'static str, seen: &str, advice: &str) {
        self.note(check, CheckState::Problem, seen.to_owned(), Some(advice.to_owned()));
    }

    pub(super) fn items(&self) -> &[CheckedItem] {
        &self.0
    }

    pub(super) fn worst(&self) -> CheckState {
        self.0.iter().map(|item| item.state).max().unwrap_or(CheckState::Ok)
    }

    fn note(&mut self, check: &'static str, state: CheckState, seen: String, advice: Option<String>) {
        self.0.push(CheckedItem { check, state, seen, advice });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_counts_and_what_was_not_checked_is_no_problem() {
        let mut findings = Findings::default();
        assert_eq!(findings.worst(), CheckState::Ok);
        findings.ok("one", "fine");
        findings.not_checked("two", "not here");
        assert_eq!(findings.worst(), CheckState::NotChecked);
        findings.problem("three", "bad", "mend it");
        findings.warning("four", "odd", "look at it");
        assert_eq!(findings.worst(), CheckState::Problem);
        let lines: Vec<String> = findings.items().iter().flat_map(CheckedItem::lines).collect();
        assert_eq!(lines.len(), 6);
        assert!(lines[2].starts_with("PROBLEM  three") && lines[3].ends_with("→ mend it"), "{lines:?}");
    }
}
