//! The closed list of frames: numbers, versions, limits.
//!
//! Does: name each frame kind once, so that tables over all of them (who may send what, counters,
//! golden files) cannot miss one. Does not: encode.
//! In: a number from the wire. Out: [`FrameKind`]. Numbers are never given twice; a number that is
//! not listed is of a newer neighbour: skipped and counted.

use ocelli_bus::limits::BLOCK_BYTES_MAX;

/// Most bytes of any payload: a block, or as much of an answer, and some room for an envelope.
pub const FRAME_BYTES_MAX: usize = BLOCK_BYTES_MAX + 4 * 1024;
/// Most bytes of a control frame's payload; what needs more is sent in pieces.
pub const CONTROL_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of a frame that only introduces or dismisses.
const SMALL_BYTES_MAX: usize = 8 * 1024;

macro_rules! frame_kinds {
    ($(
        $(#[$doc:meta])* $kind:ident = $number:literal, $name:literal, $version:literal, $max:expr;
    )*) => {
        /// What a frame is, by its number on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum FrameKind { $($(#[$doc])* $kind = $number,)* }

        impl FrameKind {
            /// Every kind, by number.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// The kind with this number; `None`: a newer neighbour's.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$kind),)* _ => None }
            }

            /// Its name in logs, metrics and golden files.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// The version of its payload that this code writes and reads.
            #[must_use]
            pub fn version(self) -> u16 {
                match self { $(Self::$kind => $version,)* }
            }

            /// Most bytes of its payload; a longer one ends the connection unread.
            #[must_use]
            pub fn payload_bytes_max(self) -> usize {
                match self { $(Self::$kind => $max,)* }
            }
        }
    };
}

frame_kinds! {
    /// Control, dialler's first: who it is and what it speaks.
    Hello = 1, "hello", 1, SMALL_BYTES_MAX;
    /// Control, acceptor's first: the link stands.
    Welcome = 2, "welcome", 1, SMALL_BYTES_MAX;
    /// Control, acceptor's first and last: no link, and why.
    Refuse = 3, "refuse", 1, SMALL_BYTES_MAX;
    /// Control, up → down: what it holds durably of streams.
    Coverage = 4, "coverage", 1, CONTROL_BYTES_MAX;
    /// Control, up → down: all coverage was told.
    CoverageEnd = 5, "coverage_end", 1, SMALL_BYTES_MAX;
    /// Control, up → down: what has become durable.
    Durable = 6, "durable", 1, CONTROL_BYTES_MAX;
    /// Control, up → down: a block was not taken.
    Refused = 7, "refused", 1, SMALL_BYTES_MAX;
    /// Control, up → down: rate of an origin.
    Throttle = 8, "throttle", 1, SMALL_BYTES_MAX;
    /// Control, down → up: how far the streams go below.
    Heads = 9, "heads", 1, CONTROL_BYTES_MAX;
    /// Control, both ways: a signed revocation list.
    Revocations = 10, "revocations", 1, CONTROL_BYTES_MAX;
    /// Control, both ways, the last frame: the sender ends the link on purpose.
    Goodbye = 11, "goodbye", 1, SMALL_BYTES_MAX;
    /// Control, down → up: how origins that the dialler holds stand with it.
    Origins = 12, "origins", 1, CONTROL_BYTES_MAX;
    /// Control, up → down: what of the coverage was withheld on the way there.
    Skipped = 13, "skipped", 1, CONTROL_BYTES_MAX;
    /// Channels and request streams: a bus block, its bytes as they are.
    Block = 16, "block", 1, BLOCK_BYTES_MAX;
    /// First frame of a request stream.
    Request = 32, "request", 1, FRAME_BYTES_MAX;
    /// Request stream: a piece of what was asked or answered, its bytes as they are.
    Item = 33, "item", 1, FRAME_BYTES_MAX;
    /// Request stream, the last frame: how it ended.
    Trailer = 34, "trailer", 1, SMALL_BYTES_MAX;
}

impl FrameKind {
    /// Number of kinds.
    pub const COUNT: usize = Self::ALL.len();

    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Place in [`FrameKind::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        // The list is short and its order is that of the numbers.
        let place = Self::ALL.iter().position(|one| *one == self);
        place.unwrap_or(0)
    }

    /// Whether it stands on a control stream after the handshake. Who may send it there is
    /// `identity::may_send`.
    #[must_use]
    pub const fn is_control(self) -> bool {
        match self {
            Self::Coverage
            | Self::CoverageEnd
            | Self::Durable
            | Self::Refused
            | Self::Throttle
            | Self::Heads
            | Self::Revocations
            | Self::Goodbye
            | Self::Origins
            | Self::Skipped => true,
            Self::Hello
            | Self::Welcome
            | Self::Refuse
            | Self::Block
            | Self::Request
            | Self::Item
            | Self::Trailer => false,
        }
    }
}
