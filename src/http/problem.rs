//! Errors on the wire: `application/problem+json` (RFC 9457). Never repeats internals or secrets.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use store::StoreError;

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// Short, the same for every case of its kind.
    pub(crate) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What was wrong in this case, and what would be right.
    pub(crate) detail: String,
    /// The field of the request at fault, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
}

impl Problem {
    /// A problem whose title is the status's own.
    #[must_use]
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        let detail = telemetry::without_user_info(&detail.into()).into_owned();
        Self { title, status: status.as_u16(), detail, field: None }
    }

    /// A request that could be read and cannot be done, because of this field.
    #[must_use]
    pub(crate) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (status, headers, serde_json::to_string(&self).unwrap_or_default()).into_response();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("2"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::NotFound { .. } => StatusCode::NOT_FOUND,
            StoreError::Ambiguous { .. } | StoreError::Conflict(_) | StoreError::RanksMarket { .. } => {
                StatusCode::CONFLICT
            }
            StoreError::Unreachable(_) | StoreError::Timeout(_) => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::Full(why) => {
                // What the server says names its files.
                tracing::error!(why, "the database has no room for a request");
                let detail = "the database cannot store anything: its disk is full, or it has run out of memory";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
            }
            StoreError::NameTaken { .. } => {
                return Self { field: Some("name".to_owned()), ..Self::new(StatusCode::CONFLICT, error.to_string()) };
            }
            StoreError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            _ => {
                // What the database said is for the log: it may quote what it holds.
                tracing::error!(%error, "the store could not answer a request");
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "this is a defect of ours; the log says more");
            }
        };
        Self::new(status, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_no_defect_of_ours_and_is_worth_another_try() {
        let why = "could not extend file \"base/5/16384\": No space left on device".to_owned();
        let problem = Problem::from(StoreError::Full(why));
        assert_eq!((problem.status, problem.detail.contains("disk is full")), (503, true), "{problem:?}");
        assert!(!problem.detail.contains("base/5"), "{problem:?}");
        assert!(problem.into_response().headers().contains_key(header::RETRY_AFTER));
    }
}
