//! Table of contents of `ocelli-snmp`.
