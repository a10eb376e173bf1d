//! Names of object identifiers that people meet daily, compiled in: no MIB files are needed.
//!
//! Does: read `sysUpTime.0`, `IF-MIB::ifDescr.1`, `iso.3.6.1`, `.1.3.6.1`; find the nearest name of
//! an OID. Does not: know types, enumerations or display hints.
//! In: text or an [`Oid`]. Out: the other.
//! Invariant: no name stands twice in [`NAMES`].

use ocelli_model::oid::{Oid, OidError};
use ocelli_model::suggest::nearest;

/// A named OID.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    arcs: &'static [u32],
}

/// Why a text names no OID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("unknown name {name:?}{}; write the OID in numbers", hint(.suggestion))]
    Unknown {
        name: String,
        suggestion: Option<String>,
    },
    #[error("{0}")]
    Number(#[from] OidError),
}

fn hint(suggestion: &Option<String>) -> String {
    ocelli_model::suggest::did_you_mean(suggestion.as_deref())
}

/// Module, name, arcs.
macro_rules! names {
    ($( $module:literal $name:literal [$($arc:literal)+] ),+ $(,)?) => {
        &[$( Known { module: $module, name: $name, arcs: &[$($arc),+] } ),+]
    };
}

#[rustfmt::skip]
const NAMES: &[Known] = names![
    "SNMPv2-SMI" "iso" [1],
    "SNMPv2-SMI" "org" [1 3],
    "SNMPv2-SMI" "dod" [1 3 6],
    "SNMPv2-SMI" "internet" [1 3 6 1],
    "SNMPv2-SMI" "mgmt" [1 3 6 1 2],
    "SNMPv2-SMI" "mib-2" [1 3 6 1 2 1],
    "SNMPv2-MIB" "system" [1 3 6 1 2 1 1],
    "SNMPv2-MIB" "sysDescr" [1 3 6 1 2 1 1 1],
    "SNMPv2-MIB" "sysObjectID" [1 3 6 1 2 1 1 2],
    "DISMAN-EVENT-MIB" "sysUpTimeInstance" [1 3 6 1 2 1 1 3 0],
    "SNMPv2-MIB" "sysUpTime" [1 3 6 1 2 1 1 3],
    "SNMPv2-MIB" "sysContact" [1 3 6 1 2 1 1 4],
    "SNMPv2-MIB" "sysName" [1 3 6 1 2 1 1 5],
    "SNMPv2-MIB" "sysLocation" [1 3 6 1 2 1 1 6],
    "SNMPv2-MIB" "sysServices" [1 3 6 1 2 1 1 7],
    "SNMPv2-MIB" "sysORLastChange" [1 3 6 1 2 1 1 8],
    "SNMPv2-MIB" "sysORTable" [1 3 6 1 2 1 1 9],
    "IF-MIB" "interfaces" [1 3 6 1 2 1 2],
    "IF-MIB" "ifNumber" [1 3 6 1 2 1 2 1],
    "IF-MIB" "ifTable" [1 3 6 1 2 1 2 2],
    "IF-MIB" "ifEntry" [1 3 6 1 2 1 2 2 1],
    "IF-MIB" "ifIndex" [1 3 6 1 2 1 2 2 1 1],
    "IF-MIB" "ifDescr" [1 3 6 1 2 1 2 2 1 2],
    "IF-MIB" "ifType" [1 3 6 1 2 1 2 2 1 3],
    "IF-MIB" "ifMtu" [1 3 6 1 2 1 2 2 1 4],
    "IF-MIB" "ifSpeed" [1 3 6 1 2 1 2 2 1 5],
    "IF-MIB" "ifPhysAddress" [1 3 6 1 2 1 2 2 1 6],
    "IF-MIB" "ifAdminStatus" [1 3 6 1 2 1 2 2 1 7],
    "IF-MIB" "ifOperStatus" [1 3 6 1 2 1 2 2 1 8],
    "IF-MIB" "ifLastChange" [1 3 6 1 2 1 2 2 1 9],
    "IF-MIB" "ifInOctets" [1 3 6 1 2 1 2 2 1 10],
    "IF-MIB" "ifInUcastPkts" [1 3 6 1 2 1 2 2 1 11],
    "IF-MIB" "ifInNUcastPkts" [1 3 6 1 2 1 2 2 1 12],
    "IF-MIB" "ifInDiscards" [1 3 6 1 2 1 2 2 1 13],
    "IF-MIB" "ifInErrors" [1 3 6 1 2 1 2 2 1 14],
    "IF-MIB" "ifInUnknownProtos" [1 3 6 1 2 1 2 2 1 15],
    "IF-MIB" "ifOutOctets" [1 3 6 1 2 1 2 2 1 16],
    "IF-MIB" "ifOutUcastPkts" [1 3 6 1 2 1 2 2 1 17],
    "IF-MIB" "ifOutNUcastPkts" [1 3 6 1 2 1 2 2 1 18],
    "IF-MIB" "ifOutDiscards" [1 3 6 1 2 1 2 2 1 19],
    "IF-MIB" "ifOutErrors" [1 3 6 1 2 1 2 2 1 20],
    "IF-MIB" "ifOutQLen" [1 3 6 1 2 1 2 2 1 21],
    "IF-MIB" "ifSpecific" [1 3 6 1 2 1 2 2 1 22],
    "IP-MIB" "ip" [1 3 6 1 2 1 4],
    "IP-MIB" "icmp" [1 3 6 1 2 1 5],
    "TCP-MIB" "tcp" [1 3 6 1 2 1 6],
    "UDP-MIB" "udp" [1 3 6 1 2 1 7],
    "SNMPv2-SMI" "transmission" [1 3 6 1 2 1 10],
    "SNMPv2-MIB" "snmp" [1 3 6 1 2 1 11],
    "BGP4-MIB" "bgp" [1 3 6 1 2 1 15],
    "BRIDGE-MIB" "dot1dBridge" [1 3 6 1 2 1 17],
    "HOST-RESOURCES-MIB" "host" [1 3 6 1 2 1 25],
    "HOST-RESOURCES-MIB" "hrSystem" [1 3 6 1 2 1 25 1],
    "HOST-RESOURCES-MIB" "hrSystemUptime" [1 3 6 1 2 1 25 1 1],
    "HOST-RESOURCES-MIB" "hrSystemProcesses" [1 3 6 1 2 1 25 1 6],
    "HOST-RESOURCES-MIB" "hrStorage" [1 3 6 1 2 1 25 2],
    "HOST-RESOURCES-MIB" "hrMemorySize" [1 3 6 1 2 1 25 2 2],
    "HOST-RESOURCES-MIB" "hrStorageTable" [1 3 6 1 2 1 25 2 3],
    "HOST-RESOURCES-MIB" "hrStorageEntry" [1 3 6 1 2 1 25 2 3 1],
    "HOST-RESOURCES-MIB" "hrStorageDescr" [1 3 6 1 2 1 25 2 3 1 3],
    "HOST-RESOURCES-MIB" "hrStorageAllocationUnits" [1 3 6 1 2 1 25 2 3 1 4],
    "HOST-RESOURCES-MIB" "hrStorageSize" [1 3 6 1 2 1 25 2 3 1 5],
    "HOST-RESOURCES-MIB" "hrStorageUsed" [1 3 6 1 2 1 25 2 3 1 6],
    "HOST-RESOURCES-MIB" "hrDevice" [1 3 6 1 2 1 25 3],
    "HOST-RESOURCES-MIB" "hrProcessorTable" [1 3 6 1 2 1 25 3 3],
    "HOST-RESOURCES-MIB" "hrProcessorEntry" [1 3 6 1 2 1 25 3 3 1],
    "HOST-RESOURCES-MIB" "hrProcessorLoad" [1 3 6 1 2 1 25 3 3 1 2],
    "IF-MIB" "ifMIB" [1 3 6 1 2 1 31],
    "IF-MIB" "ifMIBObjects" [1 3 6 1 2 1 31 1],
    "IF-MIB" "ifXTable" [1 3 6 1 2 1 31 1 1],
    "IF-MIB" "ifXEntry" [1 3 6 1 2 1 31 1 1 1],
    "IF-MIB" "ifName" [1 3 6 1 2 1 31 1 1 1 1],
    "IF-MIB" "ifInMulticastPkts" [1 3 6 1 2 1 31 1 1 1 2],
    "IF-MIB" "ifInBroadcastPkts" [1 3 6 1 2 1 31 1 1 1 3],
    "IF-MIB" "ifOutMulticastPkts" [1 3 6 1 2 1 31 1 1 1 4],
    "IF-MIB" "ifOutBroadcastPkts" [1 3 6 1 2 1 31 1 1 1 5],
    "IF-MIB" "ifHCInOctets" [1 3 6 1 2 1 31 1 1 1 6],
    "IF-MIB" "ifHCInUcastPkts" [1 3 6 1 2 1 31 1 1 1 7],
    "IF-MIB" "ifHCInMulticastPkts" [1 3 6 1 2 1 31 1 1 1 8],
    "IF-MIB" "ifHCInBroadcastPkts" [1 3 6 1 2 1 31 1 1 1 9],
    "IF-MIB" "ifHCOutOctets" [1 3 6 1 2 1 31 1 1 1 10],
    "IF-MIB" "ifHCOutUcastPkts" [1 3 6 1 2 1 31 1 1 1 11],
    "IF-MIB" "ifHCOutMulticastPkts" [1 3 6 1 2 1 31 1 1 1 12],
    "IF-MIB" "ifHCOutBroadcastPkts" [1 3 6 1 2 1 31 1 1 1 13],
    "IF-MIB" "ifLinkUpDownTrapEnable" [1 3 6 1 2 1 31 1 1 1 14],
    "IF-MIB" "ifHighSpeed" [1 3 6 1 2 1 31 1 1 1 15],
    "IF-MIB" "ifPromiscuousMode" [1 3 6 1 2 1 31 1 1 1 16],
    "IF-MIB" "ifConnectorPresent" [1 3 6 1 2 1 31 1 1 1 17],
    "IF-MIB" "ifAlias" [1 3 6 1 2 1 31 1 1 1 18],
    "IF-MIB" "ifCounterDiscontinuityTime" [1 3 6 1 2 1 31 1 1 1 19],
    "IF-MIB" "ifStackTable" [1 3 6 1 2 1 31 1 2],
    "IF-MIB" "ifTableLastChange" [1 3 6 1 2 1 31 1 5],
    "ENTITY-MIB" "entityMIB" [1 3 6 1 2 1 47],
    "ENTITY-MIB" "entityMIBObjects" [1 3 6 1 2 1 47 1],
    "ENTITY-MIB" "entityPhysical" [1 3 6 1 2 1 47 1 1],
    "ENTITY-MIB" "entPhysicalTable" [1 3 6 1 2 1 47 1 1 1],
    "ENTITY-MIB" "entPhysicalEntry" [1 3 6 1 2 1 47 1 1 1 1],
    "ENTITY-MIB" "entPhysicalDescr" [1 3 6 1 2 1 47 1 1 1 1 2],
    "ENTITY-MIB" "entPhysicalClass" [1 3 6 1 2 1 47 1 1 1 1 5],
    "ENTITY-MIB" "entPhysicalName" [1 3 6 1 2 1 47 1 1 1 1 7],
    "ENTITY-MIB" "entPhysicalSerialNum" [1 3 6 1 2 1 47 1 1 1 1 11],
    "ENTITY-MIB" "entPhysicalModelName" [1 3 6 1 2 1 47 1 1 1 1 13],
    "ENTITY-SENSOR-MIB" "entPhySensorTable" [1 3 6 1 2 1 99 1 1],
    "SNMPv2-SMI" "private" [1 3 6 1 4],
    "SNMPv2-SMI" "enterprises" [1 3 6 1 4 1],
    "CISCO-SMI" "cisco" [1 3 6 1 4 1 9],
    "UCD-SNMP-MIB" "ucdavis" [1 3 6 1 4 1 2021],
    "UCD-SNMP-MIB" "laTable" [1 3 6 1 4 1 2021 10],
    "UCD-SNMP-MIB" "laEntry" [1 3 6 1 4 1 2021 10 1],
    "UCD-SNMP-MIB" "laLoad" [1 3 6 1 4 1 2021 10 1 3],
    "JUNIPER-SMI" "juniperMIB" [1 3 6 1 4 1 2636],
    "NET-SNMP-MIB" "netSnmp" [1 3 6 1 4 1 8072],
    "ARISTA-SMI-MIB" "arista" [1 3 6 1 4 1 30065],
    "SNMPv2-SMI" "snmpV2" [1 3 6 1 6],
    "SNMPv2-SMI" "snmpModules" [1 3 6 1 6 3],
    "SNMP-FRAMEWORK-MIB" "snmpFrameworkMIB" [1 3 6 1 6 3 10],
    "SNMP-FRAMEWORK-MIB" "snmpFrameworkMIBObjects" [1 3 6 1 6 3 10 2],
    "SNMP-FRAMEWORK-MIB" "snmpEngine" [1 3 6 1 6 3 10 2 1],
    "SNMP-FRAMEWORK-MIB" "snmpEngineID" [1 3 6 1 6 3 10 2 1 1],
    "SNMP-FRAMEWORK-MIB" "snmpEngineBoots" [1 3 6 1 6 3 10 2 1 2],
    "SNMP-FRAMEWORK-MIB" "snmpEngineTime" [1 3 6 1 6 3 10 2 1 3],
];

