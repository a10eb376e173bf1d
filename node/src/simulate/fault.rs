//! What can go wrong with a simulated agent, and the text that asks for it.
//!
//! Does: parse a specification, say where it is wrong, tell whether a fault is active at a time.
//! Does not: act on it (`agent`, `server`). Grammar: the header of `simulate`.
//! In: text. Out: [`Fault`], or [`FaultError`] with the column.

use std::ops::RangeInclusive;
use std::time::Duration;

use ocelli_model::units::parse_duration;

/// Most ranges in one `agents=`: what a command line can reasonably name.
const RANGES_MAX: usize = 64;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum FaultKind {
    /// No answer at all.
    Silence,
    /// No answer with this probability.
    Loss(f64),
    /// The answer comes this much later.
    Delay(Duration),
    /// Starts again at `from`: `sysUpTime` and counters from zero, boots + 1 or as given.
    Reboot {
        /// Engine boots afterwards; absent: one more.
        boots: Option<u32>,
    },
    /// As a reboot, and each interface moves to the next ifIndex, the last to the first.
    Reindex,
    /// Counters start from zero at `from`; `ifCounterDiscontinuityTime` tells, `sysUpTime` not.
    Reset,
    /// The lower 32 bits of all counters pass 2^32 thirty seconds after `from`.
    Wrap,
    /// Answers come from another address than the one asked.
    WrongSource,
    /// Answers are noise.
    Garbage,
    /// GETNEXT and GETBULK stand still from the fourth row of a table on.
    Stuck,
    /// Tables never end: rows follow the last one for ever.
    Endless,
    /// More variables than this are answered by `tooBig`.
    TooBig(usize),
    /// Answers carry another request id.
    ForeignId,
}

/// Names of the kinds, for messages.
const KINDS: &str = "silence, loss=RATIO, delay=DURATION, reboot, reindex, reset, wrap, \
                     wrong-source, garbage, stuck, endless, toobig=COUNT, foreign-id";

/// A fault of some agents for some time.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Which agents, counted from 1; empty: all.
    pub agents: Vec<RangeInclusive<u32>>,
    /// When it begins, after the start of the simulator (or after it was injected).
    pub from: Duration,
    /// How long it lasts; absent: for ever. One-time kinds ignore it.
    pub lasts: Option<Duration>,
}

/// A specification that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault {spec:?} is wrong at column {column}: {reason}")]
pub struct FaultError {
    /// The text as given.
    pub spec: String,
    /// Where, counted from 1 in characters.
    pub column: usize,
    /// What stands there and what could.
    pub reason: String,
}

impl Fault {
    /// Whether it is about this agent (from 1).
    #[must_use]
    pub fn is_of(&self, agent: u32) -> bool {
        self.agents.is_empty() || self.agents.iter().any(|range| range.contains(&agent))
    }

    /// Whether it is on at this time after the start.
    #[must_use]
    pub fn is_active(&self, elapsed: Duration) -> bool {
        let end = self.lasts.map(|lasts| self.from.saturating_add(lasts));
        elapsed >= self.from && end.is_none_or(|end| elapsed < end)
    }
}

/// Parses `KIND[=VALUE][:KEY=VALUE[,KEY=VALUE]…]`.
///
/// # Errors
/// [`FaultError`] with the place.
pub fn parse_fault(spec: &str) -> Result<Fault, FaultError> {
    let (head, options) = spec.split_once(':').unwrap_or((spec, ""));
    let fail = |part: &str, reason: String| FaultError {
        spec: spec.to_owned(),
        column: column_of(spec, part),
        reason,
    };
    let (name, value) = match head.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (head, None),
    };
    let kind = parse_kind(name, value).map_err(|(part, reason)| fail(part, reason))?;
    let mut fault = Fault {
        kind,
        agents: Vec::new(),
        from: Duration::ZERO,
        lasts: None,
    };
    for option in options.split(',').filter(|_| spec.contains(':')) {
        let Some((key, value)) = option.split_once('=') else {
            return Err(fail(option, format!("{option:?} is no KEY=VALUE")));
        };
        let set = set_option(&mut fault, key, value);
        set.map_err(|(part, reason)| fail(part, reason))?;
    }
    Ok(fault)
}

