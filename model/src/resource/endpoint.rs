//! Where a resource is reached, and which device that is.
//!
//! Does: read a host name, IPv4, IPv6 (bare or in brackets), each but the bare IPv6 with an
//! optional `:port`; make the device key by which load budgets are shared. Does not: resolve names.
//! In: the endpoint text of a resource. Out: [`Endpoint`], [`DeviceKey`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// RFC 1035 §2.3.4: a name has at most 253 characters when written.
const NAME_BYTES_MAX: usize = 253;
/// RFC 1035 §2.3.4: a label has at most 63.
const LABEL_BYTES_MAX: usize = 63;

/// A host to reach: by address or by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name, as written.
    Name(String),
}

/// Host and, where the text names one, port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// What to connect to.
    pub host: Host,
    /// The port of the text; above it stands metadata `snmp_port`, below it the plugin's.
    pub port: Option<u16>,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// `[` without `]`, or something after `]` that is no port.
    #[error(
        "endpoint {text:?} has misplaced brackets; write an IPv6 address with port as [::1]:161"
    )]
    Brackets {
        /// The text as given.
        text: String,
    },
    /// Not 1 to 65,535.
    #[error("endpoint {text:?} has the port {port:?}; a port is a number from 1 to 65535")]
    Port {
        /// The text as given.
        text: String,
        /// What stands after the colon.
        port: String,
    },
    /// Neither a name nor an address.
    #[error(
        "endpoint {text:?} is neither a host name nor an address; use letters, digits, - _ and \
         dots, 10.0.0.1 or [2001:db8::1]:161"
    )]
    Host {
        /// The text as given.
        text: String,
    },
}

impl Endpoint {
    /// What people use as one device's name: names in lower case without a final dot, addresses in
    /// their shortest form, an IPv4 address inside IPv6 as IPv4.
    #[must_use]
    pub fn device_key(&self) -> DeviceKey {
        DeviceKey(match &self.host {
            Host::Address(address) => address.to_canonical().to_string().into(),
            Host::Name(name) => name.trim_end_matches('.').to_ascii_lowercase().into(),
        })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            let host = Host::Address(address.into());
            return Ok(Self { host, port: None });
        }
        if let Some(bracketed) = text.strip_prefix('[') {
            return parse_bracketed(text, bracketed);
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(parse_port(text, port)?)),
            Some(_) => {
                return Err(EndpointError::Host {
                    text: text.to_owned(),
                });
            }
            None => (text, None),
        };
        let host = match host.parse::<Ipv4Addr>() {
            Ok(address) => Host::Address(address.into()),
            Err(_) if is_host_name(host) => Host::Name(host.to_owned()),
            Err(_) => {
                return Err(EndpointError::Host {
                    text: text.to_owned(),
                });
            }
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (Host::Address(IpAddr::V6(address)), Some(port)) => {
                write!(formatter, "[{address}]:{port}")
            }
            (host, Some(port)) => write!(formatter, "{host}:{port}"),
            (host, None) => write!(formatter, "{host}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "{address}"),
            Self::Name(name) => formatter.write_str(name),
        }
    }
}

fn parse_bracketed(text: &str, bracketed: &str) -> Result<Endpoint, EndpointError> {
    let brackets = || EndpointError::Brackets {
        text: text.to_owned(),
    };
    let (address, rest) = bracketed.split_once(']').ok_or_else(brackets)?;
    let address: Ipv6Addr = address.parse().map_err(|_| EndpointError::Host {
        text: text.to_owned(),
    })?;
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(parse_port(text, port)?),
        None if rest.is_empty() => None,
        None => return Err(brackets()),
    };
    let host = Host::Address(address.into());
    Ok(Endpoint { host, port })
}

fn parse_port(text: &str, port: &str) -> Result<u16, EndpointError> {
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    port.parse()
        .ok()
        .filter(|number| is_number && *number > 0)
        .ok_or_else(|| EndpointError::Port {
            text: text.to_owned(),
            port: port.to_owned(),
        })
}

/// Letters, digits, `-` and `_` in labels; a name of digits and dots alone is a broken address.
fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_number = name.contains('.')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    name.len() <= NAME_BYTES_MAX && !is_number && name.split('.').all(is_label)
}

/// Resources of one device key share shard, arbiter and load budget. A clone is a reference count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceKey(Arc<str>);

impl DeviceKey {
    /// The key of any text: normalised as a host where it is one, else only in lower case.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = text.trim();
        text.parse::<Endpoint>().map_or_else(
            |_| Self(text.to_lowercase().into()),
            |endpoint| endpoint.device_key(),
        )
    }

    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn endpoints_are_read_in_every_form_that_people_write() {
        let check = |text: &str, host: &str, port: Option<u16>, key: &str| {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(
                (endpoint.host.to_string().as_str(), endpoint.port),
                (host, port),
                "{text}"
            );
            assert_eq!(endpoint.device_key().as_str(), key, "{text}");
        };
        check(
            "sw1.example.com",
            "sw1.example.com",
            None,
            "sw1.example.com",
        );
        check(
            "SW1.Example.com.:1161",
            "SW1.Example.com.",
            Some(1161),
            "sw1.example.com",
        );
        check("test_endpoint", "test_endpoint", None, "test_endpoint");
        check("10.0.0.1", "10.0.0.1", None, "10.0.0.1");
        check("10.0.0.1:161", "10.0.0.1", Some(161), "10.0.0.1");
        check("2001:DB8:0::1", "2001:db8::1", None, "2001:db8::1");
        check("[::1]", "::1", None, "::1");
        check(
            "[2001:db8::1]:1161",
            "2001:db8::1",
            Some(1161),
            "2001:db8::1",
        );
        check("::ffff:10.0.0.1", "::ffff:10.0.0.1", None, "10.0.0.1");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_form_to_use() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        };
        check("", "neither a host name");
        check("sw 1", "neither a host name");
        check("10.0.0.256", "neither a host name");
        check("1:2:3", "neither a host name");
        check("[10.0.0.1]:161", "neither a host name");
        check(&"a".repeat(64), "neither a host name");
        check("a..b", "neither a host name");
        check("-a", "neither a host name");
        check("http://x", "port \"//x\"");
        check("sw1:", "port \"\"");
        check("sw1:0", "1 to 65535");
        check("sw1:+1", "1 to 65535");
        check("sw1:65536", "1 to 65535");
        check("[::1", "brackets");
        check("[::1]161", "brackets");
    }

    #[test]
    fn a_text_that_is_no_host_still_has_one_device_key() {
        assert_eq!(DeviceKey::of(" Rack 7 ").as_str(), "rack 7");
        assert_eq!(DeviceKey::of("SW1:161"), DeviceKey::of("sw1"));
    }

    proptest! {
        #[test]
        fn a_printed_endpoint_reads_back_as_itself(text in "[a-z0-9.:\\[\\]_-]{0,20}") {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse::<Endpoint>(), Ok(endpoint));
            }
        }
    }
}
