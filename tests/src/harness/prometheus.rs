//! A real Prometheus that scrapes a node.
//!
//! Does: start it on loopback with one job a path, ask its API. Does not: keep its data.
//! In: the node's port and paths. Out: [`Prometheus`].

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::http::Client;
use super::process::{Running, tail};
use super::{free_tcp_port, wait_for};

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    running: Running,
    client: Client,
}

impl Prometheus {
    /// Scrapes each of `paths` of `127.0.0.1:PORT` each second; the job is named by its path.
    ///
    /// # Panics
    /// If it is not installed or not ready within twenty seconds.
    #[must_use]
    pub fn start(folder: &Path, port: u16, paths: &[&str]) -> Self {
        let jobs: String = paths
            .iter()
            .map(|path| {
                format!(
                    "  - job_name: '{path}'\n    metrics_path: '{path}'\n    \
                     scrape_interval: 1s\n    \
                     static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
                )
            })
            .collect();
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, format!("scrape_configs:\n{jobs}"))
            .expect("the folder takes files");
        let own_port = free_tcp_port();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            folder.join("tsdb").display()
        ));
        command.arg(format!("--web.listen-address=127.0.0.1:{own_port}"));
        let mut running = Running::start("prometheus", command, folder);
        let client = Client::new(own_port);
        wait_for("prometheus to be ready", Duration::from_secs(20), || {
            assert!(
                !running.has_ended(),
                "prometheus ended: {}",
                tail(&running.stderr())
            );
            client.get("/-/ready").filter(|(status, _)| *status == 200)
        });
        Self { running, client }
    }

    /// The instant vector of a query: one object a series.
    #[must_use]
    pub fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.client.json(&format!("/api/v1/query?query={encoded}"));
        let result = answer.and_then(|answer| answer["data"]["result"].as_array().cloned());
        result.unwrap_or_default()
    }

    /// The last scrape error of a job, empty if there was none; `None` before the first scrape.
    #[must_use]
    pub fn last_error(&self, job: &str) -> Option<String> {
        let answer = self.client.json("/api/v1/targets")?;
        let targets = answer["data"]["activeTargets"].as_array()?;
        let target = targets
            .iter()
            .find(|target| target["labels"]["job"] == job)?;
        let is_scraped = target["health"] != "unknown";
        is_scraped.then(|| target["lastError"].as_str().unwrap_or("").to_owned())
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }
}
