//! Lists: `{"items":[…],"next":null}` with `limit`, `after`, `filter`, `fields`.
//!
//! Does: cut a sorted list into pages, keep only the fields asked for. Does not: sort or read.
//! In: items with their keys, ascending. Out: JSON.
//! Limit: [`LIMIT_MAX`] items a page; more is refused with the number.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use ocelli_model::filter::{Filter, Vocabulary};
use ocelli_model::resource::Resource;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ApiError;
use super::access::{Caller, both};

/// Items a page unless asked otherwise.
const LIMIT_DEFAULT: usize = 500;
/// Most items a page.
const LIMIT_MAX: usize = 5_000;

/// What every list takes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Items a page.
    #[serde(default)]
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

/// A page of `items`, which must ascend by key.
///
/// # Errors
/// 400 for a limit out of range.
pub fn page(
    query: &ListQuery,
    items: impl Iterator<Item = (String, Value)>,
) -> Result<HttpResponse, ApiError> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if limit == 0 || limit > LIMIT_MAX {
        let message = format!("limit is {limit}; it must be 1 to {LIMIT_MAX}");
        return Err(ApiError::bad_request(&message, "read on with after=NEXT"));
    }
    let is_later = |key: &String| query.after.as_ref().is_none_or(|after| key > after);
    let mut rest = items.filter(|(key, _)| is_later(key));
    let mut shown: Vec<Value> = Vec::new();
    let mut last = None;
    for (key, item) in rest.by_ref().take(limit) {
        shown.push(keep_fields(item, query.fields.as_deref()));
        last = Some(key);
    }
    let next = rest.next().and(last);
    Ok(HttpResponse::Ok().json(json!({"items": shown, "next": next})))
}

fn keep_fields(item: Value, fields: Option<&str>) -> Value {
    match (item, fields) {
        (Value::Object(mut object), Some(fields)) => {
            let wanted: Vec<&str> = fields.split(',').map(str::trim).collect();
            object.retain(|name, _| wanted.contains(&name.as_str()));
            Value::Object(object)
        }
        (item, _) => item,
    }
}
