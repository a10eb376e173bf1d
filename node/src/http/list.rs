//! Lists: `{"items":[…],"next":null}` with `limit`, `after`, `filter`, `fields`.
//!
//! Does: order a list by the texts that `after` names, cut it into pages, keep only the fields
//! asked for. Does not: read. In: items with their keys, each once. Out: JSON.
//! Limit: [`LIMIT_MAX`] items a page; more is refused with the number.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use ocelli_model::filter::{Filter, Vocabulary};
use ocelli_model::resource::Resource;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::ApiError;
use super::access::{Caller, both};

/// Items a page unless asked otherwise.
const LIMIT_DEFAULT: usize = 500;
/// Most items a page.
const LIMIT_MAX: usize = 5_000;
const LIMIT_HINT: &str = "read on with after=NEXT";

/// What every list takes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Items a page.
    #[serde(default, deserialize_with = "limit")]
    pub limit: Option<usize>,
    /// The `next` of the page before.
    #[serde(default)]
    pub after: Option<String>,
    /// Resource filter.
    #[serde(default)]
    pub filter: Option<String>,
    /// Comma-separated fields to keep.
    #[serde(default)]
    pub fields: Option<String>,
}

impl ListQuery {
    /// The resource filter that was given, and the caller's.
    ///
    /// # Errors
    /// 400 with the place of the mistake.
    pub fn resource_filter(&self, request: &HttpRequest) -> Result<Option<Filter>, ApiError> {
        let parse = |text: &String| {
            let vocabulary: Arc<Vocabulary> = Vocabulary::resource();
            Filter::parse(text, &vocabulary).map_err(|error| {
                let hint = "for example: resource_class = \"network\"";
                ApiError::bad_request(&format!("filter: {error}"), hint)
            })
        };
        let given = self.filter.as_ref().map(parse).transpose()?;
        Ok(both(given, Caller::filter_of(request)))
    }

    /// Whether `resource` passes `filter`.
    #[must_use]
    pub fn passes(filter: Option<&Filter>, resource: &Resource) -> bool {
        filter.is_none_or(|filter| filter.matches(resource))
    }
}

/// A page of `items`.
///
/// # Errors
/// 400 for a limit out of range, and for a field that no item has.
pub fn page(
    query: &ListQuery,
    items: impl Iterator<Item = (String, Value)>,
) -> Result<HttpResponse, ApiError> {
    page_of(query, items, |item| item)
}

/// The same of a long list: `render` is called for the items of the page alone.
///
/// # Errors
/// As [`page`].
pub fn page_of<T>(
    query: &ListQuery,
    items: impl Iterator<Item = (String, T)>,
    render: impl Fn(T) -> Value,
) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(document(query, items, render)?))
}

/// The same as a document, for a list that says more than its items.
///
/// # Errors
/// As [`page`].
pub(super) fn document<T>(
    query: &ListQuery,
    items: impl Iterator<Item = (String, T)>,
    render: impl Fn(T) -> Value,
) -> Result<Value, ApiError> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if limit == 0 || limit > LIMIT_MAX {
        let message = format!("limit is {limit}; it must be 1 to {LIMIT_MAX}");
        return Err(ApiError::bad_request(&message, LIMIT_HINT));
    }
    let is_later = |key: &String| query.after.as_ref().is_none_or(|after| key > after);
    let mut rest: Vec<(String, T)> = items.filter(|(key, _)| is_later(key)).collect();
    // By the text that a page ends with: whoever gave the items may order their parts otherwise.
    rest.sort_by(|(a, _), (b, _)| a.cmp(b));
    let has_more = rest.len() > limit;
    rest.truncate(limit);
    let last = rest.last().map(|(key, _)| key.clone());
    let shown = rest.into_iter().map(|(_, item)| render(item)).collect();
    let shown = keep_fields(shown, query.fields.as_deref())?;
    let next = last.filter(|_| has_more);
    Ok(json!({"items": shown, "next": next}))
}

/// Every item of a list has the same fields, so one that no item has is a mistake.
fn keep_fields(items: Vec<Value>, fields: Option<&str>) -> Result<Vec<Value>, ApiError> {
    let Some(fields) = fields else {
        return Ok(items);
    };
    let wanted: Vec<&str> = fields.split(',').map(str::trim).collect();
    let objects = items.iter().filter_map(Value::as_object);
    let known: BTreeSet<&String> = objects.flat_map(|object| object.keys()).collect();
    let is_known = |name: &str| known.iter().any(|known| *known == name);
    let unknown = wanted.iter().find(|name| !is_known(name));
    if let Some(unknown) = unknown.filter(|_| !known.is_empty()) {
        let known: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
        let message = format!("fields has {unknown:?}, which no item has");
        let hint = format!("choose of {}", known.join(", "));
        return Err(ApiError::bad_request(&message, &hint));
    }
    let kept = items.into_iter().map(|item| match item {
        Value::Object(mut object) => {
            object.retain(|name, _| wanted.contains(&name.as_str()));
            Value::Object(object)
        }
        item => item,
    });
    Ok(kept.collect())
}

/// Reads the number itself, so that a mistake names the parameter.
fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = text
        .parse()
        .map_err(|_| D::Error::custom(format!("limit is {text:?}; it must be 1 to {LIMIT_MAX}")));
    number.map(Some)
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
