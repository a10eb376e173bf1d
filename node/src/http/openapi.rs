//! `/v1/openapi.json`: the API described for machines, from one table.
//!
//! Does: hold every route with its parameters, answers and who may use it, build the document.
//! Does not: route; each module registers its own, and a test compares both ways.
//! In: the table. Out: OpenAPI 3.0.3.

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use super::access::Rule;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/v1/openapi.json", web::get().to(document_route));
}

async fn document_route() -> HttpResponse {
    HttpResponse::Ok().json(document())
}

/// One path.
pub(super) struct Route {
    /// As registered, without patterns: `{id}`.
    pub(super) path: &'static str,
    pub(super) methods: &'static [&'static str],
    summary: &'static str,
    parameters: &'static [Parameter],
    answers: &'static [&'static str],
    /// Who may use it.
    pub(super) rule: Rule,
}

/// Name and meaning of a query parameter, or of one in the path if that names it.
type Parameter = (&'static str, &'static str);

const FILTER: Parameter = (
    "filter",
    "Resource filter, for example resource_class = \"network\"",
);
const GROUP: Parameter = ("group", "Metrics groups, repeated or separated by commas");
const METRIC: Parameter = ("metric", "Metrics, repeated or separated by commas");
const LIMIT: Parameter = ("limit", "Items at most");
const AFTER: Parameter = ("after", "The `next` of the page before");
const FIELDS: Parameter = ("fields", "Fields to keep, separated by commas");
const FROM: Parameter = (
    "from",
    "RFC 3339, Unix seconds or milliseconds, or -15m before now",
);
const TO: Parameter = ("to", "As `from`; now if it is not given");
const DIMENSION: Parameter = (
    "dimension.NAME",
    "Rows with this value of the dimension NAME",
);
const JSON: &[&str] = &["application/json"];
const TEXT: &[&str] = &["text/plain"];
const EXPOSITION: &[&str] = &["application/openmetrics-text", "text/plain"];

const fn get(
    path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
    answers: &'static [&'static str],
) -> Route {
    Route {
        path,
        methods: &["get"],
        summary,
        parameters,
        answers,
        rule: Rule::Resources,
    }
}

impl Route {
    /// Open to everyone who reaches the port.
    const fn open(mut self) -> Self {
        self.rule = Rule::Open;
        self
    }

    /// About the node, not about resources.
    const fn of_node(mut self) -> Self {
        self.rule = Rule::Node;
        self
    }
}

/// What a registered route demands; `None`: no row, so that it is not served.
pub(super) fn rule(method: &Method, pattern: &str) -> Option<Rule> {
    let path = pattern.replace(":.*}", "}");
    let method = match method.as_str() {
        "HEAD" => "get".to_owned(),
        other => other.to_ascii_lowercase(),
    };
    let has_method = |route: &&Route| route.methods.contains(&method.as_str());
    let route = ROUTES
        .iter()
        .filter(has_method)
        .find(|route| route.path == path);
    route.map(|route| route.rule)
}

/// A route of the node's own socket.
const fn command(
    path: &'static str,
    summary: &'static str,
    parameters: &'static [Parameter],
) -> Route {
    Route {
        path,
        methods: &["post"],
        summary,
        parameters,
        answers: JSON,
        rule: Rule::Operate,
    }
}

