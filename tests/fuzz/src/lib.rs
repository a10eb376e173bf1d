//! What is fuzzed: one function for each way in, fed with any bytes (promise P14).
//!
//! Does: list the targets with their corpora. Does not: choose the bytes; libFuzzer does
//! (`cargo fuzz run NAME`, see `tests/FUZZING.md`), and so does the ordinary test
//! `tests/robustness.rs`, which includes this file and replays `corpus/` and mutations of it.
//! In: bytes. Out: nothing, or a panic that is a defect.

pub mod bus;
pub mod config;
pub mod federation;
pub mod model;
pub mod snmp;

/// One way in.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Of the binary in `fuzz_targets/` and the folder in `corpus/`.
    pub name: &'static str,
    /// Takes any bytes.
    pub entry: fn(&[u8]),
    /// Bytes that mean something to this reader, which mutations take more often than others.
    pub telling: &'static [u8],
    /// Mutations of each seed that the ordinary test tries: some hundred milliseconds' worth.
    pub mutations: u32,
}

/// Tags and lengths of BER.
const BER: &[u8] = &[0, 1, 0x7f, 0x80, 0x81, 0x82, 0x84, 0x85, 0xff, 0x30, 2, 6];
/// Edges of varints, widths and shapes.
const PACKED: &[u8] = &[0, 1, 2, 7, 8, 0x3f, 0x40, 0x41, 0x7f, 0x80, 0xc0, 0xff];
/// Edges of bincode's integers and variants.
const BINCODE: &[u8] = &[0, 1, 2, 250, 251, 252, 253, 254, 255, 0x7f];
/// What texts are built of, and what breaks them.
const TEXT: &[u8] = b"\0\n\t \"'\\#,:;=-_.~%()[]{}0919eE\x7f\xc3\xff";

/// All of them.
pub const TARGETS: &[Target] = &[
    target("community", snmp::community, BER, 20_000),
    target("object_identifier", snmp::object_identifier, BER, 20_000),
    target("v3_manager", snmp::v3_manager, BER, 20_000),
    target("v3_agent", snmp::v3_agent, BER, 20_000),
    target("block", bus::block, PACKED, 3_000),
    target("body", bus::body, PACKED, 3_000),
    target("definition", bus::definition, PACKED, 3_000),
    target("segment", bus::segment, PACKED, 60),
    target("cursor", bus::cursor, TEXT, 3_000),
    target("frame", federation::frame, BINCODE, 3_000),
    target("control", federation::control, BINCODE, 3_000),
    target("question", federation::question, TEXT, 3_000),
    target("configuration", config::configuration, TEXT, 300),
    target("filter", model::filter, TEXT, 2_000),
    target("profile", model::profile, TEXT, 1_000),
    target("resource_file", model::resource_file, TEXT, 1_000),
    target("panoptes", model::panoptes, TEXT, 1_000),
    target("short_text", model::short_text, TEXT, 5_000),
];

const fn target(
    name: &'static str,
    entry: fn(&[u8]),
    telling: &'static [u8],
    mutations: u32,
) -> Target {
    Target {
        name,
        entry,
        telling,
        mutations,
    }
}
