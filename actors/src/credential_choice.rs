//! Which credential a device is asked with: file order, trials, the remembered winner.
//!
//! Does: keep to the first matching credential; after an authentication failure or silence go
//! through the later ones, at most once an hour a device; remember the one that was answered.
//! Does not: hold secrets or sessions. In: how runs ended. Out: the position to use next.
//! Invariant: a device that answers is never tried with another credential.

use std::time::Duration;

use ocelli_model::clock::Monotonic;
use ocelli_model::gap::GapKind;

/// A round through the later credentials begins at most this often: agents lock out and log.
pub(crate) const TRIAL_INTERVAL: Duration = Duration::from_secs(3_600);

/// What a run tells about its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The device answered: the credential is right.
    Answered,
    /// It was refused, or nothing came: with v1 and v2c a wrong community is silence.
    RefusedOrSilent,
    /// The run says nothing about it.
    Unknown,
}

impl Answer {
    /// What a gap's cause tells.
    pub(crate) fn of_gap(kind: GapKind) -> Self {
        match kind {
            GapKind::Auth | GapKind::Timeout => Self::RefusedOrSilent,
            GapKind::NoData => Self::Answered,
            _ => Self::Unknown,
        }
    }
}

/// One device's choice among its `len` candidates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct CredentialChoice {
    len: usize,
    current: usize,
    winner: Option<usize>,
    /// When the last round of trials began; where it stands while one is under way.
    round: Option<(Monotonic, Option<usize>)>,
}

impl CredentialChoice {
    /// A choice among `len` candidates that begins with `remembered`, if there is such a one.
    pub(crate) fn new(len: usize, remembered: Option<usize>) -> Self {
        let winner = remembered.filter(|winner| *winner < len);
        Self {
            len,
            current: winner.unwrap_or(0),
            winner,
            round: None,
        }
    }

    /// The candidate to use; `None` if there is none at all.
    pub(crate) fn current(&self) -> Option<usize> {
        (self.current < self.len).then_some(self.current)
    }

    /// The one that was answered last.
    pub(crate) fn winner(&self) -> Option<usize> {
        self.winner
    }

    /// Takes in how a run with `used` ended; whether the current candidate is another one now.
    pub(crate) fn note(&mut self, used: usize, answer: Answer, now: Monotonic) -> bool {
        if used != self.current || self.len == 0 {
            return false; // A run that began before the last change.
        }
        let before = self.current;
        match answer {
            Answer::Unknown => {}
            Answer::Answered => {
                self.winner = Some(used);
                self.round = self.round.map(|(began, _)| (began, None));
            }
            Answer::RefusedOrSilent => self.go_on(now),
        }
        self.current != before
    }

    fn go_on(&mut self, now: Monotonic) {
        let home = self.winner.unwrap_or(0);
        let next = match self.round {
            Some((_, Some(tried))) => self.next_trial(tried + 1, home),
            Some((began, None)) if now.since(began) < TRIAL_INTERVAL => return,
            _ => {
                self.round = Some((now, None));
                self.next_trial(0, home)
            }
        };
        if let Some((_, at)) = &mut self.round {
            *at = next;
        }
        self.current = next.unwrap_or(home);
    }

    /// The next candidate from `from` on that is not the one at home.
    fn next_trial(&self, from: usize, home: usize) -> Option<usize> {
        (from..self.len).find(|candidate| *candidate != home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NANOS: u64 = 3_600_000_000_000;

    /// Each step: hours passed since the start in hundredths, what the run said, then the current.
    fn check(name: &str, len: usize, remembered: Option<usize>, steps: &[(u64, Answer, usize)]) {
        let mut choice = CredentialChoice::new(len, remembered);
        for (number, (hundredths, answer, expected)) in steps.iter().enumerate() {
            let now = Monotonic(HOUR_NANOS / 100 * hundredths);
            let used = choice.current().unwrap();
            choice.note(used, *answer, now);
            assert_eq!(choice.current(), Some(*expected), "{name}, step {number}");
        }
    }

    #[test]
    fn later_credentials_are_tried_once_an_hour_and_the_winner_stays() {
        use Answer::{Answered, RefusedOrSilent as Silent, Unknown};
        check(
            "second wins",
            3,
            None,
            &[(0, Silent, 1), (1, Answered, 1), (2, Unknown, 1)],
        );
        check(
            "none wins",
            3,
            None,
            &[
                (0, Silent, 1),
                (1, Silent, 2),
                (2, Silent, 0),
                (50, Silent, 0),
                (99, Silent, 0),
                (100, Silent, 1),
            ],
        );
        check(
            "a winner that falls silent is left once an hour",
            2,
            None,
            &[
                (0, Silent, 1),
                (1, Answered, 1),
                (2, Silent, 1),
                (101, Silent, 0),
                (102, Silent, 1),
                (103, Silent, 1),
            ],
        );
        check(
            "remembered",
            3,
            Some(2),
            &[(0, Answered, 2), (1, Silent, 0), (2, Answered, 0)],
        );
        check("one alone", 1, None, &[(0, Silent, 0), (1, Silent, 0)]);
    }

    #[test]
    fn without_a_candidate_there_is_none_and_a_late_end_changes_nothing() {
        let mut none = CredentialChoice::new(0, Some(1));
        assert_eq!(none.current(), None);
        assert!(!none.note(0, Answer::RefusedOrSilent, Monotonic(0)));
        let mut choice = CredentialChoice::new(3, None);
        assert!(choice.note(0, Answer::RefusedOrSilent, Monotonic(0)));
        assert!(
            !choice.note(0, Answer::RefusedOrSilent, Monotonic(0)),
            "it used the one before"
        );
        assert_eq!((choice.current(), choice.winner()), (Some(1), None));
    }
}