/// All routes.
pub(super) const ROUTES: &[Route] = &[
    get("/livez", "Whether the process answers", &[], TEXT).open(),
    get("/-/healthy", "As /livez", &[], TEXT).open(),
    get(
        "/readyz",
        "Whether the node works",
        &[("verbose", "Each condition on a line")],
        TEXT,
    )
    .open(),
    get(
        "/healthz",
        "As /readyz",
        &[("verbose", "Each condition on a line")],
        TEXT,
    )
    .open(),
    get(
        "/-/ready",
        "As /readyz",
        &[("verbose", "Each condition on a line")],
        TEXT,
    )
    .open(),
    get(
        "/metrics",
        "What ocelli counts about itself",
        &[],
        EXPOSITION,
    )
    .of_node(),
    get(
        "/v1/metrics",
        "Last values of the resources; 413 beyond 100,000 series",
        &[FILTER, GROUP, ("naming", "panoptes or snmp_exporter")],
        EXPOSITION,
    ),
    get("/v1/openapi.json", "This document", &[], JSON).open(),
    get(
        "/v1/status",
        "Name, site, version, counts, warnings",
        &[],
        JSON,
    ),
    get(
        "/v1/resources",
        "Resources",
        &[FILTER, LIMIT, AFTER, FIELDS],
        JSON,
    ),
    get(
        "/v1/resources/{id}",
        "One resource",
        &[("id", "Whole id, site/id, id or endpoint")],
        JSON,
    ),
    get(
        "/v1/plugins",
        "Plugins of the configuration",
        &[LIMIT, AFTER, FIELDS],
        JSON,
    ),
    get(
        "/v1/plugins/{id}",
        "One plugin",
        &[("id", "role/name, or the name")],
        JSON,
    ),
    get(
        "/v1/gaps",
        "Ranges of slots without batches, with their causes",
        &[
            FILTER,
            FROM,
            TO,
            ("plugin", "Gaps of this plugin"),
            ("cause", "Gaps of this cause"),
            ("site", "Gaps of resources of this site"),
            ("open", "true: only gaps that go on"),
            ("group_by", "Counts by this field instead of ranges"),
            LIMIT,
            AFTER,
            FIELDS,
        ],
        JSON,
    ),
    get(
        "/v1/gaps/{id}",
        "One range of slots without batches",
        &[("id", "The id of the range")],
        JSON,
    ),
    get(
        "/v1/events",
        "What happened, oldest first; events of a node pass only without a filter",
        &[
            FILTER,
            FROM,
            TO,
            ("kind", "Kinds, repeated or separated by commas"),
            ("severity", "Of info, warning, error"),
            ("site", "Events of this site's nodes and resources"),
            LIMIT,
            AFTER,
            FIELDS,
        ],
        JSON,
    ),
    get(
        "/v1/events/{id}",
        "One event",
        &[("id", "Its `id` in the list")],
        JSON,
    ),
    get(
        "/v1/values",
        "Last values",
        &[FILTER, GROUP, METRIC, DIMENSION, LIMIT, AFTER],
        JSON,
    ),
    get(
        "/v1/samples",
        "Samples of a time range",
        &[
            FILTER,
            GROUP,
            METRIC,
            DIMENSION,
            FROM,
            TO,
            LIMIT,
            ("format", "ndjson or csv"),
        ],
        &["application/x-ndjson", "text/csv"],
    ),
    get(
        "/v1/links",
        "Links to other nodes: who, since when, how far behind, what is refused",
        &[LIMIT, AFTER, FIELDS],
        JSON,
    )
    .of_node(),
    get(
        "/v1/links/{id}",
        "One link",
        &[("id", "Its `id` in the list")],
        JSON,
    )
    .of_node(),
    Route {
        path: "/v1/links/{id}",
        methods: &["delete"],
        summary: "Forget a link that has ended",
        parameters: &[("id", "Its `id` in the list")],
        answers: JSON,
        rule: Rule::Operate,
    },
    command(
        "/v1/mesh/adopt",
        "Take the second generation of a site or node, by a body {\"name\"}",
        &[],
    ),
    command(
        "/v1/mesh/forget",
        "Expect nothing more of a site or node, by a body {\"name\",\"dry_run\"}",
        &[],
    ),
    command(
        "/v1/uplink/replay",
        "Refill a member of an upstream, by a body {\"upstream\",\"member\",\"dry_run\"}",
        &[],
    ),
    get(
        "/v1/nodes",
        "Nodes whose data is held here: who, live or stale and why, what is missing",
        &[LIMIT, AFTER, FIELDS],
        JSON,
    )
    .of_node(),
    get(
        "/v1/nodes/{id}",
        "One node",
        &[("id", "Origin, or name of the node")],
        JSON,
    )
    .of_node(),
    get(
        "/v1/capacity",
        "Bytes a day, hours held, time until full, the outage that is bridged",
        &[],
        JSON,
    )
    .of_node(),
    get(
        "/v1/cursors",
        "Durable readers of this node, and how far they have come",
        &[LIMIT, AFTER, FIELDS],
        JSON,
    )
    .of_node(),
    get(
        "/v1/cursors/{name}",
        "One durable reader",
        &[("name", "Name of the cursor")],
        JSON,
    )
    .of_node(),
    Route {
        path: "/v1/cursors/{name}",
        methods: &["post", "delete"],
        summary: "POST: read all that is held once more; DELETE: hold nothing any more",
        parameters: &[("name", "Name of the cursor")],
        answers: JSON,
        rule: Rule::Operate,
    },
    get(
        "/v1/discovery",
        "Discoveries: last run, held sets, failures",
        &[LIMIT, AFTER, FIELDS],
        JSON,
    )
    .of_node(),
    get(
        "/v1/discovery/{id}",
        "One discovery, with the difference of its last run",
        &[("id", "Name of the discovery")],
        JSON,
    )
    .of_node(),
    command(
        "/v1/discovery/{id}/approve",
        "Accept a held set; body: hash",
        &[("id", "Name of the discovery")],
    ),
    command(
        "/v1/poll",
        "Run a plugin once, write nothing; body: resource, plugin, trace",
        &[],
    ),
    command(
        "/v1/reload",
        "Read the configuration again; body: dry_run",
        &[],
    ),
    Route {
        path: "/v1/subscribe",
        methods: &["get", "post"],
        summary: "Records as they come; a POST carries a long cursor in its body",
        parameters: &[
            FILTER,
            GROUP,
            METRIC,
            ("from", "now, latest, oldest, a time or a cursor"),
            ("cursor", "As `from`"),
            ("format", "ndjson, records, sse or influx"),
            ("mode", "durable or latest"),
            (
                "order",
                "log, or seq: each stream by seq, a hole is waited for 10 s and then named",
            ),
            ("rebase", "true: go on with a cursor of another selection"),
            ("include", "gaps, events, cursors"),
        ],
        answers: &["application/x-ndjson", "text/event-stream", "text/plain"],
        rule: Rule::Resources,
    },
];

