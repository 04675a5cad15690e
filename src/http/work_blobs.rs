//! What shared work looks at (candles, settings of a search), for workers: by digest, packed as it is stored, to whoever shows
//! the token of workers.
//!
//! Unpacks and verifies nothing: whoever fetches does, and trusts no way that the bytes came.

use super::{answer::wrong, api::Api, extract::At, problem::Problem};
use async_trait::async_trait;
use axum::{
    body::{Body, Bytes},
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use futures::stream::BoxStream;
use secrecy::{ExposeSecret, SecretString};
use std::{io, sync::Arc};
use subtle::ConstantTimeEq;

/// A blob as it is stored: packed with zstd.
pub struct StoredBlob {
    /// Its size, bytes.
    pub bytes: u64,
    /// Its parts, in order.
    pub parts: BoxStream<'static, io::Result<Bytes>>,
}

/// Where blobs lie.
#[async_trait]
pub trait BlobPlace: Send + Sync {
    /// The blob whose unpacked bytes have this SHA-256 (64 small hex digits); `None` where there is none.
    ///
    /// # Errors
    /// When the place cannot be read.
    async fn open(&self, sha256: &str) -> io::Result<Option<StoredBlob>>;
}

/// What workers fetch, and who may.
pub struct WorkBlobs {
    /// Who shows it may fetch.
    pub token: SecretString,
    /// Where it lies.
    pub place: Arc<dyn BlobPlace>,
}

/// Somebody who showed the token of workers.
pub(super) struct Fetcher(Arc<dyn BlobPlace>);

impl FromRequestParts<Arc<Api>> for Fetcher {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let Some(WorkBlobs { token, place }) = &api.work_blobs else {
            return Err(Problem::new(StatusCode::FORBIDDEN, "nobody may fetch blobs of work: work.token is not set"));
        };
        let shown = super::quotas::bearer(&parts.headers).unwrap_or_default();
        if !bool::from(shown.as_bytes().ct_eq(token.expose_secret().as_bytes())) {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "the bearer token of work.token is needed"));
        }
        Ok(Self(Arc::clone(place)))
    }
}

/// What a work item looks at: packed with zstd, named by the SHA-256 of what it unpacks to
///
/// For workers (`work.blobs` set to this server's address), with the bearer token `work.token`. Never changes under its name,
/// so caches may keep it.
#[utoipa::path(get, path = "/api/blobs/{sha256}", tag = "read", security(("token" = [])),
    params(("sha256" = String, Path, description = "64 small hex digits", pattern = "^[0-9a-f]{64}$")),
    responses((status = 200, description = "The blob, as it is stored", content_type = "application/zstd", body = [u8]),
        (status = 400, description = "It is no digest", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Another token, or none", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "No token is set", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is none", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The place cannot be read", body = Problem, content_type = "application/problem+json")))]
pub(super) async fn work_blob(Fetcher(place): Fetcher, At(sha256): At<String>) -> Result<Response, Problem> {
    if sha256.len() != 64 || !sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(wrong("sha256", "64 small hex digits are expected: the SHA-256 of a blob"));
    }
    let found = place.open(&sha256).await.map_err(|error| {
        tracing::error!(%error, sha256, "a blob of work cannot be read");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the place of blobs cannot be read now; the log says why")
    })?;
    let Some(StoredBlob { bytes, parts }) = found else {
        let why =
            format!("there is no blob {sha256}: it was never posted here, or it was removed after days without use");
        return Err(Problem::new(StatusCode::NOT_FOUND, why));
    };
    let headers = [
        (header::CONTENT_TYPE, "application/zstd".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::ETAG, format!("\"{sha256}\"")),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}