/// Reads a name or a number.
pub(crate) fn parse(text: &str) -> Result<Oid, NameError> {
    let plain = text.strip_prefix('.').unwrap_or(text);
    if plain.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(text.parse()?);
    }
    let symbol = plain.split_once("::").map_or(plain, |(_, symbol)| symbol);
    let (name, rest) = symbol
        .split_once('.')
        .map_or((symbol, None), |(n, rest)| (n, Some(rest)));
    let known = NAMES
        .iter()
        .find(|known| known.name == name)
        .ok_or_else(|| {
            let near = nearest(name, NAMES.iter().map(|known| known.name));
            NameError::Unknown {
                name: name.to_owned(),
                suggestion: near.map(str::to_owned),
            }
        })?;
    let base = Oid::from_arcs(known.arcs)?;
    match rest {
        None => Ok(base),
        Some(rest) => Ok(base.child(rest.parse::<Oid>()?.arcs())?),
    }
}

/// The deepest name that `oid` begins with, and what follows it.
pub(crate) fn find(oid: &Oid) -> Option<(&'static Known, &[u32])> {
    let named = NAMES
        .iter()
        .filter_map(|known| Some((known, oid.arcs().strip_prefix(known.arcs)?)));
    named.min_by_key(|(_, rest)| rest.len())
}

