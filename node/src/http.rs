//! HTTP: the API of a node, its own metrics and its health.
//!
//! Does: bind the server to its listeners with limits, hold what all routes share, wire the routes.
//! Does not: decide what a filter matches (`model`), read the bus by itself (`bus`), poll.
//! In: [`ApiState`], bound [`Listeners`]. Out: a running server and its handle.
//! Invariant: every request passes `guard` first, which looks its row up in `openapi`.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use arc_swap::ArcSwap;
use ocelli_bus::read::RecordSource;
use ocelli_model::clock::Clock;
use rustls::ServerConfig;

pub mod access;
mod body;
mod control;
mod cursors;
pub mod device_metrics;
mod discovery;
pub mod discovery_view;
pub mod error;
mod events;
pub mod exposition;
mod gaps;
mod guard;
mod health;
mod lines;
mod links;
mod list;
mod mesh;
mod metrics_route;
mod nodes;
mod openapi;
mod own_metrics;
mod parameters;
mod resources;
pub(crate) mod sample_view;
mod samples;
mod socket;
mod standing;
mod subscribe;
pub mod tls;
mod uplink;
mod value_key;
pub mod view;

use crate::control::Control;
pub use access::AccessList;
pub use error::ApiError;
pub use list::{ListQuery, page, page_of};
pub use view::NodeView;

/// Threads that serve requests; polling has its own.
const WORKERS: usize = 2;
/// Open connections a worker, beside those of subscriptions; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1_024;
/// Waiting connections in the kernel.
const BACKLOG: u32 = 256;
/// A client sends its request head within this time or is cut off.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// An idle connection is kept so long.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// A stop waits so long for answers that are on their way.
const SHUTDOWN_SECONDS: u64 = 2;

/// What all routes share. Cheap to clone: each worker holds one.
#[derive(Clone)]
pub struct ApiState {
    /// The node as the API shows it.
    pub view: Arc<dyn NodeView>,
    /// What is read, subscribed to and counted.
    pub records: Arc<RecordSource>,
    /// The way to the node's main thread, for commands.
    pub control: Control,
    /// The node's clock: ages, and times relative to now.
    pub clock: Arc<dyn Clock>,
}

/// Bound sockets: binding comes first, so that a port in use is known before anything starts.
pub struct Listeners {
    /// The configured address.
    pub tcp: std::net::TcpListener,
    /// `DATA_DIR/ocelli.sock`, mode 0660.
    pub unix: Option<UnixListener>,
    /// Serves HTTPS on `tcp`; `None`: plain HTTP.
    pub tls: Option<ServerConfig>,
    /// Subscriptions that may be open: each has a connection.
    pub subscriptions_max: usize,
    /// Who is known; what is stored here later is in force from the next request on.
    pub access: Arc<ArcSwap<AccessList>>,
}

/// A server and the handle that stops it.
pub struct RunningHttp {
    /// Resolves when the server has stopped; must be awaited or spawned.
    pub server: Server,
    /// Stops it.
    pub handle: ServerHandle,
}

/// Serves the API on `listeners`. Must be called inside an actix system.
///
/// # Errors
/// An I/O error if the sockets cannot be taken over.
pub fn serve(state: ApiState, listeners: Listeners) -> std::io::Result<RunningHttp> {
    let Listeners {
        tcp,
        unix,
        tls,
        subscriptions_max,
        access,
    } = listeners;
    tcp.set_nonblocking(true)?;
    let own_address = tcp.local_addr()?.ip();
    let server = HttpServer::new(move || {
        let policy = guard::Policy {
            own_address,
            access: Arc::clone(&access),
        };
        App::new()
            .app_data(web::Data::new(state.clone()))
            .app_data(web::Data::new(policy))
            .app_data(web::PayloadConfig::new(body::BODY_BYTES_MAX))
            .app_data(
                web::JsonConfig::default()
                    .error_handler(|error, _| ApiError::of_body(&error.into()).into()),
            )
            .app_data(
                web::QueryConfig::default()
                    .error_handler(|error, _| ApiError::of_query(&error).into()),
            )
            .wrap(from_fn(guard::check))
            .configure(routes)
            .default_service(web::route().to(error::not_found))
    });
    let server = server
        .workers(WORKERS)
        .max_connections(CONNECTIONS_MAX + subscriptions_max)
        .backlog(BACKLOG)
        .client_request_timeout(REQUEST_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .on_connect(guard::note_connection);
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(tcp, tls)?,
        None => server.listen(tcp)?,
    };
    let server = match unix {
        Some(unix) => {
            unix.set_nonblocking(true)?;
            server.listen_uds(unix)?
        }
        None => server,
    };
    let server = server.run();
    let handle = server.handle();
    Ok(RunningHttp { server, handle })
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .configure(health::routes)
        .configure(resources::routes)
        .configure(subscribe::routes)
        .configure(samples::routes)
        .configure(cursors::routes)
        .configure(discovery::routes)
        .configure(control::routes)
        .configure(gaps::routes)
        .configure(events::routes)
        .configure(links::routes)
        .configure(metrics_route::routes)
        .configure(mesh::routes)
        .configure(uplink::routes)
        .configure(nodes::routes)
        .configure(openapi::routes);
}

#[cfg(test)]
#[path = "http/http_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "http/scope_tests.rs"]
mod scope_tests;

#[cfg(test)]
#[path = "http/reading_tests.rs"]
mod reading_tests;
