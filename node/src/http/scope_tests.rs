//! Tokens, filters and HTTPS over real sockets: what lies outside a filter is not there.

use std::net::TcpListener;
use std::path::Path;

use ocelli_config::sections::http::TlsConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::reading_tests::node;
use super::tests::with_access;
use super::tls::{Tls, TlsError};
use super::*;

/// One who sees switch `a1`, one who sees another, one who may operate.
const ACCESSES: &str = r#"
[[http.access]]
name = "a1"
token = { value = "token-of-the-a1-viewer" }
filter = 'resource_id = "a1"'
[[http.access]]
name = "elsewhere"
token = { value = "token-of-the-other-viewer" }
filter = 'resource_id = "b2"'
[[http.access]]
name = "operator"
token = { value = "token-of-the-operator" }
role = "operate"
"#;

fn listeners(tls: Option<ServerConfig>) -> (Listeners, u16) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let access = with_access(address, ACCESSES);
    let listeners = Listeners {
        tcp,
        unix: None,
        subscriptions_max: 64,
        tls,
        access,
    };
    (listeners, address.port())
}

async fn ask(port: u16, method: reqwest::Method, path: &str, token: Option<&str>) -> (u16, String) {
    let url = format!("http://127.0.0.1:{port}{path}");
    let mut request = super::reading_tests::client().request(method, url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[actix_rt::test]
async fn a_filter_narrows_every_route_and_the_rest_is_not_there() {
    let node = node().await;
    let cursors = node.state.records.bus().cursors();
    cursors
        .open("archive", "sink", node.state.clock.wall())
        .unwrap();
    let (listeners, port) = listeners(None);
    let running = serve(node.state.clone(), listeners).unwrap();
    let server = actix_rt::spawn(running.server);
    let get = async |path: &str, token| ask(port, reqwest::Method::GET, path, token).await;
    let (seeing, other) = ("token-of-the-a1-viewer", "token-of-the-other-viewer");
    // (path, what shows that switch a1 is seen)
    for (path, mark) in [
        ("/v1/resources", "generic/a1"),
        ("/v1/values", "bits_in"),
        ("/v1/samples", "bits_in"),
        ("/v1/gaps", "timeout"),
        ("/v1/metrics", "interface_bits_in"),
    ] {
        let (status, body) = get(path, Some(seeing)).await;
        assert!(
            status == 200 && body.contains(mark),
            "{path}: {status} {body}"
        );
        let (status, body) = get(path, Some(other)).await;
        assert!(
            status == 200 && !body.contains(mark),
            "{path}: {status} {body}"
        );
        let (_, body) = get(path, None).await;
        assert!(body.contains(mark), "{path} on loopback: {body}");
    }
    let whole = "/v1/resources/dc1/network/switch/generic/a1";
    assert_eq!(get(whole, Some(seeing)).await.0, 200);
    assert_eq!(get(whole, Some(other)).await.0, 404);
    let widened = format!("/v1/resources?filter={}", "resource_id%20%3D%20%22a1%22");
    assert!(
        !get(&widened, Some(other)).await.1.contains("a1"),
        "a filter cannot widen"
    );
    let (_, status) = get("/v1/status", Some(seeing)).await;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["resources"], 1);
    for path in ["/metrics", "/v1/cursors", "/v1/cursors/archive"] {
        assert_eq!(get(path, Some(seeing)).await.0, 404, "{path}");
        assert_eq!(get(path, None).await.0, 200, "{path}");
    }
    assert_eq!(get("/v1/resources", Some("a-token-of-nobody")).await.0, 401);
    running.handle.stop(false).await;
    server.await.unwrap().unwrap();
}

#[actix_rt::test]
async fn a_cursor_is_reset_and_forgotten_by_operators_alone() {
    let node = node().await;
    let cursors = node.state.records.bus().cursors().clone();
    cursors
        .open("archive", "sink", node.state.clock.wall())
        .unwrap();
    let (listeners, port) = listeners(None);
    let running = serve(node.state.clone(), listeners).unwrap();
    let server = actix_rt::spawn(running.server);
    let (post, delete) = (reqwest::Method::POST, reqwest::Method::DELETE);
    let (path, operator) = ("/v1/cursors/archive", Some("token-of-the-operator"));
    // It has taken nothing of what is held, and lets go of it in a day.
    let shown = ask(port, reqwest::Method::GET, path, operator).await.1;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["holds_segments"], true, "{shown}");
    assert!(shown["untaken_bytes"].as_u64().unwrap() > 0, "{shown}");
    let left = shown["lets_go_in_s"].as_u64().unwrap();
    assert!(left > 0 && left <= 86_400, "{shown}");
    assert_eq!(ask(port, delete.clone(), path, None).await.0, 403);
    assert_eq!(
        ask(port, delete.clone(), path, Some("token-of-the-a1-viewer"))
            .await
            .0,
        404
    );
    assert_eq!(ask(port, post.clone(), path, operator).await.0, 200);
    assert_eq!(cursors.list().len(), 1);
    assert_eq!(ask(port, delete.clone(), path, operator).await.0, 204);
    assert_eq!(cursors.list().len(), 0);
    assert_eq!(ask(port, delete, path, operator).await.0, 404);
    assert_eq!(ask(port, post, "/v1/resources", operator).await.0, 405);
    running.handle.stop(false).await;
    server.await.unwrap().unwrap();
}

