//! Tests of the API over real sockets.

use std::net::TcpListener;

use ocelli_bus::{Bus, BusOptions};
use ocelli_model::resource::{Resource, ResourceFields};
use serde_json::{Value, json};

use super::discovery_view::DiscoveryView;
use super::view::{Check, PluginView, ResourceView, Unpaired};
use super::*;
use crate::clock::RealClock;
use crate::rng::RealRng;

/// A node of three resources, ready or not.
pub(super) struct Fixed {
    pub(super) is_ready: bool,
}

pub(super) fn resource(id: &str) -> ResourceView {
    let identity = ["dc1", "network", "switch", "generic", id].map(str::to_owned);
    let fields = ResourceFields {
        identity,
        endpoint: format!("{id}.example.com"),
        plugin: "by-hand".into(),
        ..ResourceFields::default()
    };
    let resource = Arc::new(Resource::new(fields).unwrap());
    ResourceView {
        id: resource.id().as_str().to_owned(),
        device: id.into(),
        system_name: Some(if id == "b2" { "of-b2" } else { "twin" }.into()),
        resource,
        duplicate_of: None,
        plugins: Vec::new(),
    }
}

impl NodeView for Fixed {
    fn resources(&self) -> Arc<Vec<ResourceView>> {
        Arc::new(["a1", "b2", "c3"].map(resource).into())
    }

    fn plugins(&self) -> Arc<Vec<PluginView>> {
        Arc::new(Vec::new())
    }

    fn discoveries(&self) -> Vec<DiscoveryView> {
        Vec::new()
    }

    fn pairing(&self, _: &Resource, _: &str) -> Result<(), Unpaired> {
        Ok(())
    }

    fn status(&self) -> Value {
        json!({"node": "n1"})
    }

    fn readiness(&self) -> Vec<Check> {
        let detail = if self.is_ready { "" } else { "recovering" }.to_owned();
        vec![Check {
            name: "bus",
            is_ok: self.is_ready,
            detail,
        }]
    }

    fn runtime(&self) -> ocelli_actors::RuntimeCounts {
        ocelli_actors::RuntimeCounts::default()
    }

    fn identity(&self) -> Option<Arc<ocelli_federation::identity::PeerIdentity>> {
        None
    }

    fn links(&self) -> Option<Arc<crate::assembly::links::Links>> {
        None
    }

    fn roster(&self) -> Option<Arc<ocelli_federation::ingest::Roster>> {
        None
    }

    fn origins(&self) -> Option<Arc<crate::assembly::origins::Origins>> {
        None
    }

    fn refused_peers(&self) -> std::collections::BTreeMap<&'static str, u64> {
        std::collections::BTreeMap::new()
    }

    fn limits(&self) -> crate::capacity::Limits {
        crate::capacity::Limits {
            bytes_max: 1 << 30,
            cursor_idle_max: Duration::from_secs(86_400),
            retention: Duration::from_secs(21_600),
            free_bytes: 0,
        }
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn is_alive(&self) -> bool {
        true
    }
}

/// A plain listener and nobody known.
pub(super) fn plain(tcp: TcpListener) -> Listeners {
    let access = with_access(tcp.local_addr().unwrap(), "");
    Listeners {
        tcp,
        unix: None,
        subscriptions_max: 64,
        tls: None,
        access,
    }
}

/// Those whom `text` names.
pub(super) fn with_access(address: std::net::SocketAddr, text: &str) -> Arc<ArcSwap<AccessList>> {
    let mut sources = ocelli_config::Sources::new();
    let text = format!("[listen]\nhttp = \"{address}\"\n{text}");
    sources.push(ocelli_config::Source::file("/etc/ocelli.toml", text));
    let options = ocelli_config::LoadOptions {
        hostname: "n1",
        is_strict: true,
    };
    let loaded = ocelli_config::load(sources, options).unwrap_or_else(|error| panic!("{error}"));
    let (list, unusable) = AccessList::open(&loaded.config, &crate::secrets::process_secrets());
    assert!(unusable.is_empty(), "{unusable:?}");
    Arc::new(ArcSwap::from_pointee(list))
}

