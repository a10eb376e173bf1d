//! The address of a neighbour, and a moment at which something ends.
//!
//! Does: read `host:port` with the mesh's port as default, and RFC 3339 times. Does not: resolve
//! names, read a clock. In: a TOML string. Out: [`MeshAddress`], [`Moment`].

use std::fmt;

use ocelli_model::clock::WallMs;
use ocelli_model::resource::Endpoint;
use ocelli_model::rfc3339::parse_rfc3339;

use crate::reading::Reading;
use crate::section::Setting;
use crate::tree::Node;
use crate::value::{quoted, text};

/// Port of the mesh where an address names none.
pub const MESH_PORT: u16 = 7_700;

/// Host and port of a node of the mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshAddress(Endpoint);

/// A moment of wall time, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    text: String,
    at: WallMs,
}

impl MeshAddress {
    /// The port, [`MESH_PORT`] if none was written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port.unwrap_or(MESH_PORT)
    }

    /// Host and port, always both, as resolvers take it.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        let whole = Endpoint {
            host: self.0.host.clone(),
            port: Some(self.port()),
        };
        whole.to_string()
    }
}

impl fmt::Display for MeshAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.host_and_port())
    }
}

impl Setting for MeshAddress {
    fn kind() -> String {
        String::from("a host such as region-a.example.com, 192.0.2.1:7700 or [2001:db8::1]:7700")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let address = text::<Self>(node, reading)?;
        match address.parse::<Endpoint>() {
            Ok(endpoint) => Some(Self(endpoint)),
            Err(error) => {
                let remedy = format!("give {}", Self::kind());
                reading.wrong(node.span, error.to_string(), remedy);
                None
            }
        }
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.0.to_string()))
    }
}

impl Moment {
    /// When it is.
    #[must_use]
    pub const fn at(&self) -> WallMs {
        self.at
    }
}

impl Setting for Moment {
    fn kind() -> String {
        String::from("a time such as \"2027-01-31T00:00:00Z\"")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let given = text::<Self>(node, reading)?;
        let Some(at) = parse_rfc3339(given) else {
            let remedy = format!("give {} (RFC 3339, with its zone)", Self::kind());
            reading.wrong(node.span, "not a time", remedy);
            return None;
        };
        Some(Self {
            text: given.to_owned(),
            at,
        })
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.text))
    }
}
