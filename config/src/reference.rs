//! The manual of the configuration, made from the declarations themselves.
//!
//! Does: list every section with its keys, kinds, defaults and doc comments, as Markdown. Does
//! not: describe anything by hand but the frame.
//! In: the sections. Out: the text of `docs/config-reference.md` and of `config reference`.
//! Invariant: a key that is read is listed, since both come from one `section!`.

use std::fmt::Write as _;

use crate::section::{Field, Section, doc_text};
use crate::sections::credentials::{AuthConfig, CommunityConfig, PrivacyConfig, UsmConfig};
use crate::sections::discovery::{JsonDiscovery, SnmpEnrichment, StaticDiscovery, StaticResource};
use crate::sections::federation::{
    CaConfig, IdentityConfig, OriginConfig, PeerConfig, UpstreamConfig,
};
use crate::sections::http::{AccessConfig, HttpConfig, TlsConfig};
use crate::sections::node::{BusConfig, ListenConfig, NodeConfig};
use crate::sections::polling::{HostPolling, SnmpPolling};
use crate::sections::snmp::{DeviceConfig, SnmpConfig};

/// One section of the reference.
#[derive(Debug, Clone)]
pub struct SectionReference {
    /// Its header, such as `[[polling]]`.
    pub title: &'static str,
    /// The line that chooses it among its kin, such as `kind = "snmp"`; empty if none is needed.
    pub selector: &'static str,
    /// What it is for.
    pub doc: String,
    /// Its keys.
    pub fields: Vec<Field>,
}

const INTRODUCTION: &str = "\
# Configuration reference

Generated from the declarations by `ocelli config reference`; do not edit.

`--config` takes a TOML file, or a directory whose `*.toml` are read in name order: array tables
append, a key set twice is an error that names both places. Paths are relative to the file that
they stand in. `--set node.name=x` and the environment's `OCELLI_SET_NODE_NAME=x` override single
keys of single sections, never secrets. Unknown keys are errors.

A duration is `250ms`, `30s`, `5m`, `1h30m`, `7d` or a bare number of seconds; a size is `64MiB`,
`512KiB` or a bare number of bytes. A filter is `resource_class = \"network\" AND NOT
(resource_metadata.role = \"lab\")`; put it in single quotes.

A secret is `{ file = \"/path\" }`, `{ env = \"NAME\" }`, `{ exec = [\"command\", \"argument\"] }`,
`{ credential = \"name\" }` (systemd's `LoadCredential=`), `{ value = \"…\" }` or a bare string;
both last ones are warned about. One line break at its end is dropped.

At start a bad item of an array table (`[[…]]`) is parked with its reason and the rest runs.
";

/// All sections in the order of the reference.
#[must_use]
pub fn reference() -> Vec<SectionReference> {
    let mut node = describe::<NodeConfig>("[node]", "");
    // Its default is the machine's own and comes in at loading.
    for field in node.fields.iter_mut().filter(|field| field.key == "name") {
        field.is_required = false;
    }
    vec![
        node,
        describe::<ListenConfig>("[listen]", ""),
        describe::<IdentityConfig>("[identity]", ""),
        describe::<CaConfig>("[ca]", ""),
        describe::<UpstreamConfig>("[[upstream]]", ""),
        describe::<PeerConfig>("[[peer]]", ""),
        describe::<OriginConfig>("[[origin]]", ""),
        describe::<HttpConfig>("[http]", ""),
        describe::<TlsConfig>("[http.tls]", ""),
        describe::<AccessConfig>("[[http.access]]", ""),
        describe::<BusConfig>("[bus]", ""),
        describe::<SnmpConfig>("[snmp]", ""),
        describe::<DeviceConfig>("[[device]]", ""),
        describe::<JsonDiscovery>("[[discovery]]", "kind = \"json\""),
        describe::<StaticDiscovery>("[[discovery]]", "kind = \"static\""),
        describe::<StaticResource>("[[discovery.resource]]", ""),
        describe::<SnmpEnrichment>("[[enrichment]]", "kind = \"snmp\""),
        describe::<SnmpPolling>("[[polling]]", "kind = \"snmp\""),
        describe::<HostPolling>("[[polling]]", "kind = \"host\""),
        describe::<CommunityConfig>("[[credentials.snmp]]", "version = \"1\" or \"2c\""),
        describe::<UsmConfig>("[[credentials.snmp]]", "version = \"3\""),
        describe::<AuthConfig>("auth", ""),
        describe::<PrivacyConfig>("priv", ""),
    ]
}

fn describe<T: Section>(title: &'static str, selector: &'static str) -> SectionReference {
    SectionReference {
        title,
        selector,
        doc: doc_text(T::DOC),
        fields: T::fields(),
    }
}

/// The reference as Markdown.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(INTRODUCTION);
    for section in reference() {
        let selector = match section.selector {
            "" => String::new(),
            selector => format!(", `{selector}`"),
        };
        page.push_str(&format!(
            "\n## `{}`{selector}\n\n{}\n\n",
            section.title, section.doc
        ));
        page.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
        for field in &section.fields {
            // Writing to a `String` cannot fail.
            let _infallible = writeln!(page, "{}", row(field));
        }
    }
    page
}

fn row(field: &Field) -> String {
    let default = match (field.default, field.is_required) {
        (Some(default), _) => format!("`{default}`"),
        (None, true) => String::from("required"),
        (None, false) => String::from("–"),
    };
    let cell = |text: &str| text.replace('|', "\\|");
    let (kind, doc) = (cell(&field.kind), cell(&field.doc));
    format!("| `{}` | {kind} | {default} | {doc} |", field.key)
}
