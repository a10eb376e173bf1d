//! What a demo shows while it runs: the busiest interfaces and this machine.
//!
//! Does: keep the last batch's rates of each device, rank them, lay them out. Does not: print.
//! In: [`Record`]s, or [`Line`]s of the API. Out: two tables as text.
//! Invariant: a device whose slot became a gap shows no rates: old ones would look like new ones.

use std::collections::BTreeMap;

use ocelli_bus::decoder::Record;
use ocelli_bus::payload::Payload;
use ocelli_model::batch::{Batch, Verdict};

use super::human::bit_rate;
use super::wire::Line;
use crate::cli::output::aligned;

/// Interfaces shown: with the rest they fit a terminal of 24 lines.
const LINKS_SHOWN: usize = 10;
/// Bits of a byte, for counters in bytes.
pub(super) const BITS: f64 = 8.0;
/// The loopback device carries what never left the machine.
pub(super) const LOOPBACK: &str = "lo";

/// The last rates of each device and of this machine.
#[derive(Debug, Default)]
pub(super) struct Live {
    links: BTreeMap<String, Vec<Link>>,
    machine: Machine,
}

/// One interface in one slot; rates in bit/s.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) inward: Option<f64>,
    pub(super) outward: Option<f64>,
    pub(super) verdict: String,
}

/// This machine in one slot; network in bit/s.
#[derive(Debug, Default)]
pub(super) struct Machine {
    pub(super) load1: Option<f64>,
    pub(super) cpu_percent: Option<f64>,
    pub(super) memory_percent: Option<f64>,
    pub(super) received: Option<f64>,
    pub(super) sent: Option<f64>,
}

impl Live {
    /// Takes what a record says.
    pub(super) fn take(&mut self, record: &Record) {
        let device = record.resource.as_ref().map_or("-", |of| of.id().id());
        match &record.payload {
            Payload::Batch(batch) => {
                if let Some(links) = links_of(batch) {
                    self.links.insert(device.to_owned(), links);
                }
                if let Some(machine) = machine_of(batch) {
                    self.machine = machine;
                }
            }
            Payload::Gap(_) => {
                self.links.remove(device);
            }
            _ => {}
        }
    }

    /// Takes what a line says that came over HTTP.
    pub(super) fn take_line(&mut self, line: &Line) {
        match line.kind.as_str() {
            "batch" => {
                if let Some(links) = line.links() {
                    self.links.insert(line.device(), links);
                }
                if let Some(machine) = line.machine() {
                    self.machine = machine;
                }
            }
            "gap" => {
                self.links.remove(&line.device());
            }
            _ => {}
        }
    }

    /// Whether an interface has a rate.
    pub(super) fn has_rates(&self) -> bool {
        self.links.values().flatten().any(|link| link.peak() > 0.0)
    }

    /// The busiest interfaces, then this machine.
    pub(super) fn tables(&self, is_styled: bool) -> String {
        let mut ranked: Vec<(&str, &Link)> = Vec::new();
        for (device, links) in &self.links {
            ranked.extend(links.iter().map(|link| (device.as_str(), link)));
        }
        let count = ranked.len();
        ranked.sort_by(|(_, a), (_, b)| b.peak().total_cmp(&a.peak()));
        let mut rows = vec![texts(["DEVICE", "INTERFACE", "IN", "OUT", "VERDICT"])];
        rows.extend(ranked.iter().take(LINKS_SHOWN).map(|(device, link)| {
            let (inward, outward) = (bit_rate(link.inward), bit_rate(link.outward));
            texts([device, &link.name, &inward, &outward, &link.verdict])
        }));
        let mut text = aligned(&rows, is_styled);
        text.push_str(&format!(
            "the busiest {} of {count} interfaces\n\n",
            rows.len() - 1
        ));
        text.push_str(&aligned(&self.machine.rows(), is_styled));
        text.push('\n');
        text
    }
}

impl Link {
    /// The larger direction; 0 without a rate.
    fn peak(&self) -> f64 {
        self.inward.unwrap_or(0.0).max(self.outward.unwrap_or(0.0))
    }
}

