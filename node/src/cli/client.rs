//! The command line as a client of a running node.
//!
//! Does: find the node (`--at`, else a context, else the socket in the data directory, else
//! loopback), ask it over HTTP or HTTPS, tell its refusals and its absence apart. Does not: know
//! any route, keep contexts (`contexts`).
//! In: [`ConnectOptions`], a path, query pairs. Out: JSON or a stream of bytes.
//! Limits: an answer that is read whole has at most [`BODY_BYTES_MAX`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use ocelli_federation::identity::install_provider;
use ocelli_model::secret::Secret;
use ocelli_model::units::parse_duration;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, ClientBuilder, Identity, Method, RequestBuilder, Response};
use reqwest::{StatusCode, Url};
use serde_json::Value;

use super::contexts::{Context, Contexts};
use super::exit::{Exit, Failure};
use super::runtime::within;
use crate::DATA_DIR_DEFAULT;

/// Where a node listens if nothing says otherwise.
pub const URL_DEFAULT: &str = "http://127.0.0.1:7780";
/// Name of the node's socket in its data directory.
pub const SOCKET_FILE: &str = "ocelli.sock";
/// 5,000 items of a list have about 5 MiB.
pub const BODY_BYTES_MAX: usize = 256 << 20;

/// Options of commands that ask a node.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConnectOptions {
    /// The node's address, http:// or https://, for `subscribe` also quic://HOST:PORT. Default: the
    /// context in use, else the socket in the data directory, else http://127.0.0.1:7780.
    #[arg(long, env = "OCELLI_URL", value_name = "URL")]
    pub at: Option<String>,
    /// A named node of `ocelli context list`, instead of an address.
    #[arg(long, env = "OCELLI_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// File with the token that the node wants.
    #[arg(long, env = "OCELLI_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Authorities that the node's certificate must come from, PEM. Default: those of the system.
    #[arg(long, env = "OCELLI_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Certificate to show to the node, PEM; needs --key.
    #[arg(long, env = "OCELLI_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Private key of --cert, PEM.
    #[arg(long, env = "OCELLI_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The node's data directory, where its socket is.
    #[arg(long, default_value = DATA_DIR_DEFAULT, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// How long to wait for an answer to begin.
    #[arg(long, default_value = "10s", value_parser = parse_duration, value_name = "DURATION")]
    pub wait: Duration,
}

/// What a command asks, and with which proofs.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The socket in the data directory; then the address is not dialled.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) url: Url,
    pub(crate) files: Context,
    pub(crate) wait: Duration,
}

/// A node that can be asked.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    /// How messages name it.
    address: String,
    token: Option<Secret<String>>,
    wait: Duration,
}

impl ConnectOptions {
    /// Finds out where the node is; asks it nothing yet.
    ///
    /// # Errors
    /// An address that is none, a context that is not known, or a file that cannot be read.
    pub fn client(&self) -> Result<Client, Failure> {
        Client::new(self.target()?)
    }

    /// Where the node is, by these options and by the contexts of this user.
    ///
    /// # Errors
    /// As [`ConnectOptions::client`].
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let known = match &self.at {
            None => Contexts::of_user()?,
            Some(_) if self.context.is_some() => {
                let text = "both an address (--at or OCELLI_URL) and a context (--context or \
                            OCELLI_CONTEXT) are given";
                return Err(Failure::new(Exit::Usage, text).hint("leave one of them out"));
            }
            // Files of a context are shown to its own address only.
            Some(_) => Contexts::default(),
        };
        let context = known.chosen(self.context.as_deref())?.unwrap_or_default();
        let given = Context {
            at: self.at.clone(),
            token_file: self.token_file.clone(),
            ca: self.ca.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
        };
        let files = given.or(context);
        let socket = self.data_dir.join(SOCKET_FILE);
        let socket = (files.at.is_none() && socket.exists()).then_some(socket);
        Ok(Target {
            socket,
            url: parse_url(files.at.as_deref().unwrap_or(URL_DEFAULT))?,
            files,
            wait: self.wait,
        })
    }
}

