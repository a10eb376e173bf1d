//! The endpoint of a resource as the configuration holds it.
//!
//! Does: refuse what cannot be an endpoint. Does not: resolve names or pick ports.
//! In: a TOML string. Out: [`EndpointText`].

use std::fmt;

use ocelli_model::resource::Endpoint;

use crate::reading::Reading;
use crate::section::Setting;
use crate::tree::Node;
use crate::value::{quoted, text};

/// A name or an address with or without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointText(String);

impl EndpointText {
    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Setting for EndpointText {
    fn kind() -> String {
        String::from("a host such as switch1.example.com, 192.0.2.1:161 or [2001:db8::1]:161")
    }

    fn read(node: &Node, reading: &mut Reading<'_>) -> Option<Self> {
        let endpoint = text::<Self>(node, reading)?;
        if let Err(error) = endpoint.parse::<Endpoint>() {
            let remedy = format!("give {}", Self::kind());
            reading.wrong(node.span, error.to_string(), remedy);
            return None;
        }
        Some(Self(endpoint.to_owned()))
    }

    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}
