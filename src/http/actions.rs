//! What operators may do: only with the bearer token of the settings, never without one, always with an audit entry.
//!
//! Decides and moves nothing: a command is left in the store and the daemon obeys.

use super::{
    answer::{Answer, form},
    api::Api,
    extract::{At, Body},
    problem::Problem,
};
use axum::{
    Json,
    extract::{ConnectInfo, FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use store::{Command, CommandKind, NewCommand, Request};
use subtle::ConstantTimeEq;
use utoipa::{IntoResponses, ToSchema};

type Api_ = State<Arc<Api>>;

/// How acting fails.
#[derive(IntoResponses)]
// The document is made of them; nobody makes one.
#[allow(dead_code)]
pub(super) enum Refusals {
    /// It was done
    #[response(status = 200)]
    Done(#[to_schema] Outcome),
    /// It waits for the daemon
    #[response(status = 202)]
    Waits(#[to_schema] Outcome),
    /// The request is not JSON
    #[response(status = 400, content_type = "application/problem+json")]
    Bad(#[to_schema] Problem),
    /// No token, or a wrong one
    #[response(status = 401, content_type = "application/problem+json")]
    Stranger(#[to_schema] Problem),
    /// Nobody may act: no token is set
    #[response(status = 403, content_type = "application/problem+json")]
    Off(#[to_schema] Problem),
    /// There is none
    #[response(status = 404, content_type = "application/problem+json")]
    None(#[to_schema] Problem),
    /// It cannot be done now
    #[response(status = 409, content_type = "application/problem+json")]
    Cannot(#[to_schema] Problem),
    /// The body is too large
    #[response(status = 413, content_type = "application/problem+json")]
    Large(#[to_schema] Problem),
    /// The body is not sent as JSON
    #[response(status = 415, content_type = "application/problem+json")]
    Kind(#[to_schema] Problem),
    /// A field is wrong; it is named
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(#[to_schema] Problem),
    /// The database does not answer
    #[response(status = 503, content_type = "application/problem+json")]
    Late(#[to_schema] Problem),
}

/// Why it is done, and by whom, for the record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// Why.
    #[schema(min_length = 1, max_length = 500, pattern = r"^[^\x00]*\S[^\x00]*$", example = "spreads have widened")]
    why: String,
    /// Who, beside that the token was shown.
    #[serde(default)]
    #[schema(max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", example = "alice")]
    by: Option<String>,
    /// State in which whoever asks has seen the strategy, for actions upon strategies: in another one nothing is done.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "candidate")]
    from: Option<lifecycle::State>,
    /// For revivals: a day (00:00 UTC) or a moment up to which the strategy has seen candles, where that is not now.
    #[serde(default)]
    #[schema(example = "2024-03-01")]
    seen_until: Option<String>,
}

/// What became of it.
#[derive(ToSchema)]
// Stands for the answer's form in the document.
#[allow(dead_code)]
pub(super) struct Outcome {
    /// Number of the command, where one was left.
    command_id: Option<i64>,
    /// Null while it waits.
    done: Option<bool>,
    /// In a line.
    outcome: Option<String>,
}

/// Somebody who showed the token, a keyed hash of the address, and the name that the client gives to the request.
pub(super) struct Operator {
    ip_hash: Option<String>,
    key: Option<String>,
}

/// The client's name for a request: sent again with the same one, it is the same request.
const KEY: &str = "idempotency-key";

/// Reads [`KEY`].
fn key_of(parts: &Parts) -> Result<Option<String>, Problem> {
    let Some(value) = parts.headers.get(KEY) else { return Ok(None) };
    let key = value.to_str().ok().map(str::trim).filter(|key| (1..=200).contains(&key.len()));
    let why = "1 to 200 printable ASCII characters are expected";
    key.map(|key| Some(key.to_owned())).ok_or_else(|| Problem::field("Idempotency-Key", why))
}

impl FromRequestParts<Arc<Api>> for Operator {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Some(token) = &api.action_token else {
            return Err(Problem::new(StatusCode::FORBIDDEN, "nobody may act: http.action_token is not set"));
        };
        let token = token.expose_secret().as_bytes();
        let shown = super::quotas::bearer(&parts.headers).unwrap_or_default();
        if !bool::from(shown.as_bytes().ct_eq(token)) {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "the bearer token of http.action_token is needed"));
        }
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let ip_hash = address.and_then(|ConnectInfo(address)| {
            // Keyed: there are so few addresses that a plain hash is no secret.
            let mac = Hmac::<Sha256>::new_from_slice(token).ok()?;
            Some(hex::encode(mac.chain_update(address.ip().to_string()).finalize().into_bytes()))
        });
        Ok(Self { ip_hash, key: key_of(parts)? })
    }
}

impl Operator {
    fn request(self, reason: Reason) -> Result<Request, Problem> {
        let (why, by) = (reason.why, reason.by.unwrap_or_default());
        if why.trim().is_empty() || why.chars().count() > 500 || why.contains('\0') {
            return Err(Problem::field("why", "1 to 500 characters are expected, not all of them spaces"));
        }
        if by.chars().count() > 64 || by.chars().any(char::is_control) {
            return Err(Problem::field("by", "at most 64 characters and no control characters are expected"));
        }
        let (why, by) = (why.trim().to_owned(), by.trim());
        let actor = if by.is_empty() { "operator over HTTP".to_owned() } else { format!("operator {by} over HTTP") };
        Ok(Request { actor, ip_hash: self.ip_hash, why })
    }
}

/// A reason for what is no action upon a strategy.
fn of_no_state(reason: Reason) -> Result<Reason, Problem> {
    match (&reason.from, &reason.seen_until) {
        (Some(_), _) => Err(Problem::field("from", "only a strategy has a state: leave it out")),
        (_, Some(_)) => {
            Err(Problem::field("seen_until", "only a strategy that is revived has seen candles: leave it out"))
        }
        (None, None) => Ok(reason),
    }
}

/// How long an action waits for the daemon to obey before it answers that it waits.
const PATIENCE: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(100);

async fn obeyed(api: &Api, left: Command) -> Result<(StatusCode, Json<Value>), Problem> {
    let until = tokio::time::Instant::now() + PATIENCE;
    let (id, mut command) = (left.id, left);
    loop {
        let outcome = json!({ "command_id": id, "done": command.done, "outcome": command.outcome });
        match command.done {
            Some(true) => return Ok((StatusCode::OK, Json(outcome))),
            Some(false) => return Err(Problem::new(StatusCode::CONFLICT, command.outcome.unwrap_or_default())),
            None if tokio::time::Instant::now() > until => return Ok((StatusCode::ACCEPTED, Json(outcome))),
            None => tokio::time::sleep(LOOK).await,
        }
        command = api.store.command(id).await?;
    }
}

type Acted = Result<(StatusCode, Json<Value>), Problem>;

/// Disable, revive or approve a strategy
///
/// Approving lets it go one state further (candidate to shadow, shadow to live) without the gate: by exactly one, from the
/// state that it is in when the request comes, however often the request is sent with the same key. An hour later nobody
/// obeys it any more.
#[utoipa::path(post, path = "/api/strategies/{id}/{action}", tag = "actions", request_body = Reason, security(("token" = [])),
    params(("id" = String, Path, description = "Number, id, name, or the first characters of id or genome hash"),
        ("action" = String, Path, description = "disable, revive or approve"),
        ("Idempotency-Key" = Option<String>, Header, description = "The client's name for this request: sent again, it is the same one",
            min_length = 1, max_length = 200, pattern = "^[!-~]+$")), responses(Refusals))]
pub(super) async fn strategy_action(
    State(api): Api_,
    operator: Operator,
    Path((id, action)): Path<(String, String)>,
    Body(reason): Body<Reason>,
) -> Acted {
    let kind = match action.as_str() {
        "disable" => CommandKind::Disable,
        "revive" => CommandKind::Revive,
        "approve" => CommandKind::Approve,
        _ => return Err(Problem::new(StatusCode::NOT_FOUND, "there are disable, revive and approve")),
    };
    let (key, expected_state) = (operator.key.clone(), reason.from);
    if reason.seen_until.is_some() && kind != CommandKind::Revive {
        return Err(Problem::field("seen_until", "only a revival states what a strategy has seen: leave it out"));
    }
    let seen_until_ms = match &reason.seen_until {
        Some(text) => Some(api.seen_until_ms(Some(text)).await?),
        None => None,
    };
    let request = operator.request(reason)?;
    let strategy = api.store.find_strategy(&id.replace('\0', "")).await?;
    let target = &strategy.id.to_string();
    let new = NewCommand { kind, target, expected_state, key: key.as_deref(), seen_until_ms };
    obeyed(&api, api.store.leave_command(&new, &request).await?).await
}

/// Let a runner rest, or go on
#[utoipa::path(post, path = "/api/runners/{name}/{action}", tag = "actions", request_body = Reason, security(("token" = [])),
    params(("name" = String, Path, description = "continuous or shadow"), ("action" = String, Path, description = "pause or resume")),
    responses(Refusals))]
pub(super) async fn runner_action(
    State(api): Api_,
    operator: Operator,
    Path((name, action)): Path<(String, String)>,
    Body(reason): Body<Reason>,
) -> Acted {
    let paused = match (name.as_str(), action.as_str()) {
        ("continuous" | "shadow", "pause") => true,
        ("continuous" | "shadow", "resume") => false,
        _ => return Err(Problem::new(StatusCode::NOT_FOUND, "there are continuous and shadow, pause and resume")),
    };
    let request = operator.request(of_no_state(reason)?)?;
    api.store.pause_runner(&name, paused, &request).await?;
    let outcome = if paused { "it rests when what it does now is done" } else { "it goes on" };
    Ok((StatusCode::OK, Json(json!({ "command_id": null, "done": true, "outcome": format!("{name}: {outcome}") }))))
}

/// Run the failed backtest of a dead letter again
#[utoipa::path(post, path = "/api/dead-letters/{id}/retry", tag = "actions", request_body = Reason, security(("token" = [])),
    params(("id" = i64, Path, description = "Its number")), responses(Refusals))]
pub(super) async fn retry(State(api): Api_, operator: Operator, At(id): At<i64>, Body(reason): Body<Reason>) -> Acted {
    let key = operator.key.clone();
    let request = operator.request(of_no_state(reason)?)?;
    let target = &id.to_string();
    let new =
        NewCommand { kind: CommandKind::Retry, target, expected_state: None, key: key.as_deref(), seen_until_ms: None };
    obeyed(&api, api.store.leave_command(&new, &request).await?).await
}

/// Acknowledge a drift alert
#[utoipa::path(post, path = "/api/drift-alerts/{id}/acknowledge", tag = "actions", request_body = Reason, security(("token" = [])),
    params(("id" = i64, Path, description = "Its number")), responses(Refusals))]
pub(super) async fn acknowledge(
    State(api): Api_,
    operator: Operator,
    At(id): At<i64>,
    Body(reason): Body<Reason>,
) -> Acted {
    let request = operator.request(of_no_state(reason)?)?;
    api.store.acknowledge_alert(id, &request.actor, Some(&request.why), request.ip_hash.as_deref()).await?;
    Ok((
        StatusCode::OK,
        Json(json!({ "command_id": null, "done": true, "outcome": format!("alert {id} is acknowledged") })),
    ))
}

/// Whether the token is right
#[utoipa::path(get, path = "/api/token", tag = "actions", security(("token" = [])), responses(Refusals))]
pub(super) async fn token(_: Operator) -> Answer {
    Ok(Json(form(json!({ "done": true, "outcome": "the token is right" }))))
}
