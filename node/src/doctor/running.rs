//! What a running node says of itself that a person should know.
//!
//! Does: read the answers of its socket: links, discoveries, disk, parked items, capacity, second
//! generations. Does not: ask (`cli::doctor`).
//! In: one object with `status`, `links` and `capacity`. Out: [`Finding`]s.

use serde_json::Value;

use super::Finding;

/// Less than so many seconds until the disk is full is told.
const FULL_SOON_S: u64 = 86_400;

pub(super) fn judge(answers: &Value) -> Vec<Finding> {
    let status = &answers["status"];
    let mut findings = Vec::new();
    findings.extend(items(&answers["links"]).filter_map(link));
    findings.extend(parked(status));
    findings.extend(discoveries(status));
    findings.extend(disk(status));
    findings.extend(capacity(&answers["capacity"]));
    findings.extend(items(&status["second_generations"]).map(|second| {
        let subject = format!("{}/{}", text(second, "site"), text(second, "node"));
        let reason = "it comes with a new data directory and is refused";
        let remedy = format!("if that is as it should be: {}", text(second, "hint"));
        Finding::failing("generation", &subject, reason, &remedy)
    }));
    if findings.is_empty() {
        let version = text(status, "version");
        findings.push(Finding::good(
            "node",
            "",
            format!("runs, version {version}"),
        ));
    }
    findings
}

/// A link that is to stand and does not, or one that refuses records.
fn link(link: &Value) -> Option<Finding> {
    let id = text(link, "id");
    let is_wanted = id.starts_with("up/") || id.starts_with("peer/");
    if link["is_up"] == true {
        let refused = link["refused"].as_object()?;
        let reason = refused.get("reason")?.as_str()?.to_owned();
        let detail = refused
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let reason = format!("records are refused above ({reason}): {detail}");
        return Some(Finding::failing(
            "link",
            &id,
            &reason,
            "do what the detail says",
        ));
    }
    let since_s = link["for_ms"].as_u64().unwrap_or_default() / 1_000;
    let error = match link["error"].as_str() {
        Some(error) => error.to_owned(),
        None => "not reached yet".to_owned(),
    };
    let reason = format!("down for {since_s} s: {error}");
    Some(match is_wanted {
        true => Finding::failing("link", &id, &reason, "see to the other end, or the line"),
        false => {
            let remedy = "see to that node; `ocelli mesh forget` it if it is gone for good";
            Finding::warning("link", &id, &reason, remedy)
        }
    })
}

fn parked(status: &Value) -> Vec<Finding> {
    let parked = status["parked"].as_object().into_iter().flatten();
    let finding = |(name, reason): (&String, &Value)| {
        let reason = reason.as_str().unwrap_or_default();
        Finding::failing("plugin", name, reason, "mend it and `ocelli reload`")
    };
    parked.map(finding).collect()
}

fn discoveries(status: &Value) -> Vec<Finding> {
    let troubled = status["discovery"].as_object().into_iter().flatten();
    let finding = |(name, trouble): (&String, &Value)| {
        let reason = format!("{}: {}", text(trouble, "state"), text(trouble, "reason"));
        let remedy = format!("`ocelli discovery diff {name}`, then approve it or mend its source");
        Finding::warning("discovery", name, &reason, &remedy)
    };
    troubled.map(finding).collect()
}

fn disk(status: &Value) -> Option<Finding> {
    let bus = &status["bus"];
    match bus["disk"].as_str() {
        Some("ok") | None => None,
        Some("low") => {
            let remedy = "free space, or lower bus.bytes_max";
            Some(Finding::warning("disk", "", "space is low", remedy))
        }
        Some(state) => {
            let reason = format!("the disk is {state}: slots become gaps");
            Some(Finding::failing(
                "disk",
                "",
                &reason,
                "free space, or replace it",
            ))
        }
    }
}

fn capacity(capacity: &Value) -> Option<Finding> {
    let full_in_s = capacity["full_in_s"].as_u64()?;
    (full_in_s < FULL_SOON_S).then(|| {
        let reason = format!("the disk is full in {} min at this rate", full_in_s / 60);
        Finding::warning(
            "capacity",
            "",
            &reason,
            "see `ocelli capacity`; give it more space",
        )
    })
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
