//! Errors of the API: one shape, `{"error":{"code","message","hint"}}`, with the fitting status.
//!
//! Does: name what went wrong and what to do. Does not: log; the client was told.
//! In: a failed request. Out: JSON.

use std::fmt;

use actix_web::error::QueryPayloadError;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde_json::json;

use super::body::BODY_BYTES_MAX;

/// A refused or failed request.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    hint: String,
}

impl ApiError {
    /// An error with a stable code.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, (message, hint): (&str, &str)) -> Self {
        let (message, hint) = (message.to_owned(), hint.to_owned());
        Self {
            status,
            code,
            message,
            hint,
        }
    }

    /// 400: a parameter that cannot be read.
    #[must_use]
    pub fn bad_request(message: &str, hint: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", (message, hint))
    }

    /// 404: nothing of that name, or nothing that this client may see.
    #[must_use]
    pub fn not_found(message: &str, hint: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", (message, hint))
    }

    /// 400: what the framework could not read of a query string.
    #[must_use]
    pub fn of_query(error: &QueryPayloadError) -> Self {
        let message = match error {
            QueryPayloadError::Deserialize(error) => error.to_string(),
            error => error.to_string(),
        };
        Self::bad_request(&message, "see /v1/openapi.json")
    }

    /// 400, or 413 for a body that is too large.
    #[must_use]
    pub fn of_body(error: &actix_web::Error) -> Self {
        let status = error.as_response_error().status_code();
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            let message = format!("the body is larger than {BODY_BYTES_MAX} bytes");
            let hint = "a cursor that long is folded: subscribe anew with from=TIME";
            return Self::new(status, "body_too_large", (&message, hint));
        }
        Self::bad_request(&error.to_string(), "see /v1/openapi.json")
    }

    /// 503: the part of the node that answers this is not up.
    #[must_use]
    pub fn unavailable(message: &str, hint: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            (message, hint),
        )
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let Self {
            code,
            message,
            hint,
            ..
        } = self;
        let error = json!({"error": {"code": code, "message": message, "hint": hint}});
        let mut response = HttpResponse::build(self.status);
        // What of the request is still to come is not read: the next one cannot be found behind it.
        if self.status == StatusCode::REQUEST_TIMEOUT {
            response.force_close();
        }
        response.json(error)
    }
}

/// Whatever no route serves.
pub(super) async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let message = format!("no route {} {}", request.method(), request.path());
    Err(ApiError::not_found(
        &message,
        "routes are listed in /v1/openapi.json",
    ))
}
