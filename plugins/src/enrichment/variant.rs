//! What vendors put into the names of interfaces: parents and port speeds.
//!
//! Does: tell the vendor, read a parent's name and a port's speed off a name.
//! Does not: look the parent up. In: sysObjectID, resource type, names. Out: names and bit/s.

/// Whose naming rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Generic,
    Cisco,
    Juniper,
    Arista,
}

const GIGABIT: u64 = 1_000_000_000;

impl Variant {
    /// By the enterprise number of sysObjectID; where the device gives none, by the resource's
    /// type as discovery has it.
    pub(super) fn of(sys_object_id: Option<&str>, resource_type: &str) -> Self {
        let enterprise = sys_object_id.and_then(|oid| oid.strip_prefix("1.3.6.1.4.1."));
        let number = enterprise.map(|rest| rest.split('.').next().unwrap_or(rest));
        match number {
            Some("9") => Self::Cisco,
            Some("2636") => Self::Juniper,
            Some("30065") => Self::Arista,
            Some(_) => Self::Generic,
            None => match resource_type.to_ascii_lowercase().as_str() {
                "cisco" => Self::Cisco,
                "juniper" => Self::Juniper,
                "arista" => Self::Arista,
                _ => Self::Generic,
            },
        }
    }

    /// The name of the interface that `name` is a part of.
    pub(super) fn parent_of(self, name: &str) -> Option<&str> {
        let before = |mark: char| name.split_once(mark).map(|(before, _)| before);
        let parent = match self {
            Self::Generic => None,
            Self::Cisco => before('.'),
            Self::Juniper => before('.').or_else(|| before(':')),
            Self::Arista => before('/'),
        };
        parent.filter(|parent| !parent.is_empty())
    }

    /// The speed of the port that `name` says, bit/s.
    pub(super) fn port_speed_of(self, name: &str, model: &str) -> Option<u64> {
        let has_100g_ports = matches!(model, "QFX5200" | "QFX10000");
        let et = if has_100g_ports {
            100 * GIGABIT
        } else {
            40 * GIGABIT
        };
        let rules: &[(&str, u64)] = match self {
            Self::Cisco => &[("Gi", GIGABIT), ("Te", 10 * GIGABIT)],
            Self::Juniper => &[
                ("xle", 40 * GIGABIT),
                ("fte", 40 * GIGABIT),
                ("ge", GIGABIT),
                ("xe", 10 * GIGABIT),
                ("et", et),
            ],
            Self::Generic | Self::Arista => &[],
        };
        let rule = rules.iter().find(|(prefix, _)| name.starts_with(prefix));
        rule.map(|(_, speed)| *speed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_parents_and_speeds_by_vendor() {
        use Variant::{Arista, Cisco, Generic, Juniper};
        let check = |variant: Variant, name: &str, parent: Option<&str>, gigabits: Option<u64>| {
            assert_eq!(variant.parent_of(name), parent, "{variant:?} {name}");
            let speed = variant.port_speed_of(name, "MX480");
            assert_eq!(
                speed,
                gigabits.map(|gigabits| gigabits * GIGABIT),
                "{variant:?} {name}"
            );
        };
        check(Generic, "Gi1/0.5", None, None);
        check(Cisco, "Gi1/0.5", Some("Gi1/0"), Some(1));
        check(Cisco, "Te 1/52/3", None, Some(10));
        check(Juniper, "xe-0/0/1:2.100", Some("xe-0/0/1:2"), Some(10));
        check(Juniper, "xe-0/0/1:2", Some("xe-0/0/1"), Some(10));
        check(Juniper, "xle-0/0/1", None, Some(40));
        check(Juniper, "fte-0/1/1", None, Some(40));
        check(Juniper, "et-0/0/1", None, Some(40));
        check(Juniper, "ge-1/0/0.0", Some("ge-1/0/0"), Some(1));
        check(Juniper, ".0", None, None);
        check(Arista, "Ethernet1/2", Some("Ethernet1"), None);
        assert_eq!(
            Juniper.port_speed_of("et-0/0/1", "QFX5200"),
            Some(100 * GIGABIT)
        );
    }

    #[test]
    fn the_device_goes_before_the_inventory() {
        assert_eq!(
            Variant::of(Some("1.3.6.1.4.1.9.1.5"), "juniper"),
            Variant::Cisco
        );
        assert_eq!(
            Variant::of(Some("1.3.6.1.4.1.30065.1"), ""),
            Variant::Arista
        );
        assert_eq!(
            Variant::of(Some("1.3.6.1.4.1.8072.3.2.10"), "cisco"),
            Variant::Generic
        );
        assert_eq!(Variant::of(None, "Juniper"), Variant::Juniper);
    }
}