/// The part of the text that is wrong, and why.
type Wrong<'a> = (&'a str, String);

fn parse_kind<'a>(name: &'a str, value: Option<&'a str>) -> Result<FaultKind, Wrong<'a>> {
    let plain = match name {
        "silence" => Some(FaultKind::Silence),
        "reboot" => Some(FaultKind::Reboot { boots: None }),
        "reindex" => Some(FaultKind::Reindex),
        "reset" => Some(FaultKind::Reset),
        "wrap" => Some(FaultKind::Wrap),
        "wrong-source" => Some(FaultKind::WrongSource),
        "garbage" => Some(FaultKind::Garbage),
        "stuck" => Some(FaultKind::Stuck),
        "endless" => Some(FaultKind::Endless),
        "foreign-id" => Some(FaultKind::ForeignId),
        _ => None,
    };
    match (plain, name, value) {
        (Some(kind), _, None) => Ok(kind),
        (Some(_), _, Some(value)) => Err((value, format!("{name} takes no value"))),
        (None, "loss", Some(value)) => match value.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(FaultKind::Loss(ratio)),
            _ => Err((value, format!("{value:?} is no ratio from 0 to 1"))),
        },
        (None, "delay", Some(value)) => duration(value).map(FaultKind::Delay),
        (None, "toobig", Some(value)) => match value.parse() {
            Ok(count) => Ok(FaultKind::TooBig(count)),
            Err(_) => Err((value, format!("{value:?} is no count of variables"))),
        },
        (None, "loss" | "delay" | "toobig", None) => {
            Err((name, format!("{name} needs a value: {name}=…")))
        }
        _ => Err((name, format!("{name:?} is no fault; known are {KINDS}"))),
    }
}

fn set_option<'a>(fault: &mut Fault, key: &'a str, value: &'a str) -> Result<(), Wrong<'a>> {
    match key {
        "agents" => fault.agents = agents(value)?,
        "from" => fault.from = duration(value)?,
        "for" => fault.lasts = Some(duration(value)?),
        "boots" => {
            let FaultKind::Reboot { boots } = &mut fault.kind else {
                return Err((key, "boots goes with reboot alone".to_owned()));
            };
            let number = value
                .parse()
                .map_err(|_| (value, format!("{value:?} is no number")))?;
            *boots = Some(number);
        }
        _ => {
            let reason = format!("{key:?} is no option; known are agents, from, for, boots");
            return Err((key, reason));
        }
    }
    Ok(())
}

/// `3`, `3-5`, `3-5+9`.
fn agents(value: &str) -> Result<Vec<RangeInclusive<u32>>, Wrong<'_>> {
    let mut ranges = Vec::new();
    for part in value.split('+') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) if (1..=last).contains(&first) => ranges.push(first..=last),
            _ => {
                let reason = format!("{part:?} is no agent or range; write agents=3-5+9");
                return Err((part, reason));
            }
        }
    }
    if ranges.len() > RANGES_MAX {
        return Err((
            value,
            format!("{} ranges; {RANGES_MAX} is the limit", ranges.len()),
        ));
    }
    Ok(ranges)
}

fn duration(value: &str) -> Result<Duration, Wrong<'_>> {
    parse_duration(value).map_err(|error| (value, error.to_string()))
}

/// Where `part`, a slice of `spec`, begins, counted from 1 in characters.
fn column_of(spec: &str, part: &str) -> usize {
    let octets = part.as_ptr().addr().saturating_sub(spec.as_ptr().addr());
    spec.get(..octets)
        .map_or(1, |before| before.chars().count() + 1)
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
