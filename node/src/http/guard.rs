//! Who may ask: names and origins are checked, then who asks, then whether the route is theirs.
//!
//! Does: refuse names that a rebinding page would use and foreign pages; find the caller; look the
//! route's row up; hand HEAD to the route of GET. Does not: know tokens (`access`) or rows
//! (`openapi`), read bodies (`body`).
//! In: a request head. Out: the request goes on with its caller, or an [`ApiError`].

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::MessageBody;
use actix_web::dev::{Extensions, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::rt::net::{TcpStream, UnixStream};
use actix_web::{HttpMessage as _, HttpRequest, web};
use arc_swap::ArcSwap;

use super::access::{AccessList, Caller, Came, Proof, Rule, verdict};
use super::{ApiError, ApiState, body, openapi, tls};

/// The route whose answer does not end.
const ENDLESS: &str = "/v1/subscribe";

/// What the listener knows of itself.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) own_address: IpAddr,
    pub(super) access: Arc<ArcSwap<AccessList>>,
}

/// What a connection is known by from its first moment on.
#[derive(Debug, Clone, Default)]
struct Connection {
    is_socket: bool,
    /// User id of the process at the other end of the socket, as the kernel says.
    uid: Option<u32>,
    names: Vec<String>,
}

/// Notes how a connection came in, and the names of its client's certificate.
pub(super) fn note_connection(stream: &dyn Any, data: &mut Extensions) {
    let names = |tls: &TlsStream<TcpStream>| {
        let certificates = tls.get_ref().1.peer_certificates();
        certificates.and_then(<[_]>::first).map(tls::names_of)
    };
    let tls = stream.downcast_ref::<TlsStream<TcpStream>>();
    let socket = stream.downcast_ref::<UnixStream>();
    let peer = socket.and_then(|socket| socket.peer_cred().ok());
    data.insert(Connection {
        is_socket: socket.is_some(),
        uid: peer.map(|peer| peer.uid()),
        names: tls.and_then(names).unwrap_or_default(),
    });
}

/// User id of who asks over the node's socket.
pub(super) fn peer_uid(request: &HttpRequest) -> Option<u32> {
    request
        .conn_data::<Connection>()
        .and_then(|connection| connection.uid)
}

/// Runs before every route.
pub(super) async fn check(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let caller = admit(&request)?;
    request.extensions_mut().insert(caller);
    // The answer goes out without its body: the encoder knows what was asked. A stream has no end
    // that one could wait for.
    if *request.method() == Method::HEAD && request.path() != ENDLESS {
        request.head_mut().method = Method::GET;
    }
    body::read(&mut request).await?;
    next.call(request).await
}

fn admit(request: &ServiceRequest) -> Result<Arc<Caller>, ApiError> {
    let text = |name: header::HeaderName| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap_or("?").to_owned())
    };
    let missing = || ApiError::unavailable("this listener has no policy", "report this");
    let policy = request
        .app_data::<web::Data<Policy>>()
        .ok_or_else(missing)?;
    let state = request
        .app_data::<web::Data<ApiState>>()
        .ok_or_else(missing)?;
    let connection = request.conn_data::<Connection>();
    let access = policy.access.load();
    let came = match connection {
        Some(connection) if connection.is_socket => Came::Socket,
        _ if policy.own_address.is_loopback() => Came::Loopback,
        _ => Came::Network,
    };
    let authorization = text(header::AUTHORIZATION);
    let proof = Proof {
        token: authorization.as_deref().map(bearer),
        names: connection.map_or(&[], |connection| &connection.names),
    };
    let caller = access.caller(came, proof, state.clock.wall())?;
    let pattern = request.match_pattern();
    let head = Head {
        method: request.method(),
        rule: pattern
            .as_deref()
            .map(|pattern| openapi::rule(request.method(), pattern)),
        host: text(header::HOST).as_deref(),
        origin: text(header::ORIGIN).as_deref(),
        has_token: proof.token.is_some(),
        own_address: policy.own_address,
        hosts: access.hosts(),
    }
    .judge(&caller);
    head.map_or(Ok(caller), Err)
}

/// The token of `Bearer TOKEN`; of any other scheme the whole, which nobody has.
fn bearer(authorization: &str) -> &str {
    match authorization.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => authorization,
    }
}

/// What is judged of a request.
struct Head<'a> {
    method: &'a Method,
    /// `None`: no such path. `Some(None)`: not by this method.
    rule: Option<Option<Rule>>,
    host: Option<&'a str>,
    origin: Option<&'a str>,
    has_token: bool,
    own_address: IpAddr,
    hosts: &'a [String],
}

impl Head<'_> {
    /// `None`: the request goes on.
    fn judge(&self, caller: &Caller) -> Option<ApiError> {
        if let Some(refused) = self.foreign() {
            return Some(refused);
        }
        match self.rule {
            None => None,
            Some(None) => {
                let message = format!("{} is nothing that this route does", self.method);
                let error = ("read_only", "see /v1/openapi.json for what it does");
                let status = StatusCode::METHOD_NOT_ALLOWED;
                Some(ApiError::new(status, error.0, (&message, error.1)))
            }
            Some(Some(rule)) => verdict(caller, rule),
        }
    }

    fn foreign(&self) -> Option<ApiError> {
        let refuse = |code, message: String, hint| {
            Some(ApiError::new(StatusCode::FORBIDDEN, code, (&message, hint)))
        };
        // HTTP/1.0 clients send none; a page in a browser always does, and never has a token.
        if let Some(host) = self
            .host
            .filter(|host| !self.has_token && !self.is_own_name(host))
        {
            let message = format!("this node does not answer to the name {host:?}");
            let hint = "ask it as localhost or by its address, or add the name to http.hosts";
            return refuse("host_refused", message, hint);
        }
        let is_own_page = |origin: &str| {
            let authority = origin.split_once("://");
            self.host == Some(authority.map_or(origin, |(_, authority)| authority))
        };
        let origin = self.origin.filter(|origin| !is_own_page(origin))?;
        let message = format!("pages of {origin:?} may not ask this node");
        let hint = "ask from a script or from the node's own pages";
        refuse("origin_refused", message, hint)
    }

    /// `localhost`, a loopback address, the address listened on, a configured name; any port.
    /// Where all addresses are listened on, each is its own: a name is what rebinding needs.
    fn is_own_name(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(""),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let is_own = |address: IpAddr| {
            address.is_loopback()
                || address == self.own_address
                || self.own_address.is_unspecified()
        };
        let is_known = |known: &String| known.eq_ignore_ascii_case(name);
        name.eq_ignore_ascii_case("localhost")
            || name.parse().is_ok_and(is_own)
            || self.hosts.iter().any(is_known)
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
