//! HTTP as the tests speak it to a node.
//!
//! Does: get JSON, text and open streams with a deadline. Does not: hide statuses.
//! In: a base URL and a path. Out: status and body.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::Value;

/// An endless stream that says nothing for so long has told what it holds. (The blocking client's
/// time-out is one of each read.)
const STREAM_PAUSE: Duration = Duration::from_millis(500);

/// A client of one node.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    client: reqwest::blocking::Client,
}

/// Lines of a stream that is still open.
pub type Lines = std::io::Lines<BufReader<reqwest::blocking::Response>>;

/// A builder that reads no authorities of the system: plain HTTP needs none.
fn plain() -> reqwest::blocking::ClientBuilder {
    ocelli_federation::identity::install_provider();
    reqwest::blocking::Client::builder().tls_certs_only([])
}

impl Client {
    /// A client of `http://127.0.0.1:PORT`.
    ///
    /// # Panics
    /// If no HTTP client can be made on this machine.
    #[must_use]
    pub fn new(port: u16) -> Self {
        let client = plain()
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(60))
            .build()
            .expect("a plain HTTP client needs nothing");
        Self {
            base: format!("http://127.0.0.1:{port}"),
            client,
        }
    }

    /// The URL of `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Status and text of a GET; `None` if nobody answers.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let response = self.client.get(self.url(path)).send().ok()?;
        let status = response.status().as_u16();
        Some((status, response.text().ok()?))
    }

    /// Status of a GET with one header set.
    #[must_use]
    pub fn status_with(&self, path: &str, (name, value): (&str, &str)) -> Option<u16> {
        let request = self.client.get(self.url(path)).header(name, value);
        request
            .send()
            .ok()
            .map(|response| response.status().as_u16())
    }

    /// Body of a GET as JSON; `None` unless it answers 200 with JSON.
    #[must_use]
    pub fn json(&self, path: &str) -> Option<Value> {
        let (status, text) = self.get(path)?;
        (status == 200)
            .then(|| serde_json::from_str(&text).ok())
            .flatten()
    }

    /// Lines of an endless stream up to its first pause of half a second; none if nobody answers.
    pub fn lines_up_to_pause(&self, path: &str) -> impl Iterator<Item = String> {
        let client = plain().timeout(STREAM_PAUSE).build();
        let response = client.and_then(|client| client.get(self.url(path)).send());
        let lines = response
            .into_iter()
            .flat_map(|response| BufReader::new(response).lines());
        // The pause ends the read with an error; what came before it is the answer.
        lines.map_while(Result::ok)
    }

    /// Lines of a stream.
    ///
    /// # Panics
    /// If the node does not answer 200.
    #[must_use]
    pub fn stream(&self, path: &str) -> Lines {
        let response = self
            .client
            .get(self.url(path))
            .send()
            .expect("the node answers");
        assert_eq!(response.status().as_u16(), 200, "{path}");
        BufReader::new(response).lines()
    }
}
