//! One caller, and whether a route is theirs.
//!
//! Does: hold role, filter and shares of a caller; compare the role with a route's row.
//! Does not: find out who it is (`list`). In: a caller and a row. Out: yes, or a refusal.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpMessage as _, HttpRequest};
use ocelli_config::sections::http::Role;
use ocelli_model::filter::Filter;

use super::quota::{Pace, Slot, Slots};
use crate::http::ApiError;

/// What a route demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Rule {
    /// Nothing: probes of balancers, and the description of the API.
    Open,
    /// Reading of what the caller's filter passes.
    Resources,
    /// Reading of what is no resource's: not there for callers with a filter.
    Node,
    /// A change of what runs.
    Operate,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(in crate::http) struct Caller {
    /// As in `[[http.access]]`; empty for nobody in particular.
    pub(in crate::http) name: Arc<str>,
    /// `None`: may not even read.
    pub(in crate::http) role: Option<Role>,
    /// What it sees; `None`: all.
    pub(in crate::http) filter: Option<Filter>,
    pub(super) subscriptions: Vec<Slots>,
    /// What the node's memory has room for.
    pub(super) memory: Slots,
    pub(super) pace: Option<Arc<Pace>>,
}

impl Caller {
    /// Nobody in particular, with this role.
    pub(super) fn anonymous(role: Option<Role>, (all, memory): (Slots, Slots)) -> Self {
        Self {
            name: Arc::from(""),
            role,
            filter: None,
            subscriptions: vec![all],
            memory,
            pace: None,
        }
    }

    /// The caller of a request, as `guard` found it; `None` only where no guard stands.
    pub(in crate::http) fn of(request: &HttpRequest) -> Option<Arc<Self>> {
        request.extensions().get::<Arc<Self>>().cloned()
    }

    /// The filter of the caller of a request.
    pub(in crate::http) fn filter_of(request: &HttpRequest) -> Option<Filter> {
        Self::of(request).and_then(|caller| caller.filter.clone())
    }

    /// How fast the caller's streams may be sent.
    pub(in crate::http) fn pace(&self) -> Option<Arc<Pace>> {
        self.pace.clone()
    }

    /// A place for one more subscription, held until it is dropped.
    ///
    /// # Errors
    /// 429 if the caller, or all together, hold as many as they may; 503 if the node has no memory
    /// for one more.
    pub(in crate::http) fn subscribe(&self) -> Result<Vec<Slot>, ApiError> {
        let taken = self.subscriptions.iter().map(Slots::take);
        let taken: Option<Vec<Slot>> = taken.collect();
        let mut places = taken.ok_or_else(|| {
            let message = "as many subscriptions are open as there may be";
            let hint = "end one, or raise subscriptions_max in [http] or [[http.access]]";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many", (message, hint))
        })?;
        places.push(self.memory.take().ok_or_else(|| {
            let message = "as many subscriptions are open as this node has memory for";
            let hint = "end one, ask another node of the mesh, or raise node.memory_max";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            ApiError::new(status, "memory_share", (message, hint))
        })?);
        Ok(places)
    }
}

/// Both filters at once.
pub(in crate::http) fn both(one: Option<Filter>, other: Option<Filter>) -> Option<Filter> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.and(other)),
        (one, other) => one.or(other),
    }
}

/// Whether `caller` may use a route with this row; `None`: it may.
pub(in crate::http) fn verdict(caller: &Caller, rule: Rule) -> Option<ApiError> {
    let wanted = match rule {
        Rule::Open => return None,
        Rule::Resources | Rule::Node => Role::Read,
        Rule::Operate => Role::Operate,
    };
    let Some(role) = caller.role else {
        let error = (
            "this node wants to know who asks",
            "send Authorization: Bearer TOKEN",
        );
        return Some(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            error,
        ));
    };
    if rule != Rule::Resources && caller.filter.is_some() {
        // As if it were not there: what lies outside a filter is not even confirmed.
        return Some(ApiError::not_found("no such route", "see /v1/openapi.json"));
    }
    if role < wanted {
        let message = format!("this needs the role {:?}", wanted.as_str());
        let hint = "use the ocelli command on the node itself, or another token";
        return Some(ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            (&message, hint),
        ));
    }
    None
}
