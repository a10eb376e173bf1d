//! What applies to one resource in the end, and where each value is from.
//!
//! Does: lay device overrides over the defaults, key by key, the later one winning; list the
//! plugins that match with their interval. Does not: know the resource: the caller says what
//! matches.
//! In: a [`Config`] and a question about filters. Out: [`DeviceSettings`], [`EffectiveValue`]s.

use std::net::IpAddr;
use std::time::Duration;

use ocelli_model::filter::Filter;

use crate::config::Config;
use crate::load::Loaded;
use crate::section::{Section, Setting};
use crate::sections::polling::PollingConfig;
use crate::sections::snmp::{DeviceConfig, SnmpConfig};
use crate::source::Place;

/// How one device is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSettings {
    /// `[snmp]` with the overrides of the device laid over it.
    pub snmp: SnmpConfig,
    /// Whether an override sets the time-out: it then stands above the plugin's own.
    pub is_timeout_overridden: bool,
    /// Whether an override sets the port: it then stands above the plugin's own.
    pub is_port_overridden: bool,
    /// Interval in place of the plugins' own.
    pub every: Option<Duration>,
}

impl DeviceSettings {
    /// Local address that requests leave from.
    #[must_use]
    pub const fn source(&self) -> Option<IpAddr> {
        self.snmp.source
    }

    /// The length of a slot of `polling` on this device.
    #[must_use]
    pub fn every_of(&self, polling: &PollingConfig) -> Duration {
        self.every.unwrap_or_else(|| polling.every().get())
    }
}

/// One value that applies to a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveValue {
    /// Path of the key, such as `snmp.timeout` or `polling "interfaces" every`.
    pub key: String,
    /// The value as TOML, secrets redacted.
    pub value: String,
    /// Where it is set; `None`: the default.
    pub place: Option<Place>,
}

/// How a device is asked for which `is_match` says which filters fit.
#[must_use]
pub fn device_settings(config: &Config, is_match: impl Fn(&Filter) -> bool) -> DeviceSettings {
    let mut settings = DeviceSettings {
        snmp: config.snmp.clone(),
        is_timeout_overridden: false,
        is_port_overridden: false,
        every: None,
    };
    for device in config
        .devices
        .iter()
        .filter(|device| is_match(&device.filter))
    {
        lay_over(&mut settings, device);
    }
    settings
}

fn lay_over(settings: &mut DeviceSettings, device: &DeviceConfig) {
    let snmp = &mut settings.snmp;
    snmp.timeout = device.timeout.unwrap_or(snmp.timeout);
    snmp.retries = device.retries.unwrap_or(snmp.retries);
    snmp.port = device.port.unwrap_or(snmp.port);
    snmp.max_repetitions = device.max_repetitions.unwrap_or(snmp.max_repetitions);
    snmp.in_flight = device.in_flight.unwrap_or(snmp.in_flight);
    snmp.packets_per_second = device.packets_per_second.unwrap_or(snmp.packets_per_second);
    snmp.source = device.source.or(snmp.source);
    settings.is_timeout_overridden |= device.timeout.is_some();
    settings.is_port_overridden |= device.port.is_some();
    settings.every = device.every.map(|every| every.get()).or(settings.every);
}

/// Every value that applies to the resource, with the place that decided: SNMP settings, plugins
/// that match, the first credential that fits.
#[must_use]
pub fn effective(loaded: &Loaded, is_match: impl Fn(&Filter) -> bool) -> Vec<EffectiveValue> {
    let config = &loaded.config;
    let is_wanted = |filter: Option<&Filter>| filter.is_none_or(&is_match);
    let mut values = snmp_values(loaded, &is_match);
    let settings = device_settings(config, &is_match);
    for (index, polling) in config.pollings.iter().enumerate() {
        let is_own_node = matches!(polling, PollingConfig::Host(host) if host.filter.is_none());
        if is_own_node || !is_wanted(polling.filter()) {
            continue;
        }
        let title = format!("polling {:?}", polling.name().as_str());
        let path = format!("polling[{index}]");
        push_item(
            &mut values,
            loaded,
            (&title, &path),
            crate::show::polling(polling),
        );
        if let (Some(every), Some(last)) = (settings.every, last_every(loaded, &is_match)) {
            let key = format!("{title} every");
            if let Some(value) = values.iter_mut().find(|value| value.key == key) {
                value.value = crate::value::quoted(&ocelli_model::units::format_duration(every));
                value.place = Some(last);
            }
        }
    }
    for (index, enrichment) in config.enrichments.iter().enumerate() {
        if is_wanted(enrichment.filter()) {
            let title = format!("enrichment {:?}", enrichment.name().as_str());
            let path = format!("enrichment[{index}]");
            push_item(
                &mut values,
                loaded,
                (&title, &path),
                crate::show::enrichment(enrichment),
            );
        }
    }
    let mut credentials = config.snmp_credentials.iter().enumerate();
    if let Some((index, credential)) =
        credentials.find(|(_, credential)| is_wanted(credential.filter()))
    {
        let path = format!("credentials.snmp[{index}]");
        let names = ("credential", path.as_str());
        push_item(
            &mut values,
            loaded,
            names,
            crate::show::credential(credential),
        );
    }
    values
}

fn push_item(
    values: &mut Vec<EffectiveValue>,
    loaded: &Loaded,
    (title, path): (&str, &str),
    item: crate::show::Values,
) {
    values.extend(item.into_iter().map(|(key, value)| EffectiveValue {
        key: format!("{title} {key}"),
        value,
        place: loaded.place_of(&format!("{path}.{key}")).cloned(),
    }));
}

fn snmp_values(loaded: &Loaded, is_match: impl Fn(&Filter) -> bool) -> Vec<EffectiveValue> {
    let value_of = |(key, value): (&'static str, String)| EffectiveValue {
        key: format!("snmp.{key}"),
        value,
        place: loaded.place_of(&format!("snmp.{key}")).cloned(),
    };
    let mut values: Vec<EffectiveValue> = loaded
        .config
        .snmp
        .values()
        .into_iter()
        .map(value_of)
        .collect();
    for (index, device) in loaded.config.devices.iter().enumerate() {
        if !is_match(&device.filter) {
            continue;
        }
        let set = device
            .values()
            .into_iter()
            .filter(|(key, _)| !["filter", "every"].contains(key));
        for (key, value) in set {
            let place = loaded.place_of(&format!("device[{index}].{key}")).cloned();
            let path = format!("snmp.{key}");
            values.retain(|value| value.key != path);
            values.push(EffectiveValue {
                key: path,
                value,
                place,
            });
        }
    }
    values
}

/// Where the override of the interval stands.
fn last_every(loaded: &Loaded, is_match: impl Fn(&Filter) -> bool) -> Option<Place> {
    let devices = loaded.config.devices.iter().enumerate().rev();
    let mut setting = devices
        .filter(|(_, device)| Setting::show(&device.every).is_some() && is_match(&device.filter));
    let (index, _) = setting.next()?;
    loaded.place_of(&format!("device[{index}].every")).cloned()
}