/// The whole document.
fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = operation(route);
        let methods = route.methods.iter();
        let by_method = methods.map(|method| ((*method).to_owned(), operation.clone()));
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.extend(by_method);
        }
    }
    let error = json!({"type": "object", "required": ["error"], "properties": {"error": {
        "type": "object",
        "required": ["code", "message", "hint"],
        "properties": {
            "code": {"type": "string"},
            "message": {"type": "string"},
            "hint": {"type": "string"}
        }
    }}});
    json!({
        "openapi": "3.0.3",
        "info": {"title": "ocelli", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": {"Error": error}}
    })
}

fn operation(route: &Route) -> Value {
    let is_in_path = |name: &str| route.path.contains(&format!("{{{name}}}"));
    let parameter = |(name, description): &Parameter| {
        let place = if is_in_path(name) { "path" } else { "query" };
        json!({
            "name": name,
            "in": place,
            "required": is_in_path(name),
            "description": description,
            "schema": {"type": "string"}
        })
    };
    let parameters: Vec<Value> = route.parameters.iter().map(parameter).collect();
    let content = |kind: &&str| ((*kind).to_owned(), json!({}));
    let content: Map<String, Value> = route.answers.iter().map(content).collect();
    let error = json!({"$ref": "#/components/schemas/Error"});
    json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": route.summary, "content": content},
            "default": {
                "description": "Refused, with what to do",
                "content": {"application/json": {"schema": error}}
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// (method, path) of each route that a source file of this folder registers.
    fn registered() -> BTreeSet<(String, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
        let mut found = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if !path.is_file() || path.to_string_lossy().ends_with("_tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // Its own mark must not be found in this file.
            let product = text.split("#[cfg(test)]").next().unwrap();
            let routes = product.split("route(\"").skip(1);
            let calls = routes.chain(product.split("resource(\"").skip(1));
            for call in calls.filter(|call| call.starts_with('/')) {
                let (path, rest) = call.split_once('"').unwrap();
                let (_, method) = rest.split_once("web::").unwrap();
                let method = method.split_once("()").unwrap().0;
                found.insert((method.to_owned(), path.replace(":.*}", "}")));
            }
        }
        found
    }

    #[test]
    fn every_registered_route_is_described_and_every_described_one_registered() {
        let described: BTreeSet<_> = ROUTES
            .iter()
            .flat_map(|route| route.methods.iter().map(|method| (*method, route.path)))
            .map(|(method, path)| (method.to_owned(), path.to_owned()))
            .collect();
        assert_eq!(described, registered());
    }

    #[test]
    fn every_name_in_a_path_is_a_parameter() {
        for route in ROUTES {
            for name in route.path.split('{').skip(1) {
                let name = name.split('}').next().unwrap();
                let is_known = route.parameters.iter().any(|(known, _)| *known == name);
                assert!(is_known, "{name} of {}", route.path);
            }
        }
    }
}