/// The name of each arc from the root on, `.iso.org.dod.…`; the number of one that has none.
pub(crate) fn full(oid: &Oid) -> String {
    let arcs = oid.arcs();
    let mut text = String::new();
    for depth in 1..=arcs.len() {
        let named = NAMES.iter().find(|known| known.arcs == &arcs[..depth]);
        let number = || arcs[depth - 1].to_string();
        text.push('.');
        text.push_str(&named.map_or_else(number, |known| known.name.to_owned()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read() {
        let check = |text: &str, expected: &str| {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        };
        check("sysUpTime.0", "1.3.6.1.2.1.1.3.0");
        check("IF-MIB::ifDescr.7", "1.3.6.1.2.1.2.2.1.2.7");
        check(".1.3.6.1", "1.3.6.1");
        check("1.3", "1.3");
        check("iso.3.6.1", "1.3.6.1");
        check("enterprises.9.1", "1.3.6.1.4.1.9.1");
        let error = |text: &str| parse(text).unwrap_err().to_string();
        assert!(
            error("sysNam.0").contains("did you mean sysName?"),
            "{}",
            error("sysNam.0")
        );
        assert!(error("ifDescr.x").contains('x') && error("1..3").contains("1..3"));
    }

    #[test]
    fn the_deepest_name_is_found_and_each_name_is_its_own() {
        let found = |text: &str| {
            let oid = text.parse().unwrap();
            let (known, rest) = find(&oid).unwrap();
            (known.name, rest.to_vec())
        };
        assert_eq!(found("1.3.6.1.2.1.2.2.1.2.7"), ("ifDescr", vec![7]));
        assert_eq!(found("1.3.6.1.4.1.9.2"), ("cisco", vec![2]));
        assert!(find(&"2.1".parse().unwrap()).is_none());
        for known in NAMES {
            assert_eq!(
                parse(known.name).unwrap().arcs(),
                known.arcs,
                "{} is there twice",
                known.name
            );
        }
    }
}
