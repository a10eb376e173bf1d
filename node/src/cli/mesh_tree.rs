//! `ocelli mesh status`: the mesh as one node sees it, top tier first.
//!
//! Does: ask the node, draw tiers, sites and nodes with age and loss, its links with lag and
//! versions, and what waits for a person. Does not: compute: the node does.
//! In: `/v1/status`, `/v1/nodes`, `/v1/links`. Out: lines for people; one object for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::Client;
use super::exit::Failure;
use super::lists::pages;
use super::output::{aligned, cell_text};

/// The node that was asked, everyone whose data it holds, and its links.
pub(super) async fn ask(client: &Client) -> Result<Value, Failure> {
    let node = client.get("/v1/status", &[]).await?;
    let (nodes, _) = pages(client, "/v1/nodes", &[], None).await?;
    let (links, _) = pages(client, "/v1/links", &[], None).await?;
    Ok(json!({ "node": node, "nodes": nodes, "links": links }))
}

/// All of it as lines.
pub(super) fn shown(document: &Value) -> String {
    let own = &document["node"];
    let version = cell_text(own, "version");
    let mut text = format!(
        "asked: {} ({} {}), version {version}\n",
        cell_text(own, "node"),
        cell_text(own, "tier"),
        cell_text(own, "site"),
    );
    text += &aligned(&node_rows(document), false);
    let links: Vec<Vec<String>> = items(&document["links"])
        .map(|link| link_row(link, &version))
        .collect();
    if !links.is_empty() {
        text += "links:\n";
        text += &aligned(&links, false);
    }
    for link in items(&document["links"]) {
        for refused in items(&link["refused"]) {
            text += &format!(
                "refused above: {} records over {} ({}): {}; {}\n",
                cell_text(refused, "records"),
                cell_text(link, "id"),
                cell_text(refused, "reason"),
                cell_text(refused, "detail"),
                cell_text(refused, "hint"),
            );
        }
    }
    for second in items(&own["second_generations"]) {
        text += &format!(
            "refused: {}/{} comes with a new data directory (generation {}, known is {}); if that \
             is as it should be: {}\n",
            cell_text(second, "site"),
            cell_text(second, "node"),
            cell_text(second, "generation"),
            cell_text(second, "known"),
            cell_text(second, "hint"),
        );
    }
    text
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Tiers from the top, each with its sites, each with its nodes.
fn node_rows(document: &Value) -> Vec<Vec<String>> {
    let mut tiers: BTreeMap<(u8, String), Vec<&Value>> = BTreeMap::new();
    for node in items(&document["nodes"]) {
        let tier = cell_text(node, "tier");
        let rank = match tier.as_str() {
            "global" => 0,
            "region" => 1,
            "site" => 2,
            _ => 3,
        };
        tiers.entry((rank, tier)).or_default().push(node);
    }
    let mut rows = Vec::new();
    for ((rank, tier), mut nodes) in tiers {
        nodes.sort_by_key(|node| (cell_text(node, "site"), cell_text(node, "node")));
        for node in nodes {
            let mark = if node["is_own"] == json!(true) {
                "*"
            } else {
                " "
            };
            let indent = "  ".repeat(usize::from(rank));
            let name = format!(
                "{indent}{mark} {tier} {}/{}",
                cell_text(node, "site"),
                cell_text(node, "node")
            );
            let missing = match node["missing"].as_u64() {
                Some(0) | None => String::new(),
                Some(missing) => format!("{missing} records missing"),
            };
            let state = match node["state"].as_str() {
                Some("live") | None => String::new(),
                Some(state) => match node["cause"].as_str() {
                    Some(cause) => format!("{state}: {cause}"),
                    None => state.to_owned(),
                },
            };
            rows.push(vec![name, newest(node), missing, state]);
        }
    }
    rows
}

fn newest(node: &Value) -> String {
    match node["age_ms"].as_f64() {
        Some(age_ms) => format!("newest {:.1} s ago", age_ms / 1_000.0),
        None => "no data".to_owned(),
    }
}

/// Name, state, lag, loss and version of a link.
fn link_row(link: &Value, own_version: &str) -> Vec<String> {
    let is_up = link["is_up"] == json!(true);
    let error = cell_text(link, "error");
    let state = match is_up {
        true => format!("up for {}", seconds(&link["for_ms"])),
        false if error.is_empty() => "not reached yet".to_owned(),
        false => format!("DOWN for {}: {error}", seconds(&link["for_ms"])),
    };
    let lag = match link["lag_records"].as_u64() {
        None => String::new(),
        Some(0) => "all is above".to_owned(),
        Some(1) => "1 record behind".to_owned(),
        Some(records) => format!("{records} records behind"),
    };
    let version = match link["build"].as_str() {
        None => String::new(),
        Some(build) if build == own_version => format!("version {build}"),
        Some(build) => format!("version {build} (not {own_version})"),
    };
    vec![
        format!("  {}", cell_text(link, "id")),
        state,
        lag,
        loss(link),
        version,
    ]
}

fn seconds(ms: &Value) -> String {
    format!("{:.0} s", ms.as_f64().unwrap_or_default() / 1_000.0)
}

/// Packets lost of those sent, in percent, where there are any.
fn loss(link: &Value) -> String {
    let (lost, sent) = (link["packets_lost"].as_f64(), link["packets_sent"].as_f64());
    match (lost, sent) {
        (Some(lost), Some(sent)) if sent > 0.0 => format!("{:.1} % lost", 100.0 * lost / sent),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        json!({
            "node": {
                "node": "r1", "tier": "region", "site": "emea", "version": "1.2.3",
                "second_generations": [{
                    "site": "dc3", "node": "n1", "generation": 9, "known": 5,
                    "hint": "ocelli mesh adopt dc3",
                }],
            },
            "nodes": [
                {"tier": "site", "site": "dc2", "node": "n1", "age_ms": null, "missing": 0},
                {"tier": "site", "site": "dc1", "node": "n1", "age_ms": 1_500, "missing": 7},
                {"tier": "region", "site": "emea", "node": "r1", "is_own": true, "age_ms": 20},
            ],
            "links": [
                {
                    "id": "up/world", "is_up": true, "for_ms": 60_000, "lag_records": 12,
                    "packets_lost": 1, "packets_sent": 200, "build": "1.3.0",
                },
                {"id": "down/dc2/n1", "is_up": false, "for_ms": 9_000, "error": "revoked"},
                {"id": "peer/b", "is_up": false, "lag_records": 0},
            ],
        })
    }

    #[test]
    fn the_tree_stands_on_its_head_global_first_and_marks_the_node_asked() {
        let shown = shown(&document());
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        assert!(
            lines[0].starts_with("asked: r1 (region emea), version 1.2.3"),
            "{shown}"
        );
        assert!(lines[1].starts_with("  * region emea/r1"), "{shown}");
        assert!(lines[2].starts_with("      site dc1/n1"), "{shown}");
        assert!(lines[2].contains("newest 1.5 s ago") && lines[2].contains("7 records missing"));
        assert!(
            lines[3].contains("dc2/n1") && lines[3].contains("no data"),
            "{shown}"
        );
    }

    #[test]
    fn links_show_lag_loss_and_another_version_and_what_is_refused_names_its_remedy() {
        let shown = shown(&document());
        let line = |begin: &str| {
            let found = shown
                .lines()
                .find(|line| line.trim_start().starts_with(begin));
            found.unwrap_or_else(|| panic!("no {begin} in {shown}"))
        };
        for part in [
            "up for 60 s",
            "12 records behind",
            "0.5 % lost",
            "1.3.0 (not 1.2.3)",
        ] {
            assert!(line("up/world").contains(part), "{part}: {shown}");
        }
        assert!(
            line("down/dc2/n1").contains("DOWN for 9 s: revoked"),
            "{shown}"
        );
        assert!(line("peer/b").contains("not reached yet"), "{shown}");
        let refused = line("refused: dc3/n1");
        assert!(refused.contains("generation 9, known is 5") && refused.ends_with("adopt dc3"));
    }
}
