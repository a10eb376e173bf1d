//! What an engine counts: all that is sent, received, refused and dropped.
//!
//! Does: name each counter once. Does not: export them (`node`).
//! In: increments from `core`. Out: a copy, by `Engine::counters`.

/// Counts since the engine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineCounters {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams received.
    pub received: u64,
    /// System calls that received at least one datagram.
    pub batches: u64,
    /// Requests sent again for want of an answer.
    pub retries: u64,
    /// Operations that ended without an answer.
    pub timeouts: u64,
    /// Datagrams that answer nothing that waits: late, doubled, or not for us.
    pub unmatched: u64,
    /// Answers with our id from an address that we did not ask.
    pub wrong_source: u64,
    /// Datagrams that are no SNMP response.
    pub malformed: u64,
    /// v3 messages that are not authentic or not acceptable.
    pub unacceptable: u64,
    /// Datagrams longer than `RECEIVE_BYTES_MAX`.
    pub cut: u64,
    /// Requests that the kernel refused to send.
    pub refused: u64,
    /// Requests dropped because the kernel's send buffer was full.
    pub send_dropped: u64,
    /// ICMP errors about our requests.
    pub unreachable: u64,
    /// Sessions moved to another socket after silence.
    pub sockets_renewed: u64,
    /// Operations refused because a table or queue was full.
    pub operations_refused: u64,
}

impl EngineCounters {
    /// The sum of both, for a node with several engines.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            batches: self.batches + other.batches,
            retries: self.retries + other.retries,
            timeouts: self.timeouts + other.timeouts,
            unmatched: self.unmatched + other.unmatched,
            wrong_source: self.wrong_source + other.wrong_source,
            malformed: self.malformed + other.malformed,
            unacceptable: self.unacceptable + other.unacceptable,
            cut: self.cut + other.cut,
            refused: self.refused + other.refused,
            send_dropped: self.send_dropped + other.send_dropped,
            unreachable: self.unreachable + other.unreachable,
            sockets_renewed: self.sockets_renewed + other.sockets_renewed,
            operations_refused: self.operations_refused + other.operations_refused,
        }
    }
}