impl Machine {
    fn rows(&self) -> Vec<Vec<String>> {
        let number = |value: Option<f64>, unit: &str| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}{unit}"))
        };
        let cells = [
            "this machine".to_owned(),
            number(self.load1, ""),
            number(self.cpu_percent, " %"),
            number(self.memory_percent, " %"),
            bit_rate(self.received),
            bit_rate(self.sent),
        ];
        let heading = ["", "LOAD", "CPU", "MEMORY", "RECEIVED", "SENT"];
        vec![texts(heading), cells.to_vec()]
    }
}

/// What devices call themselves must not move the cursor.
fn texts<const N: usize>(cells: [&str; N]) -> Vec<String> {
    let plain = |cell: &str| {
        let letters = cell.chars();
        letters
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect()
    };
    cells.into_iter().map(plain).collect()
}

/// One group of a batch, by the names of its columns.
struct Group<'a> {
    batch: &'a Batch,
    index: usize,
}

impl<'a> Group<'a> {
    fn of(batch: &'a Batch, name: &str) -> Option<Self> {
        let mut groups = batch.schema.groups.iter();
        let index = groups.position(|group| group.name == name)?;
        (index < batch.groups.len()).then_some(Self { batch, index })
    }

    fn len(&self) -> usize {
        self.batch.groups[self.index].len()
    }

    /// The first dimension, which names the row.
    fn key(&self, row: usize) -> &'a str {
        let table = self.batch.rows.groups.get(self.index);
        table.and_then(|table| table.get(row, 0)).unwrap_or("-")
    }

    fn counter(&self, name: &str) -> Option<usize> {
        let mut counters = self.batch.schema.groups[self.index].counters.iter();
        counters.position(|counter| counter.name == name)
    }

    fn rate(&self, counter: &str, row: usize) -> Option<f64> {
        self.batch.groups[self.index].rate(self.counter(counter)?, row)
    }

    fn verdict(&self, counter: &str, row: usize) -> Option<Verdict> {
        let column = self.batch.groups[self.index]
            .counters
            .get(self.counter(counter)?)?;
        column
            .presence
            .is_present(row)
            .then(|| column.verdicts.get(row).copied())?
    }

    fn gauge(&self, name: &str, row: usize) -> Option<f64> {
        let mut gauges = self.batch.schema.groups[self.index].gauges.iter();
        let place = gauges.position(|gauge| gauge.name == name)?;
        self.batch.groups[self.index].gauges.get(place)?.get(row)
    }

    /// The sum over rows that have a rate and pass; `None` if none does.
    fn sum(&self, counter: &str, passes: impl Fn(&str) -> bool) -> Option<f64> {
        let rows = (0..self.len()).filter(|row| passes(self.key(*row)));
        let rates = rows.filter_map(|row| self.rate(counter, row));
        rates.reduce(|sum, rate| sum + rate)
    }
}

fn links_of(batch: &Batch) -> Option<Vec<Link>> {
    let group = Group::of(batch, "interface")?;
    let link = |row| {
        let verdicts = ["bits_in", "bits_out"].map(|counter| group.verdict(counter, row));
        // The direction without a rate has the reason to show.
        let without_rate = verdicts
            .iter()
            .flatten()
            .find(|verdict| !verdict.has_rate());
        let verdict = without_rate.or_else(|| verdicts.iter().flatten().next())?;
        Some(Link {
            name: group.key(row).to_owned(),
            inward: group.rate("bits_in", row),
            outward: group.rate("bits_out", row),
            verdict: verdict.as_str().to_owned(),
        })
    };
    Some((0..group.len()).filter_map(link).collect())
}

fn machine_of(batch: &Batch) -> Option<Machine> {
    let cpu = Group::of(batch, "cpu")?;
    let of = |group: &str, gauge: &str| Group::of(batch, group)?.gauge(gauge, 0);
    let network = |counter: &str| {
        let group = Group::of(batch, "network")?;
        let bytes = group.sum(counter, |interface| interface != LOOPBACK)?;
        Some(bytes * BITS)
    };
    Some(Machine {
        load1: of("load", "load1"),
        // Ticks of 10 ms a second, of the mean CPU: percent.
        cpu_percent: cpu.sum("busy", |name| name == "total"),
        memory_percent: of("memory", "used_percent"),
        received: network("rx_bytes"),
        sent: network("tx_bytes"),
    })
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