/// Reads an address of a node.
///
/// # Errors
/// [`Exit::Usage`] for what is none, and for one with a password, which listings would show.
pub(crate) fn parse_url(text: &str) -> Result<Url, Failure> {
    let usage = |reason: &str| {
        Failure::new(
            Exit::Usage,
            format!("{text:?} is no address of a node: {reason}"),
        )
        .hint(format!("write it as {URL_DEFAULT}"))
    };
    let url = Url::parse(text).map_err(|error| usage(&error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        let text = "an address holds no user and no password";
        return Err(Failure::new(Exit::Usage, text).hint("give the token by --token-file"));
    }
    match url.scheme() {
        "http" | "https" | "quic" if url.has_host() => Ok(url),
        _ => Err(usage("it is none of http, https and quic")),
    }
}

/// A builder that trusts whom the files name, and shows what they hold. A token goes over TLS or
/// stays on this machine.
fn builder_of(target: &Target) -> Result<ClientBuilder, Failure> {
    let builder = reqwest::Client::builder()
        .connect_timeout(target.wait)
        .no_proxy();
    if let Some(socket) = &target.socket {
        return Ok(builder.tls_certs_only([]).unix_socket(socket.clone()));
    }
    if target.url.scheme() == "http" {
        // No certificate is looked at, so none is read.
        return Ok(builder.tls_certs_only([]));
    }
    let unusable = |path: &Path, error: &dyn std::fmt::Display| {
        let text = format!("{} holds no usable PEM: {error}", path.display());
        Failure::new(Exit::Failed, text)
    };
    let builder = match &target.files.ca {
        None => builder,
        Some(path) => {
            let roots = Certificate::from_pem_bundle(&read_file(path, "CA")?);
            let roots = roots.map_err(|error| unusable(path, &error))?;
            if roots.is_empty() {
                return Err(unusable(path, &"no certificate is in it"));
            }
            builder.tls_certs_only(roots)
        }
    };
    match (&target.files.cert, &target.files.key) {
        (None, None) => Ok(builder),
        (Some(cert), Some(key)) => {
            let mut pem = read_file(cert, "certificate")?;
            pem.push(b'\n');
            pem.extend_from_slice(&read_file(key, "key")?);
            let identity = Identity::from_pem(&pem).map_err(|error| unusable(cert, &error))?;
            Ok(builder.identity(identity))
        }
        _ => Err(Failure::new(Exit::Usage, "--cert and --key belong together").hint("give both")),
    }
}

/// Reads a file of PEM.
///
/// # Errors
/// It cannot be read.
pub(super) fn read_file(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let text = format!("cannot read the {what} file {}: {error}", path.display());
        Failure::new(Exit::Failed, text)
    })
}

/// Reads the token of a file.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read_token(path: &Path) -> Result<Secret<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let text = format!("cannot read the token file {}: {error}", path.display());
        Failure::new(Exit::Failed, text)
    })?;
    Ok(Secret::new(text.trim().to_owned()))
}

impl Target {
    /// Whether it is asked over a link of the mesh.
    pub(super) fn is_link(&self) -> bool {
        self.url.scheme() == "quic" && self.socket.is_none()
    }
}

impl Client {
    pub(super) fn new(target: Target) -> Result<Self, Failure> {
        if target.is_link() {
            let text = format!(
                "{} is asked over QUIC, which serves `subscribe` only",
                target.url
            );
            return Err(Failure::new(Exit::Usage, text).hint("ask over http:// or https://"));
        }
        install_provider();
        let builder = builder_of(&target)?;
        let http = builder.build().map_err(|error| {
            let text = format!("cannot make an HTTP client: {}", root(&error));
            Failure::new(Exit::Failed, text).hint("name the authorities with --ca FILE")
        })?;
        let token = target.files.token_file.as_deref();
        let address = target.socket.as_ref().map_or_else(
            || target.url.as_str().trim_end_matches('/').to_owned(),
            |path| path.display().to_string(),
        );
        Ok(Self {
            http,
            base: target.url.clone(),
            address,
            token: token.map(read_token).transpose()?,
            wait: target.wait,
        })
    }

