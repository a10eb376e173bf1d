//! The native dialect: strict YAML to a typed profile, with the place of each part.
//!
//! Does: check keys, names, object identifiers, durations and the syntax of expressions; report
//! all faults of a file at once. Does not: resolve names or lower (`lower`).
//! In: the untyped tree of `yaml`. Out: [`NativeProfile`], or every [`Diagnostic`] found.
//! Invariant: a file with a fault is refused as a whole: ours are strict, foreign ones are not.

use xxhash_rust::xxh3::xxh3_128;

use super::diagnostic::{Code, Diagnostic, Place};
use super::expression::Expression;
use super::plan::{Format, MissingPlan, ValueMap};
use super::reader::{Fields, Reader};
use super::yaml;
use crate::oid::Oid;

mod group;

/// The version that the first key `ocelli` names.
const FORMAT_VERSION: &str = "1";

/// Something with its place, for what is found out later.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
    pub(crate) path: String,
}

/// A native profile as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeProfile {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) groups: Vec<NativeGroup>,
    /// Hash of the text.
    pub(crate) revision: u128,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NativeGroup {
    pub(crate) name: Located<String>,
    pub(crate) interval_ms: u32,
    pub(crate) scalars: Vec<(Located<String>, Oid)>,
    pub(crate) index: Vec<Located<String>>,
    pub(crate) columns: Vec<NativeColumn>,
    pub(crate) lets: Vec<(Located<String>, Located<Expression>)>,
    pub(crate) rows: Option<Located<Expression>>,
    pub(crate) dimensions: Vec<NativeDimension>,
    pub(crate) counters: Vec<NativeMetric>,
    pub(crate) gauges: Vec<NativeMetric>,
    pub(crate) speed: Option<Located<Expression>>,
    pub(crate) discontinuity: Option<Located<Expression>>,
    pub(crate) missing: MissingPlan,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NativeColumn {
    pub(crate) name: Located<String>,
    pub(crate) oid: Oid,
    pub(crate) format: Format,
    /// What one unit occupies on the line, bits; 0 if speed says nothing about it.
    pub(crate) bits_per_unit: u32,
    pub(crate) when: Option<Located<Expression>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NativeDimension {
    pub(crate) name: Located<String>,
    pub(crate) is_key: bool,
    pub(crate) value: NativeValue,
    pub(crate) map: Option<Located<NativeMap>>,
    pub(crate) is_ascii: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NativeValue {
    Expression(Located<Expression>),
    Identity(Vec<Located<String>>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NativeMap {
    Named(String),
    Written(ValueMap),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NativeMetric {
    pub(crate) name: Located<String>,
    pub(crate) unit: String,
    pub(crate) expression: Located<Expression>,
}

impl NativeProfile {
    /// Reads a profile; `file` is what diagnostics call it.
    ///
    /// # Errors
    /// Everything found wrong, in the order of the file; nothing is kept.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let root = yaml::parse(text).map_err(|finding| vec![finding.in_file(file)])?;
        let mut reader = Reader::default();
        let profile = read_profile(&mut reader, &root, file);
        match profile {
            Some(mut profile) if reader.findings.is_empty() => {
                profile.revision = xxh3_128(text.as_bytes());
                Ok(profile)
            }
            _ => Err(reader.into_diagnostics(file)),
        }
    }

    /// The profile's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn read_profile(reader: &mut Reader, root: &yaml::Node, file: &str) -> Option<NativeProfile> {
    const KEYS: &[&str] = &["ocelli", "name", "description", "groups"];
    let fields = reader.fields(root, "", KEYS)?;
    check_version(reader, &fields);
    if let Some((node, path)) = fields.get("description") {
        reader.text(node, &path);
    }
    let name = reader.required(&fields, "name");
    let name = name.and_then(|(node, path)| reader.name(node, &path));
    let (groups, path) = reader.required(&fields, "groups")?;
    let groups = reader.list(groups, &path, |reader, node, path| {
        group::read_group(reader, node, path)
    })?;
    if groups.is_empty() {
        reader.fault(
            Code::Missing,
            root.place,
            "groups",
            "a profile needs at least one group",
        );
    }
    Some(NativeProfile {
        file: file.to_owned(),
        name: name?.value,
        groups,
        revision: 0,
    })
}

fn check_version(reader: &mut Reader, fields: &Fields<'_>) {
    let Some((node, path)) = reader.required(fields, "ocelli") else {
        return;
    };
    if let Some(version) = reader.text(node, &path)
        && version.value != FORMAT_VERSION
    {
        let message = format!(
            "version {:?} of the format is unknown; this program reads version {FORMAT_VERSION}",
            version.value
        );
        reader.fault(Code::Sort, version.place, &path, message);
    }
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
