//! Who may read the API, and over which certificate: opened at the start, exchanged at a reload.
//!
//! Does: open `[http.tls]` and `[[http.access]]`, tell what cannot be used. Does not: judge
//! requests (`http::access`).
//! In: a configuration. Out: what `http::serve` takes, and a way to exchange it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ocelli_config::Config;
use rustls::ServerConfig;
use tracing::{error, warn};

use crate::http::AccessList;
use crate::http::tls::{Tls, TlsError};
use crate::secrets::process_secrets;

/// Callers and certificate of the API.
pub struct HttpAccess {
    list: Arc<ArcSwap<AccessList>>,
    tls: Option<Tls>,
}

impl HttpAccess {
    /// Opens what the configuration names. An access that cannot be used lets nobody in; the log
    /// says why.
    ///
    /// # Errors
    /// [`TlsError`]: never plain HTTP where HTTPS was asked for.
    pub fn open(config: &Config) -> Result<Self, TlsError> {
        let tls = config.http.tls.as_ref().map(Tls::open).transpose()?;
        Ok(Self {
            list: Arc::new(ArcSwap::from_pointee(list_of(config))),
            tls,
        })
    }

    /// Follows another configuration. Whether HTTPS is served at all changes at a restart only.
    ///
    /// # Errors
    /// [`TlsError`]; all stays as it was.
    pub fn reload(&self, config: &Config) -> Result<(), TlsError> {
        match (&self.tls, &config.http.tls) {
            (Some(tls), Some(files)) => tls.reload(files)?,
            (None, None) => {}
            _ => warn!("[http.tls] begins or ends at the next restart"),
        }
        self.list.store(Arc::new(list_of(config)));
        Ok(())
    }

    /// Who is known, for the server.
    #[must_use]
    pub fn list(&self) -> Arc<ArcSwap<AccessList>> {
        Arc::clone(&self.list)
    }

    /// What HTTPS is served with, if it is.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn server_config(&self) -> Result<Option<ServerConfig>, TlsError> {
        self.tls.as_ref().map(Tls::server_config).transpose()
    }
}

fn list_of(config: &Config) -> AccessList {
    if config.http.insecure && !config.listen.http.ip().is_loopback() {
        warn!(address = %config.listen.http, "everyone who reaches the API reads everything");
    }
    let (list, unusable) = AccessList::open(config, &process_secrets());
    for (access, error) in unusable {
        error!(%access, %error, "an access lets nobody in");
    }
    list
}
