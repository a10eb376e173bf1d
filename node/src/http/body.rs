//! Bodies of requests: read to their end before a route sees them, within a size and a time.
//!
//! Does: collect a body, refuse one that is too large or that does not come. Does not: parse it.
//! In: a request that was admitted. Out: the same with its body in memory, or an [`ApiError`].
//! Limits: [`BODY_BYTES_MAX`], [`BODY_TIMEOUT`]: a client that sends a byte an hour would hold its
//! connection, and there are `CONNECTIONS_MAX` of them.

use std::pin::pin;
use std::time::Duration;

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::{Method, StatusCode};
use actix_web::web;
use bytes::Bytes;
use futures_util::future::{Either, select};

use super::{ApiError, ApiState};

/// Largest request body: a cursor in a POST (design: 1 MiB).
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// A body has come within this time after its head, or is cut off.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads the body of `request`; one of GET means nothing and is left alone.
pub(super) async fn read(request: &mut ServiceRequest) -> Result<(), ApiError> {
    let state = request.app_data::<web::Data<ApiState>>().cloned();
    let Some(state) = state.filter(|_| *request.method() != Method::GET) else {
        return Ok(());
    };
    let deadline = state.clock.monotonic().after(BODY_TIMEOUT);
    let body = pin!(request.extract::<Bytes>());
    let read = match select(body, state.clock.sleep_until(deadline)).await {
        Either::Left((body, _)) => body.map_err(|error| ApiError::of_body(&error))?,
        Either::Right(_) => return Err(too_slow()),
    };
    request.set_payload(Payload::from(read));
    Ok(())
}

fn too_slow() -> ApiError {
    let message = format!("the body did not come within {BODY_TIMEOUT:?}");
    let hint = "send as many bytes as content-length says";
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "body_timeout",
        (&message, hint),
    )
}