/// Status and body of each path.
async fn ask(is_ready: bool, paths: &[&str]) -> Vec<(u16, String)> {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let view: Arc<dyn NodeView> = Arc::new(Fixed { is_ready });
    let directory = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(RealClock);
    let options = BusOptions::default();
    let rng = Box::new(RealRng::default());
    let (bus, _) = Bus::open(directory.path(), options, Arc::clone(&clock), rng).unwrap();
    let records = RecordSource::new(Arc::new(bus));
    let state = ApiState {
        view,
        records,
        control: crate::control::Control::open().0,
        clock,
    };
    let running = serve(state, plain(tcp)).unwrap();
    let server = actix_rt::spawn(running.server);
    let mut answers = Vec::new();
    for path in paths {
        let url = format!("http://127.0.0.1:{port}{path}");
        let response = super::reading_tests::client()
            .get(url)
            .send()
            .await
            .unwrap();
        let status = response.status().as_u16();
        answers.push((status, response.text().await.unwrap()));
    }
    running.handle.stop(false).await;
    server.await.unwrap().unwrap();
    answers
}

fn ids(body: &str) -> (Vec<String>, Value) {
    let list: Value = serde_json::from_str(body).unwrap();
    let items = list["items"].as_array().unwrap();
    let id = |item: &Value| {
        item["id"]
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    };
    (items.iter().map(id).collect(), list["next"].clone())
}

#[actix_rt::test]
async fn lists_are_paged_filtered_and_cut_to_fields() {
    let first = "dc1/network/switch/generic/a1";
    let answers = ask(
        true,
        &[
            "/v1/resources?limit=2",
            &format!("/v1/resources?after={first}"),
            "/v1/resources?filter=resource_id%20LIKE%20%22b%25%22&fields=id",
            "/v1/resources?limit=0",
            "/v1/resources?filter=resource_id%20LIKE",
            "/v1/resources?unknown=1",
        ],
    )
    .await;
    let (shown, next) = ids(&answers[0].1);
    assert_eq!(shown, ["a1", "b2"]);
    assert_eq!(next, "dc1/network/switch/generic/b2");
    assert_eq!(
        ids(&answers[1].1),
        (vec!["b2".into(), "c3".into()], Value::Null)
    );
    let filtered: Value = serde_json::from_str(&answers[2].1).unwrap();
    assert_eq!(
        filtered["items"],
        json!([{"id": "dc1/network/switch/generic/b2"}])
    );
    for (status, body) in &answers[3..] {
        let error: Value = serde_json::from_str(body).unwrap();
        assert_eq!(*status, 400, "{body}");
        assert!(error["error"]["hint"].is_string(), "{body}");
    }
    assert!(
        answers[4].1.contains("line 1"),
        "the place of the mistake: {}",
        answers[4].1
    );
}

#[actix_rt::test]
async fn a_resource_is_found_by_whole_id_short_id_endpoint_and_the_name_of_its_device() {
    let answers = ask(
        true,
        &[
            "/v1/resources/dc1/network/switch/generic/b2",
            "/v1/resources/b2",
            "/v1/resources/dc1/b2",
            "/v1/resources/b2.example.com",
            "/v1/resources/of-b2",
            "/v1/resources/nobody",
            "/v2/resources",
            "/v1/resources/twin",
        ],
    )
    .await;
    for (status, body) in &answers[..5] {
        assert!(*status == 200 && body.contains("generic/b2"), "{body}");
    }
    assert_eq!((answers[5].0, answers[6].0), (404, 404));
    let (status, body) = &answers[7];
    let lists_both = body.contains("generic/a1") && body.contains("generic/c3");
    assert!(*status == 400 && lists_both, "{body}");
}

#[actix_rt::test]
async fn readiness_follows_the_checks_and_tells_why_when_asked() {
    let ready = ask(true, &["/readyz", "/livez", "/healthz"]).await;
    assert!(ready.iter().all(|(status, _)| *status == 200), "{ready:?}");
    let waiting = ask(false, &["/readyz", "/livez", "/readyz?verbose"]).await;
    assert_eq!((waiting[0].0, waiting[1].0), (503, 200));
    assert!(!waiting[0].1.contains("recovering") && waiting[2].1.contains("recovering"));
}
