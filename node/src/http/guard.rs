//! Who may ask: `Host` and `Origin` are checked, and without a token nothing changes.
//!
//! Does: refuse names that a rebinding page would use, foreign pages, and every method but reading.
//! Does not: know tokens or TLS; those come with `[[http.access]]`.
//! In: a request head. Out: the request goes on, or an [`ApiError`].

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web;

use super::ApiError;

/// POST is allowed where it only carries a long cursor.
const READING_POSTS: &[&str] = &["/v1/subscribe"];

/// What the listener knows of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    pub(super) own_address: IpAddr,
}

/// Runs before every route.
pub(super) async fn check(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let text = |name: header::HeaderName| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap_or("?").to_owned())
    };
    let policy = request.app_data::<web::Data<Policy>>();
    let own_address = policy.map_or(IpAddr::from([127, 0, 0, 1]), |policy| policy.own_address);
    let verdict = judge(&Head {
        method: request.method(),
        path: request.path(),
        host: text(header::HOST).as_deref(),
        origin: text(header::ORIGIN).as_deref(),
        own_address,
    });
    if let Some(refused) = verdict {
        return Err(refused.into());
    }
    next.call(request).await
}

/// What is judged of a request.
struct Head<'a> {
    method: &'a Method,
    path: &'a str,
    host: Option<&'a str>,
    origin: Option<&'a str>,
    own_address: IpAddr,
}

fn judge(head: &Head<'_>) -> Option<ApiError> {
    let refuse = |code, message: String, hint| {
        Some(ApiError::new(StatusCode::FORBIDDEN, code, (&message, hint)))
    };
    // HTTP/1.0 clients send none; a page in a browser always does.
    if let Some(host) = head
        .host
        .filter(|host| !is_own_name(host, head.own_address))
    {
        let message = format!("this node does not answer to the name {host:?}");
        return refuse(
            "host_refused",
            message,
            "ask it as localhost or by its address",
        );
    }
    let is_own_page = |origin: &str| {
        let authority = origin
            .split_once("://")
            .map_or(origin, |(_, authority)| authority);
        head.host == Some(authority)
    };
    if let Some(origin) = head.origin.filter(|origin| !is_own_page(origin)) {
        let message = format!("pages of {origin:?} may not ask this node");
        return refuse(
            "origin_refused",
            message,
            "ask from a script or from the node's own pages",
        );
    }
    let is_reading = matches!(*head.method, Method::GET | Method::HEAD)
        || (head.method == Method::POST && READING_POSTS.contains(&head.path));
    if !is_reading {
        let message = format!("{} changes something, which needs a token", head.method);
        let error = ("read_only", "use the ocelli command on the node itself");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        return Some(ApiError::new(status, error.0, (&message, error.1)));
    }
    None
}

/// `localhost`, a loopback address, or the address that the node listens on; with any port.
fn is_own_name(host: &str, own_address: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let is_own = |address: IpAddr| address.is_loopback() || address == own_address;
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head<'a>(host: &'a str, origin: Option<&'a str>) -> Head<'a> {
        Head {
            method: &Method::GET,
            path: "/v1/resources",
            host: Some(host),
            origin,
            own_address: IpAddr::from([192, 0, 2, 7]),
        }
    }

    #[test]
    fn only_own_names_and_own_pages_are_answered() {
        let check = |host: &str, origin: Option<&str>, is_allowed: bool| {
            assert_eq!(
                judge(&head(host, origin)).is_none(),
                is_allowed,
                "{host} {origin:?}"
            );
        };
        check("localhost:7780", None, true);
        check("127.0.0.1:7780", None, true);
        check("127.9.8.7", None, true);
        check("[::1]:7780", None, true);
        check("192.0.2.7:7780", None, true);
        check("192.0.2.8:7780", None, false);
        check("evil.example.com", None, false);
        check("localhost.evil.example.com:7780", None, false);
        check("", None, false);
        check("localhost:7780", Some("http://localhost:7780"), true);
        check("localhost:7780", Some("http://evil.example.com"), false);
        check("localhost:7780", Some("null"), false);
    }

    #[test]
    fn what_changes_something_is_refused_and_a_reading_post_is_not() {
        let check = |method: &Method, path: &str, is_allowed: bool| {
            let head = Head {
                method,
                path,
                ..head("localhost", None)
            };
            assert_eq!(judge(&head).is_none(), is_allowed, "{method} {path}");
        };
        check(&Method::HEAD, "/v1/status", true);
        check(&Method::POST, "/v1/subscribe", true);
        check(&Method::POST, "/v1/resources", false);
        check(&Method::DELETE, "/v1/subscribe", false);
    }
}