// === HTTPS ===

/// An authority with its PEM; leaves are issued from it.
struct Authority {
    issuer: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::CertifiedIssuer::self_signed(parameters, key).unwrap();
        Self { issuer }
    }

    /// Certificate and key, PEM.
    fn leaf(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = parameters.signed_by(&key, &self.issuer).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    fn write(&self, folder: &Path, name: &str) -> TlsConfig {
        let (cert, key) = self.leaf(name);
        let path = |file: &str| folder.join(file);
        std::fs::write(path("cert.pem"), cert).unwrap();
        std::fs::write(path("key.pem"), key).unwrap();
        std::fs::write(path("ca.pem"), self.issuer.pem()).unwrap();
        TlsConfig {
            cert: path("cert.pem"),
            key: path("key.pem"),
            client_ca: Some(path("ca.pem")),
        }
    }
}

/// The answer to a GET over HTTPS, trusting `authority`, maybe with a client certificate.
async fn get(port: u16, authority: &Authority, client: Option<&str>) -> std::io::Result<String> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let (cert, key) = authority.leaf(name);
            let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![cert], key).unwrap()
        }
    };
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, stream).await?;
    let request = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[actix_rt::test]
async fn https_is_served_and_another_certificate_is_taken_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Authority::new(), Authority::new());
    let tls = Tls::open(&first.write(folder.path(), "localhost")).unwrap();
    let (listeners, port) = listeners(Some(tls.server_config().unwrap()));
    let node = node().await;
    let running = serve(node.state.clone(), listeners).unwrap();
    let server = actix_rt::spawn(running.server);
    assert!(get(port, &first, None).await.unwrap().contains(" 200 OK"));
    assert!(
        get(port, &second, None).await.is_err(),
        "not its authority yet"
    );
    tls.reload(&second.write(folder.path(), "localhost"))
        .unwrap();
    assert!(get(port, &second, None).await.unwrap().contains(" 200 OK"));
    assert!(
        get(port, &first, None).await.is_err(),
        "no longer its authority"
    );
    let by_certificate = get(port, &second, Some("client.example.com"))
        .await
        .unwrap();
    assert!(by_certificate.contains(" 200 OK"), "{by_certificate}");
    std::fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    let broken = TlsConfig {
        cert: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
        client_ca: None,
    };
    assert!(matches!(
        tls.reload(&broken),
        Err(TlsError::Empty { .. } | TlsError::File { .. })
    ));
    assert!(
        get(port, &second, None).await.is_ok(),
        "what was read before stays"
    );
    running.handle.stop(false).await;
    server.await.unwrap().unwrap();
}

#[test]
fn files_that_cannot_serve_https_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Authority::new(), Authority::new());
    let good = one.write(folder.path(), "localhost");
    let missing = TlsConfig {
        key: folder.path().join("absent.pem"),
        ..good.clone()
    };
    assert!(matches!(Tls::open(&missing), Err(TlsError::File { .. })));
    let empty = TlsConfig {
        cert: good.key.clone(),
        ..good.clone()
    };
    assert!(matches!(Tls::open(&empty), Err(TlsError::Empty { .. })));
    std::fs::write(&good.key, other.leaf("localhost").1).unwrap();
    assert!(
        matches!(Tls::open(&good), Err(TlsError::Pair(_))),
        "the key of another"
    );
    let ca = folder.path().join("ca.pem");
    std::fs::write(
        &ca,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let again = one.write(elsewhere.path(), "localhost");
    let good = TlsConfig {
        client_ca: Some(ca),
        ..again
    };
    assert!(matches!(Tls::open(&good), Err(TlsError::ClientCa(_))));
}

#[test]
fn names_of_a_client_certificate_are_its_alternative_names() {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let (cert, _) = Authority::new().leaf("client.example.com");
    let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    assert_eq!(tls::names_of(&cert), ["client.example.com"]);
    assert!(tls::names_of(&CertificateDer::from(vec![1, 2, 3])).is_empty());
}