    /// How messages name the node.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// Nobody listens (69), no answer in time (124), a refusal (4 for what does not exist).
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let response = self.open(path, query).await?;
        self.json(path, response).await
    }

    async fn json(&self, path: &str, response: Response) -> Result<Value, Failure> {
        let body = self.body(response).await?;
        serde_json::from_slice(&body).map_err(|error| {
            let text = format!(
                "{} answered {path} with something that is no JSON",
                self.address
            );
            Failure::new(Exit::Failed, format!("{text}: {error}"))
        })
    }

    /// Has the node do something, by a JSON body; `patience` is how long that may take, if it is
    /// longer than what answers are waited for.
    ///
    /// # Errors
    /// As [`Client::get`]; 78 for a configuration that cannot be used.
    pub async fn post(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<Value, Failure> {
        let mut url = self.base.clone();
        url.set_path(path);
        let request = self.http.post(url);
        let request = request.header(CONTENT_TYPE, "application/json");
        let request = request.body(body.to_string());
        let response = self.exchange(request, self.wait.max(patience)).await?;
        self.json(path, response).await
    }

    /// Asks for a stream; the answer has begun well.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn open(&self, path: &str, query: &[(&str, &str)]) -> Result<Response, Failure> {
        self.send(Method::GET, path, query).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Response, Failure> {
        let mut url = self.base.clone();
        url.set_path(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.exchange(self.http.request(method, url), self.wait)
            .await
    }

    async fn exchange(
        &self,
        mut request: RequestBuilder,
        patience: Duration,
    ) -> Result<Response, Failure> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let Some(answer) = within(patience, request.send()).await else {
            return Err(self.too_slow());
        };
        let response = answer.map_err(|error| self.absent(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = self.body(response).await.unwrap_or_default();
        Err(self.refused(status, &body))
    }

    /// Changes something.
    ///
    /// # Errors
    /// As [`Client::get`], and a refusal for want of a role.
    pub async fn change(&self, method: Method, path: &str) -> Result<(), Failure> {
        let response = self.send(method, path, &[]).await?;
        self.body(response).await.map(|_| ())
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(&mut response).await? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                let text = format!(
                    "the answer of {} has over {BODY_BYTES_MAX} bytes",
                    self.address
                );
                return Err(Failure::new(Exit::Failed, text).hint("narrow it with --filter"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// The next part of an answer, however long it takes; `None` at its end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, Failure> {
        response.chunk().await.map_err(|error| {
            let text = format!("the connection to {} broke: {}", self.address, root(&error));
            Failure::new(Exit::Failed, text)
        })
    }

    fn too_slow(&self) -> Failure {
        let text = format!("{} did not answer within {:?}", self.address, self.wait);
        Failure::new(Exit::TimedOut, text).hint("raise --wait")
    }

    fn absent(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() {
            return self.too_slow();
        }
        if let Some(refused) = tls_refusal(error) {
            let text = format!("no trust in {}: {refused}", self.address);
            let hint = if refused.contains("CaUsedAsEndEntity") {
                "the node shows an authority's own certificate; give it one with \
                 basicConstraints=CA:FALSE, self-signed or not (http.tls)"
            } else {
                "name the authority of the node's certificate with --ca FILE"
            };
            return Failure::new(Exit::Failed, text).hint(hint);
        }
        if !error.is_connect() {
            let text = format!("cannot ask {}: {}", self.address, root(error));
            return Failure::new(Exit::Failed, text);
        }
        let text = format!("nobody listens at {}: {}", self.address, root(error));
        Failure::new(Exit::Unavailable, text)
            .hint("start `ocelli run`, or name the node with --at URL")
    }

    /// What the node says, by `{"error":{"code","message","hint"}}`.
    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let text_of = |key: &str| answer["error"][key].as_str().unwrap_or_default().to_owned();
        let message = match text_of("message") {
            message if message.is_empty() => format!("{} answered {status}", self.address),
            message => message,
        };
        let exit = match status {
            StatusCode::NOT_FOUND => Exit::NotFound,
            StatusCode::BAD_REQUEST => Exit::Usage,
            StatusCode::UNPROCESSABLE_ENTITY => Exit::Configuration,
            StatusCode::SERVICE_UNAVAILABLE => Exit::Unavailable,
            _ => Exit::Failed,
        };
        Failure::new(exit, message).hint(text_of("hint"))
    }
}

/// What the TLS library says, if it was that which failed.
fn tls_refusal(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(here) = cause {
        if let Some(tls) = tls_error(here) {
            return Some(tls.to_string());
        }
        cause = here.source();
    }
    None
}

/// The error of TLS that this is, or that I/O errors wrap: `source` passes over those.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut here = error;
    while let Some(inner) = here.downcast_ref::<std::io::Error>() {
        here = inner.get_ref()?;
    }
    here.downcast_ref()
}

/// The innermost cause: what the operating system said.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
