//! A node among others: its certificate, its links and their lag, how origins stand.
//!
//! Does: turn what the view and the bus say into rows. Does not: compute lag (`assembly::lag`).
//! In: [`ApiState`], [`Lags`]. Out: rows, by link and by state: a node has as many links as its
//! endpoint lets in, and four states.

use std::collections::BTreeMap;

use ocelli_federation::identity::Validity;

use super::{OwnMetric, count};
use crate::http::ApiState;
use crate::http::links::{self, Lags};
use crate::http::standing::{standings, word_of};

/// All of them.
pub(super) fn rows(state: &ApiState, lags: &Lags) -> Vec<OwnMetric> {
    let mut rows = identity_rows(state);
    rows.extend(link_rows(state, lags));
    rows.extend(origin_rows(state, lags));
    rows
}

fn link_rows(state: &ApiState, lags: &Lags) -> Vec<OwnMetric> {
    let up = ("ocelli_link_up", "1 while the link stands.");
    let records = (
        "ocelli_link_lag_records",
        "Records held here that the neighbour has not acknowledged.",
    );
    let bytes = (
        "ocelli_link_lag_bytes",
        "Bytes held here that the neighbour has not acknowledged.",
    );
    let seconds = (
        "ocelli_link_lag_seconds",
        "Age of the oldest record held here that the neighbour has not acknowledged.",
    );
    let refused = (
        "ocelli_link_refused_records",
        "Records that the neighbour refused since the link stands, by reason.",
    );
    let mut rows = Vec::new();
    let links = state.view.links().map(|links| links.list());
    for view in links.unwrap_or_default() {
        let of_link = |row: OwnMetric| row.of("link", &view.id);
        rows.push(of_link(OwnMetric::gauge(
            up,
            f64::from(u8::from(view.is_up)),
        )));
        if let Some(lag) = links::lag_records(&view.cursor, state) {
            rows.push(of_link(OwnMetric::gauge(records, lag as f64)));
        }
        if let Some(lag) = lags.by_link.get(&view.id) {
            rows.push(of_link(OwnMetric::gauge(bytes, lag.bytes as f64)));
            rows.push(of_link(OwnMetric::gauge(seconds, lag.seconds)));
        }
        for refusal in view.refused(state.clock.wall()) {
            let row = of_link(OwnMetric::gauge(refused, refusal.records as f64));
            rows.push(row.of("reason", refusal.reason.name()));
        }
    }
    rows
}

fn origin_rows(state: &ApiState, lags: &Lags) -> Vec<OwnMetric> {
    let origins = (
        "ocelli_origins",
        "Origins whose data is held here, by how they stand.",
    );
    let seconds = (
        "ocelli_one_disk_seconds",
        "Seconds of own data that no other node has acknowledged.",
    );
    let mut states = BTreeMap::from(["live", "silent", "stale", "ended"].map(|state| (state, 0)));
    for one in standings(state) {
        *states.entry(word_of(&one)).or_default() += 1;
    }
    let rows = states.into_iter();
    let rows =
        rows.map(|(state, origin)| OwnMetric::gauge(origins, count(origin)).of("state", state));
    let one_disk = OwnMetric::gauge(seconds, lags.one_disk.seconds);
    rows.chain([one_disk]).collect()
}

/// Whether neighbours will go on to know this node, and whom it did not let in.
fn identity_rows(state: &ApiState) -> Vec<OwnMetric> {
    let expiry = (
        "ocelli_identity_expiry_seconds",
        "Time until the node's certificate ends; negative afterwards.",
    );
    let not_after = (
        "ocelli_certificate_not_after_seconds",
        "When the node's certificate ends, Unix time.",
    );
    let refused = (
        "ocelli_link_refused_peers",
        "Neighbours that were not let in, by reason.",
    );
    let mut rows = Vec::new();
    if let Some(own) = state.view.identity() {
        let seconds = Validity::expires_in_seconds(&own, state.clock.wall());
        rows.push(OwnMetric::gauge(expiry, seconds as f64));
        let ends = own.not_after_ms.div_euclid(1_000);
        rows.push(OwnMetric::gauge(not_after, ends as f64));
    }
    let refusals = state.view.refused_peers().into_iter();
    let refusals =
        refusals.map(|(reason, peers)| OwnMetric::counter(refused, peers).of("reason", reason));
    rows.extend(refusals);
    rows
}
