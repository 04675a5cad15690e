//! Errors on the wire: `application/problem+json` (RFC 9457). Never repeats internals or secrets.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Problem {
    /// Short, the same for every case of its kind.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong in this case, and what would be right.
    pub detail: String,
    /// The field of the request at fault, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// A problem whose title is the status's own.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { title, status: status.as_u16(), detail: detail.into(), field: None }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        (status, headers, serde_json::to_string(&self).unwrap_or_default()).into_response()
    }
}
