//! The engine's shared limits, each with its unit, its reason and what happens beyond it.
//!
//! Does: name them in one place and check how they relate. Does not: hold a limit that only one
//! file knows (those stand at the top of that file).
//! In: nothing. Out: constants.

use std::time::Duration;

/// Datagrams that one system call receives or sends: beyond 64 the cost per call no longer falls.
pub(crate) const BATCH_PACKETS: usize = 64;

/// Bytes of the longest datagram accepted; a longer one is cut by the kernel, counted, and taken
/// as "too big". Jumbo frames fit; 145 cache lines keep the buffers out of each other's cache sets.
pub const RECEIVE_BYTES_MAX: usize = 9_280;

/// Bytes of the longest request sent: one Ethernet frame, so that no request is fragmented.
pub const SEND_BYTES_MAX: usize = 1_472;

/// Bytes a reply should have at most: requests are cut so that it fits one Ethernet frame.
pub const REPLY_BYTES_TARGET: usize = 1_472;

/// Receive batches drained per socket and tick (16,384 datagrams); what is left waits one tick.
pub(crate) const DRAIN_BATCHES_MAX: usize = 256;

/// Operations (gets and walks) at one time per engine; one more is refused and counted.
pub const OPERATIONS_MAX: usize = 8_192;

/// Operations waiting for the budget of one device; one more is refused and counted.
pub const WAITING_PER_DEVICE_MAX: usize = 64;

/// Packets in flight to one device, whatever is configured.
pub const IN_FLIGHT_MAX: u8 = 4;

/// Transmissions of one request, the first included, whatever is configured.
pub const TRIES_MAX: u8 = 8;

/// Time between two drains while anything is in flight; tokio's timer adds up to as much again.
pub const TICK: Duration = Duration::from_millis(1);

/// Bytes asked of `SO_RCVBUF`: 2,800 replies of 1,472 bytes, a tick's worth at 1.4 M replies/s.
pub(crate) const SOCKET_RECEIVE_BYTES: usize = 8 << 20;

/// Bytes asked of `SO_SNDBUF`: what one tick may hand over before the kernel says "later".
pub(crate) const SOCKET_SEND_BYTES: usize = 4 << 20;

/// Sockets open per local address: the current one and those that older sessions still use.
pub(crate) const SOCKETS_PER_FAMILY_MAX: usize = 4;
/// Local addresses that one engine sends from, the unspecified of each family included. More are
/// refused while as many places are taken.
pub(crate) const SOURCES_MAX: usize = 8;

/// Object identifiers in one get; more is refused before anything is sent.
pub const GET_OIDS_MAX: usize = 4_096;

/// Columns in one walk; more is refused before anything is sent.
pub const WALK_COLUMNS_MAX: usize = 256;

const _: () = assert!(SEND_BYTES_MAX <= RECEIVE_BYTES_MAX);
const _: () = assert!(OPERATIONS_MAX.is_power_of_two() && OPERATIONS_MAX <= 1 << 13);
const _: () = assert!(TRIES_MAX as usize <= 1 << 3);
const _: () = assert!(IN_FLIGHT_MAX as usize <= WAITING_PER_DEVICE_MAX);
