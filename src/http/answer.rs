//! What the routes of the read API answer with, and how they refuse. Reads nothing.

use super::problem::Problem;
use axum::{Json, http::StatusCode};
use serde::Serialize;
use serde_json::Value;
use utoipa::IntoResponses;

/// A page or a thing, or a problem.
pub(super) type Answer = Result<Json<Value>, Problem>;

/// How reading fails.
#[derive(IntoResponses)]
// The document is made of them; nobody makes one.
#[allow(dead_code)]
pub(super) enum Failures {
    /// A parameter is wrong; it is named
    #[response(status = 400, content_type = "application/problem+json")]
    Bad(#[to_schema] Problem),
    /// There is none
    #[response(status = 404, content_type = "application/problem+json")]
    None(#[to_schema] Problem),
    /// More than one fits
    #[response(status = 409, content_type = "application/problem+json")]
    Many(#[to_schema] Problem),
    /// The database does not answer
    #[response(status = 503, content_type = "application/problem+json")]
    Late(#[to_schema] Problem),
}

/// A value with its own JSON form, for answers made of several.
pub(super) fn form(value: impl Serialize) -> Value {
    // Stored rows have no maps with other keys than text: they always have a JSON form.
    serde_json::to_value(value).unwrap_or_default()
}

/// A wrong parameter, by its name.
pub(super) fn wrong(field: &str, why: impl Into<String>) -> Problem {
    Problem { field: Some(field.to_owned()), ..Problem::new(StatusCode::BAD_REQUEST, why) }
}
