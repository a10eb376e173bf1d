//! Dimensions of a group.
//!
//! Does: compile their values, resolve maps, put key dimensions first. Does not: read rows.
//! In: the group as written and the named maps. Out: plans and the schema's definitions, parallel.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::scope::GroupScope;
use crate::profile::diagnostic::Code;
use crate::profile::native::{Located, NativeDimension, NativeGroup, NativeMap, NativeValue};
use crate::profile::plan::{DimensionPlan, DimensionValue, ValueMap};
use crate::profile::program::Input;
use crate::profile::reader::Reader;
use crate::schema::DimensionDef;
use crate::suggest::{did_you_mean, nearest};

type Maps = BTreeMap<String, Arc<ValueMap>>;

pub(super) fn dimensions(
    reader: &mut Reader,
    scope: &mut GroupScope<'_>,
    group: &NativeGroup,
    maps: &Maps,
) -> (Vec<DimensionPlan>, Vec<DimensionDef>) {
    let mut ordered: Vec<&NativeDimension> = group.dimensions.iter().collect();
    ordered.sort_by_key(|dimension| !dimension.is_key);
    check_identity(reader, group);
    let mut plans = Vec::with_capacity(ordered.len());
    let mut defs = Vec::with_capacity(ordered.len());
    for dimension in ordered {
        let Some(value) = lower_value(reader, scope, dimension) else {
            continue;
        };
        plans.push(DimensionPlan {
            value,
            map: dimension
                .map
                .as_ref()
                .and_then(|map| lower_map(reader, map, maps)),
            is_ascii: dimension.is_ascii,
        });
        defs.push(DimensionDef {
            name: dimension.name.value.clone(),
            is_key: dimension.is_key,
        });
    }
    (plans, defs)
}

/// At most one dimension tells rows apart, and it must be a key.
fn check_identity(reader: &mut Reader, group: &NativeGroup) {
    let is_identity =
        |dimension: &&NativeDimension| matches!(dimension.value, NativeValue::Identity(_));
    for (at, dimension) in group.dimensions.iter().filter(is_identity).enumerate() {
        if at > 0 || !dimension.is_key {
            let message = "one dimension may have `identity`, and it must have `key: true`";
            reader.fault(
                Code::Sort,
                dimension.name.place,
                &dimension.name.path,
                message,
            );
        }
    }
}

fn lower_value(
    reader: &mut Reader,
    scope: &mut GroupScope<'_>,
    dimension: &NativeDimension,
) -> Option<DimensionValue> {
    match &dimension.value {
        NativeValue::Expression(expression) => scope
            .compile(reader, expression)
            .map(DimensionValue::Program),
        NativeValue::Identity(names) => {
            let inputs: Vec<Input> = names
                .iter()
                .filter_map(|name| column_input(reader, scope, name))
                .collect();
            if names.is_empty() {
                let name = &dimension.name;
                reader.fault(
                    Code::Missing,
                    name.place,
                    &name.path,
                    "`identity` names no column",
                );
            }
            (inputs.len() == names.len()).then_some(DimensionValue::Identity(inputs))
        }
    }
}

fn column_input(
    reader: &mut Reader,
    scope: &GroupScope<'_>,
    name: &Located<String>,
) -> Option<Input> {
    match scope.input(&name.value) {
        Some(column @ Input::Column(_)) => Some(column),
        _ => {
            let message = format!("{:?} is no column", name.value);
            reader.fault(Code::UnknownName, name.place, &name.path, message);
            None
        }
    }
}

fn lower_map(reader: &mut Reader, map: &Located<NativeMap>, maps: &Maps) -> Option<Arc<ValueMap>> {
    match &map.value {
        NativeMap::Written(map) => Some(Arc::new(map.clone())),
        NativeMap::Named(name) => {
            let found = maps.get(name).cloned();
            if found.is_none() {
                let tail = did_you_mean(nearest(name, maps.keys().map(String::as_str)));
                let message = format!("there is no value map {name:?}{tail}");
                reader.fault(Code::UnknownMap, map.place, &map.path, message);
            }
            found
        }
    }
}
