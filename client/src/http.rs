//! One connection over HTTP or HTTPS.
//!
//! Does: ask for `records` as server-sent events, whose signs of life tell a quiet node from a dead
//! one; long cursors go in a body. Does not: dial again (`follow`).
//! In: settings, a place to go on from. Out: lines of records.

use std::time::Duration;

use bytes::Bytes;
use ocelli_model::clock::Clock;
use ocelli_model::line_buffer::LineBuffer;
use reqwest::{Certificate, Client, Identity, Response, StatusCode, Url};
use serde_json::Value;

use crate::follow::FollowError;
use crate::settings::{Proofs, Settings, SettingsError};

/// A node that does not take a connection, or does not begin to answer, for so long is down.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A node says that it lives each 15 s; three signs missed.
const SILENCE_MAX: Duration = Duration::from_secs(50);
/// Longest cursor that goes into a URL.
const CURSOR_IN_URL_MAX: usize = 2_048;
/// Of an error's body.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// A stream that was begun.
pub(crate) struct HttpStream {
    response: Response,
    lines: LineBuffer,
}

/// A client for all connections.
pub(crate) fn client(proofs: &Proofs, is_secure: bool) -> Result<Client, SettingsError> {
    // An error says that there is a provider already.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let refuse = |what| {
        move |error: reqwest::Error| SettingsError::Proof {
            what,
            reason: error.to_string(),
        }
    };
    let mut builder = Client::builder().connect_timeout(ANSWER_MAX).no_proxy();
    if !is_secure {
        // No certificate is looked at, so none of the system's is read.
        builder = builder.tls_certs_only([]);
    } else if let Some(pem) = &proofs.ca_pem {
        let roots = Certificate::from_pem_bundle(pem).map_err(refuse("the authority"))?;
        builder = builder.tls_certs_only(roots);
    }
    if let (Some(certificate), Some(key)) = (&proofs.certificate_pem, &proofs.key_pem)
        && is_secure
    {
        let pem = [certificate, &b"\n"[..], key.expose()].concat();
        let identity = Identity::from_pem(&pem).map_err(refuse("the certificate"))?;
        builder = builder.identity(identity);
    }
    builder.build().map_err(refuse("the TLS configuration"))
}

impl HttpStream {
    pub(crate) async fn begin(
        (client, url): (&Client, &Url),
        settings: &Settings,
        (from, clock): (&str, &dyn Clock),
    ) -> Result<Self, FollowError> {
        let mut url = url.clone();
        url.set_path("/v1/subscribe");
        let is_long = from.len() > CURSOR_IN_URL_MAX;
        {
            let mut query = url.query_pairs_mut();
            query.clear().append_pair("format", "sse");
            query.extend_pairs(settings.filter.iter().map(|filter| ("filter", filter)));
            query.extend_pairs(settings.groups.iter().map(|group| ("group", group)));
            query.extend_pairs(settings.metrics.iter().map(|metric| ("metric", metric)));
            if settings.rebase {
                query.append_pair("rebase", "true");
            }
            if !is_long {
                query.append_pair("from", from);
            }
        }
        let request = if is_long {
            client.post(url).body(from.to_owned())
        } else {
            client.get(url)
        };
        let request = match &settings.proofs.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let response = within(clock, ANSWER_MAX, request.send()).await?;
        let response = response.map_err(|error| FollowError::lost(&error))?;
        if response.status().is_success() {
            let lines = LineBuffer::default();
            return Ok(Self { response, lines });
        }
        Err(refusal(response).await)
    }

    /// The next line of a record; `None`: the node has ended the stream.
    pub(crate) async fn next_line(
        &mut self,
        clock: &dyn Clock,
    ) -> Result<Option<Bytes>, FollowError> {
        loop {
            while let Some(line) = self.lines.pop()? {
                // Ids repeat the cursor line, comments are signs of life.
                if let Some(data) = line.strip_prefix(b"data: ") {
                    return Ok(Some(line.slice_ref(data)));
                }
            }
            let chunk = within(clock, SILENCE_MAX, self.response.chunk()).await?;
            match chunk.map_err(|error| FollowError::lost(&error))? {
                None => return Ok(None),
                Some(chunk) => self.lines.push(&chunk),
            }
        }
    }
}

async fn within<T>(
    clock: &dyn Clock,
    limit: Duration,
    future: impl Future<Output = T>,
) -> Result<T, FollowError> {
    tokio::select! {
        done = future => Ok(done),
        () = clock.sleep_until(clock.monotonic().after(limit)) => Err(FollowError::Lost {
            reason: format!("nothing came for {limit:?}"),
        }),
    }
}

/// What the node says, by `{"error":{"code","message","hint"}}`.
async fn refusal(mut response: Response) -> FollowError {
    let status = response.status();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > REFUSAL_BYTES_MAX {
            break;
        }
    }
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text_of = |key: &str| answer["error"][key].as_str().unwrap_or_default().to_owned();
    let reason = match text_of("message") {
        message if message.is_empty() => format!("the node answered {status}"),
        message => message,
    };
    let is_for_now = status.is_server_error()
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if is_for_now {
        return FollowError::Lost { reason };
    }
    FollowError::Refused {
        code: status.as_u16(),
        reason,
        hint: text_of("hint"),
    }
}
