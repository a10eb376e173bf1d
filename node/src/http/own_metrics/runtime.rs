//! What plugins, actors and SNMP engines counted, as rows.
//!
//! Does: name each number of [`RuntimeCounts`]. Does not: count.
//! In: the counts. Out: rows, labelled by plugin, cause, actor kind and reason only.

use ocelli_actors::{ActorCounts, PluginCounts, RuntimeCounts};
use ocelli_snmp::engine::EngineCounters;

use super::{Named, OwnMetric};

type ReadPlugin = fn(&PluginCounts) -> u64;
type ReadEngine = fn(&EngineCounters) -> u64;

const PLUGIN: &[(Named, ReadPlugin)] = &[
    (("ocelli_runs", "Collections started."), |p| p.runs),
    (("ocelli_batches", "Slots that ended as a batch."), |p| {
        p.batches
    }),
    (
        (
            "ocelli_partial_batches",
            "Batches in which something is missing.",
        ),
        |p| p.partial_batches,
    ),
    (("ocelli_samples", "Counters and gauges in batches."), |p| {
        p.samples
    }),
    (("ocelli_rates", "Rates in batches."), |p| p.rates),
    (
        (
            "ocelli_discarded_runs",
            "Collections that ended after their slot was accounted for.",
        ),
        |p| p.discarded,
    ),
];

const ENGINE: &[(Named, ReadEngine)] = &[
    (("ocelli_snmp_requests_sent", "SNMP datagrams sent."), |e| {
        e.sent
    }),
    (
        ("ocelli_snmp_replies_received", "SNMP datagrams received."),
        |e| e.received,
    ),
    (
        (
            "ocelli_snmp_receive_batches",
            "Receiving system calls with datagrams.",
        ),
        |e| e.batches,
    ),
    (
        (
            "ocelli_snmp_retries",
            "Requests sent again for want of an answer.",
        ),
        |e| e.retries,
    ),
    (
        (
            "ocelli_snmp_timeouts",
            "Operations that ended without an answer.",
        ),
        |e| e.timeouts,
    ),
    (
        (
            "ocelli_snmp_unmatched",
            "Datagrams that answer nothing that waits.",
        ),
        |e| e.unmatched,
    ),
    (
        (
            "ocelli_snmp_wrong_source",
            "Answers from an address that was not asked.",
        ),
        |e| e.wrong_source,
    ),
    (
        (
            "ocelli_snmp_malformed",
            "Datagrams that are no SNMP response.",
        ),
        |e| e.malformed,
    ),
    (
        (
            "ocelli_snmp_unacceptable",
            "SNMPv3 messages that are not authentic or not acceptable.",
        ),
        |e| e.unacceptable,
    ),
    (
        (
            "ocelli_snmp_cut",
            "Datagrams longer than the receive buffer.",
        ),
        |e| e.cut,
    ),
    (
        (
            "ocelli_snmp_send_refused",
            "Requests that the kernel refused to send.",
        ),
        |e| e.refused,
    ),
    (
        (
            "ocelli_snmp_send_dropped",
            "Requests dropped because the send buffer was full.",
        ),
        |e| e.send_dropped,
    ),
    (
        ("ocelli_snmp_unreachable", "ICMP errors about requests."),
        |e| e.unreachable,
    ),
    (
        (
            "ocelli_snmp_sockets_renewed",
            "Sessions moved to another socket after silence.",
        ),
        |e| e.sockets_renewed,
    ),
    (
        (
            "ocelli_snmp_operations_refused",
            "Operations refused because a table was full.",
        ),
        |e| e.operations_refused,
    ),
];

const GAPS: Named = ("ocelli_gaps", "Slots that ended as a gap, by cause.");
const RUN_SECONDS: Named = (
    "ocelli_run_seconds",
    "Time of all ended collections together.",
);
const CRASHES: Named = (
    "ocelli_actor_restarts",
    "Actors that panicked and live again.",
);
const PARKED: Named = (
    "ocelli_actors_parked",
    "Actors that are parked after too many crashes.",
);
const DROPPED: Named = (
    "ocelli_mailbox_dropped",
    "Messages given up because a mailbox was full.",
);
const REFUSED: Named = (
    "ocelli_bus_refusals",
    "Times that the bus did not take a block.",
);
const LOST: Named = (
    "ocelli_bus_lost_slots",
    "Slots whose block did not become durable.",
);
const OUTLET: Named = (
    "ocelli_outlet_dropped",
    "Entries dropped while the bus refused.",
);

/// All rows.
pub(super) fn rows(counts: &RuntimeCounts) -> Vec<OwnMetric> {
    let mut rows = Vec::new();
    for (plugin, counts) in &counts.plugins {
        plugin_rows(plugin, counts, &mut rows);
    }
    for (kind, actor) in &counts.actors {
        actor_rows(kind, *actor, &mut rows);
    }
    for (reason, times) in &counts.refusals {
        rows.push(OwnMetric::counter(REFUSED, *times).of("reason", reason));
    }
    rows.push(OwnMetric::counter(LOST, counts.lost_slots));
    for (kind, dropped) in [("note", counts.dropped_notes), ("gap", counts.dropped_gaps)] {
        rows.push(OwnMetric::counter(OUTLET, dropped).of("kind", kind));
    }
    let engine =
        |(named, read): &(Named, ReadEngine)| OwnMetric::counter(*named, read(&counts.engine));
    rows.extend(ENGINE.iter().map(engine));
    rows
}

fn plugin_rows(plugin: &str, counts: &PluginCounts, rows: &mut Vec<OwnMetric>) {
    for (named, read) in PLUGIN {
        rows.push(OwnMetric::counter(*named, read(counts)).of("plugin", plugin));
    }
    let seconds = counts.run_micros as f64 / 1e6;
    rows.push(OwnMetric::seconds(RUN_SECONDS, seconds).of("plugin", plugin));
    for (cause, slots) in &counts.gap_slots {
        let row = OwnMetric::counter(GAPS, *slots).of("plugin", plugin);
        rows.push(row.of("cause", cause.as_str()));
    }
}

fn actor_rows(kind: &str, counts: ActorCounts, rows: &mut Vec<OwnMetric>) {
    rows.push(OwnMetric::counter(CRASHES, counts.crashes).of("actor", kind));
    rows.push(OwnMetric::gauge(PARKED, counts.parked as f64).of("actor", kind));
    let dropped = [
        ("message", counts.dropped_messages),
        ("obituary", counts.dropped_obituaries),
    ];
    for (what, times) in dropped {
        rows.push(
            OwnMetric::counter(DROPPED, times)
                .of("actor", kind)
                .of("kind", what),
        );
    }
}
