//! `[[discovery]]` and `[[enrichment]]`: where resources come from and what is learnt about them.
//!
//! Does: declare the kinds and their keys. Does not: read the sources (`ocelli-plugins`).
//! In: tables of the text. Out: [`DiscoveryConfig`], [`EnrichmentConfig`].

use std::path::PathBuf;

use ocelli_model::filter::Filter;
use ocelli_model::resource::{DEVICE_METADATA_KEY, Resource, ResourceFields};
use ocelli_model::unix_seconds::UnixSeconds;

use crate::endpoint::EndpointText;
use crate::number::{Interval, Port, Timeout};
use crate::reading::Reading;
use crate::section::{nested_section, section};
use crate::source::Span;
use crate::value::{Labels, Name};

/// One `[[discovery]]`.
#[derive(Debug, Clone, PartialEq)]
pub enum DiscoveryConfig {
    /// `kind = "json"`.
    Json(JsonDiscovery),
    /// `kind = "static"`.
    Static(StaticDiscovery),
}

/// One `[[enrichment]]`.
#[derive(Debug, Clone, PartialEq)]
pub enum EnrichmentConfig {
    /// `kind = "snmp"`.
    Snmp(SnmpEnrichment),
}

section! {
    /// Resources from a JSON file in Panoptes' format.
    pub struct JsonDiscovery {
        /// Name of the plugin, unique among discoveries; recorded as the resources' creator.
        pub name: Name,
        /// The file.
        pub path: PathBuf,
        /// How often the file is read.
        pub every: Interval = "5m",
    }
}

section! {
    /// Resources written into the configuration.
    pub struct StaticDiscovery {
        /// Name of the plugin, unique among discoveries; recorded as the resources' creator.
        pub name: Name,
        /// The resources, each `[[discovery.resource]]`.
        pub resources in "resource": Vec<StaticResource>,
    }
}

section! {
    /// One resource. Only `endpoint` is required.
    pub struct StaticResource {
        /// Where the resource is reached: a name, an IPv4 address, an IPv6 address; with a port
        /// `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port`.
        pub endpoint: EndpointText,
        /// Its id. Default: the endpoint.
        pub id: Option<Name>,
        /// Its site. Default: the node's.
        pub site: Option<Name>,
        /// Its class.
        pub class: Name = "network",
        /// Its subclass.
        pub subclass: Name = "device",
        /// Its type.
        pub kind in "type": Name = "generic",
        /// Key of the device that it is part of. Default: the endpoint's host.
        pub device: Option<Name>,
        /// Names with values that filters, tags and plugins read (`snmp_port`, `role`, …).
        pub metadata: Labels,
    }
}

section! {
    /// What SNMP says about a device and its interfaces.
    pub struct SnmpEnrichment {
        /// Name of the plugin, unique among enrichments.
        pub name: Name,
        /// How often it runs per resource.
        pub every: Interval = "30m",
        /// Which resources. Default: all.
        pub filter: Option<Filter>,
        /// UDP port for resources that name none. Default: `snmp.port`.
        pub port: Option<Port>,
        /// How long one run may take. Default: 0.9 × `every`, at most 5m.
        pub deadline: Option<Timeout>,
    }
}

impl DiscoveryConfig {
    /// The plugin's name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        match self {
            Self::Json(discovery) => &discovery.name,
            Self::Static(discovery) => &discovery.name,
        }
    }
}

impl StaticResource {
    /// The resource that discovery `plugin` makes of it, of `site` where it names
    /// none.
    #[must_use]
    pub fn resource_fields(&self, plugin: &str, site: &str) -> ResourceFields {
        let endpoint = self.endpoint.as_str();
        let site = self.site.as_ref().map_or(site, |site| site.as_str());
        let id = self.id.as_ref().map_or(endpoint, |id| id.as_str());
        let kind = [
            self.class.as_str(),
            self.subclass.as_str(),
            self.kind.as_str(),
        ];
        let mut metadata = self.metadata.clone();
        if let Some(device) = &self.device {
            metadata.insert(DEVICE_METADATA_KEY.to_owned(), device.as_str().to_owned());
        }
        ResourceFields {
            identity: [site, kind[0], kind[1], kind[2], id].map(str::to_owned),
            endpoint: endpoint.to_owned(),
            metadata,
            created: UnixSeconds::default(),
            plugin: plugin.to_owned(),
        }
    }
}

/// Refuses what the model's rules refuse of any resource, at the place where it is written.
pub(crate) fn check_resource(resource: &StaticResource, span: Span, reading: &mut Reading<'_>) {
    // Site and creator are judged where they are written.
    if let Err(error) = Resource::new(resource.resource_fields("plugin", "site")) {
        let text = error.to_string();
        let (reason, remedy) = text.split_once("; ").unwrap_or((&text, "change it"));
        reading.wrong(span, reason, remedy);
    }
}

impl EnrichmentConfig {
    /// The plugin's name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        match self {
            Self::Snmp(enrichment) => &enrichment.name,
        }
    }

    /// How often it runs per resource.
    #[must_use]
    pub const fn every(&self) -> Interval {
        match self {
            Self::Snmp(enrichment) => enrichment.every,
        }
    }

    /// Which resources; `None`: all.
    #[must_use]
    pub const fn filter(&self) -> Option<&Filter> {
        match self {
            Self::Snmp(enrichment) => enrichment.filter.as_ref(),
        }
    }
}

nested_section!(
    StaticResource,
    "[[discovery.resource]]",
    "a table with an endpoint"
);
