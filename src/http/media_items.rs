//! Media items: what videos say, posted by clients and answered with features. Proposes and tests nothing.

use super::{
    api::Api,
    extract::{Body, Params},
    problem::Problem,
};
use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use media::{FEATURE_NAMES, Features, Item, KeywordHit, Transcript};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Imported, MediaItem, MediaLine, MediaStrategy};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

type Api_ = State<Arc<Api>>;

/// Strategies of an item that are told.
const STRATEGIES_TOLD: u32 = 50;

/// The number of an item in a path.
pub(super) struct MediaId(pub(super) i32);

impl<S: Send + Sync> FromRequestParts<S> for MediaId {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let field = Some("media_item_id".to_owned());
        match Path::<i64>::from_request_parts(parts, state).await {
            Ok(Path(id)) => media::check_id(id).map(Self).map_err(Problem::from),
            Err(rejection) => Err(Problem { field, ..Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()) }),
        }
    }
}

impl From<media::Invalid> for Problem {
    fn from(invalid: media::Invalid) -> Self {
        Self::field(invalid.field, invalid.problem)
    }
}

/// What was found in a video. Lists that are left out are empty.
#[derive(ToSchema)]
// Stands for the body's form in the document; the body is read as [`Item`].
#[allow(dead_code)]
pub(super) struct MediaItemRequest {
    /// Words of the trade that were recognised.
    #[schema(max_items = 10000)]
    keyword_hits: Option<Vec<KeywordHitRequest>>,
    /// What was said, a segment each.
    #[schema(max_items = 10000)]
    transcripts: Option<Vec<TranscriptRequest>>,
    /// Vectors of one length, of at most 8,192 numbers each.
    #[schema(max_items = 10000, example = json!([[0.1, 0.7, 0.2]]))]
    embeddings: Option<Vec<Vec<f64>>>,
}

/// A word of the trade that was recognised.
#[derive(ToSchema)]
// Stands for the body's form in the document.
#[allow(dead_code)]
pub(super) struct KeywordHitRequest {
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\s\x00]([^\x00]*[^\s\x00])?$", example = "RSI")]
    keyword: String,
    /// `technical_indicator`, `price_action`, `risk_management` and `order_type` are counted.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\s\x00]([^\x00]*[^\s\x00])?$",
        example = "technical_indicator"
    )]
    category: String,
    /// Seconds from the beginning.
    #[schema(minimum = 0, maximum = 10000000, example = 12.0)]
    start_time: f64,
    /// Seconds from the beginning, not before `start_time`.
    #[schema(minimum = 0, maximum = 10000000, example = 12.8)]
    end_time: f64,
    #[schema(minimum = 0, maximum = 1, example = 0.93)]
    confidence: f64,
}

/// Something that was said.
#[derive(ToSchema)]
// Stands for the body's form in the document.
#[allow(dead_code)]
pub(super) struct TranscriptRequest {
    #[schema(max_length = 20000, pattern = r"^[^\x00]*$", example = "we buy when the RSI is below thirty")]
    text: String,
    /// Seconds from the beginning.
    #[schema(minimum = 0, maximum = 10000000, example = 10.0)]
    start_time: f64,
    /// Seconds from the beginning, not before `start_time`.
    #[schema(minimum = 0, maximum = 10000000, example = 14.0)]
    end_time: f64,
}

/// Items that tell the same idea.
#[derive(Serialize, ToSchema)]
pub(super) struct FamilyView {
    id: i64,
    /// How many there are.
    size: u64,
    /// The first 20 of them.
    items: Vec<i32>,
    /// When strategies of one of them were proposed first: from then on the family counts as one trial. Null before.
    tried_at: Option<DateTime<Utc>>,
}

impl From<&MediaItem> for FamilyView {
    fn from(item: &MediaItem) -> Self {
        Self {
            id: item.family,
            size: item.family_size,
            items: item.family_items.clone(),
            tried_at: item.family_tried_at,
        }
    }
}

/// The features of an item.
#[derive(Serialize, ToSchema)]
pub(super) struct FeaturesAnswer {
    media_item_id: i32,
    /// By their names.
    #[schema(value_type = Object)]
    features: Features,
    /// The same values, in the order of `feature_names`.
    feature_vector: Vec<f64>,
    #[schema(value_type = Vec<String>)]
    feature_names: &'static [&'static str],
    /// False where the same content was stored before.
    created: bool,
    /// True where it took the place of other content of this number.
    replaced: bool,
    family: FamilyView,
}

/// Store a media item
///
/// Answers its features. The same content under the same number is stored once.
#[utoipa::path(post, path = "/media/{media_item_id}/features", tag = "media", request_body = MediaItemRequest, security((), ("token" = [])),
    params(("media_item_id" = i32, Path, minimum = 1, description = "The client's number of the item")), responses(
    (status = 200, description = "It was stored before, or took the place of other content", body = FeaturesAnswer),
    (status = 201, description = "It is stored", body = FeaturesAnswer),
    (status = 400, description = "The body is not JSON, or the number is none", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No token, or a wrong one, where http.client_token is set", body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "The body is not sent as JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "A field is wrong; it is named", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many were posted from this address", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn post_features(
    State(api): Api_,
    MediaId(id): MediaId,
    Body(item): Body<Item>,
) -> Result<Response, Problem> {
    item.check()?;
    let mut families = api.families.lock().await;
    let imported = api.store.import_media(&mut families, vec![(id, item)], api.clock.now_ms()).await?;
    drop(families);
    let stored = api.store.media_item(id).await?;
    let answer = FeaturesAnswer {
        media_item_id: id,
        feature_vector: stored.features.array(),
        feature_names: FEATURE_NAMES,
        created: matches!(imported[..], [Imported::Created(_)]),
        replaced: matches!(imported[..], [Imported::Replaced(_)]),
        family: FamilyView::from(&stored),
        features: stored.features,
    };
    let status = if answer.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(answer)).into_response())
}

/// A strategy that was proposed of an item.
#[derive(Serialize, ToSchema)]
pub(super) struct MediaStrategyView {
    /// `features`: as existing clients expect it; `lexicon`: in the whole language.
    #[schema(value_type = String, example = "features")]
    kind: store::ProposalKind,
    /// False where the item's content was replaced since.
    current: bool,
    /// Null, like all of the strategy, once it has left because nobody used it.
    strategy_id: Option<i64>,
    uuid: Option<Uuid>,
    name: Option<String>,
    /// In the language's canonical form.
    rules: Option<String>,
    description: Option<String>,
    backtest_id: Option<i64>,
    /// `promoted` or `not_promoted`, by three limits on the backtest; null where it was not tested.
    status: Option<String>,
    reason: Option<String>,
    /// The honest verdict: its state now.
    #[schema(value_type = Option<String>)]
    state: Option<lifecycle::State>,
    proposed_at: DateTime<Utc>,
}

impl From<MediaStrategy> for MediaStrategyView {
    fn from(row: MediaStrategy) -> Self {
        let strategy = row.strategy;
        let of = strategy.as_ref();
        Self {
            kind: row.kind,
            current: row.is_current,
            strategy_id: of.map(|s| s.number),
            uuid: of.map(|s| s.id),
            name: of.map(|s| s.name.clone()),
            rules: of.map(|s| s.canonical.clone()),
            description: of.and_then(|s| Some(s.genome.read().ok()?.describe())),
            backtest_id: row.backtest_id,
            status: row.status,
            reason: row.reason,
            state: of.map(|s| s.state),
            proposed_at: row.created_at,
        }
    }
}

/// A stored item.
#[derive(Serialize, ToSchema)]
pub(super) struct MediaItemAnswer {
    media_item_id: i32,
    #[schema(value_type = Object)]
    features: Features,
    feature_vector: Vec<f64>,
    #[schema(value_type = Vec<String>)]
    feature_names: &'static [&'static str],
    family: FamilyView,
    /// SHA-256 of the content.
    digest: String,
    #[schema(value_type = Vec<Object>)]
    keyword_hits: Vec<KeywordHit>,
    #[schema(value_type = Vec<Object>)]
    transcripts: Vec<Transcript>,
    /// How many there are.
    embedding_count: usize,
    /// Only with `embeddings=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    embeddings: Option<Vec<Vec<f64>>>,
    /// What the lexicon finds in it, idea by idea.
    #[schema(value_type = Object)]
    lexicon: media::LexiconProposal,
    /// The last 50, newest first.
    strategies: Vec<MediaStrategyView>,
    created_at: DateTime<Utc>,
    /// When its content was last replaced.
    updated_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MediaItemParams {
    /// Whether the embeddings are told, too.
    embeddings: Option<bool>,
}

/// A media item
///
/// With its features, its family, and the strategies that were proposed of it.
#[utoipa::path(get, path = "/media/{media_item_id}", tag = "media",
    params(("media_item_id" = i32, Path, minimum = 1, description = "The client's number of the item"), MediaItemParams), responses(
    (status = 200, description = "The item", body = MediaItemAnswer),
    (status = 400, description = "The number is none, or a parameter is wrong", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "There is no such item", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The number cannot be one of an item", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn media_item(
    State(api): Api_,
    MediaId(id): MediaId,
    Params(params): Params<MediaItemParams>,
) -> Result<Json<MediaItemAnswer>, Problem> {
    let stored = api.store.media_item(id).await?;
    let strategies = api.store.media_strategies(id, STRATEGIES_TOLD).await?;
    let lexicon = media::propose(&stored.item, api.backtests.customary().0);
    let family = FamilyView::from(&stored);
    let Item { keyword_hits, transcripts, embeddings } = stored.item;
    Ok(Json(MediaItemAnswer {
        media_item_id: id,
        features: stored.features,
        feature_vector: stored.features.array(),
        feature_names: FEATURE_NAMES,
        family,
        digest: stored.digest,
        keyword_hits,
        transcripts,
        embedding_count: embeddings.len(),
        embeddings: params.embeddings.unwrap_or(false).then_some(embeddings),
        lexicon,
        strategies: strategies.into_iter().map(Into::into).collect(),
        created_at: stored.created_at,
        updated_at: stored.updated_at,
    }))
}

/// An item in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct MediaLineView {
    media_item_id: i32,
    family: i64,
    family_size: u64,
    keyword_hits: u64,
    #[schema(value_type = Object)]
    features: Features,
    /// Of the newest strategy of each kind.
    verdicts: Vec<KindVerdict>,
    updated_at: DateTime<Utc>,
}

/// A page of items.
#[derive(Serialize, ToSchema)]
pub(super) struct MediaItemsAnswer {
    items: Vec<MediaLineView>,
}

/// What three limits said of a proposal.
#[derive(Serialize, ToSchema)]
pub(super) struct KindVerdict {
    /// `features` or `lexicon`.
    kind: String,
    /// `promoted`, `not_promoted`; null where it was not tested.
    status: Option<String>,
}

impl From<MediaLine> for MediaLineView {
    fn from(line: MediaLine) -> Self {
        Self {
            media_item_id: line.id,
            family: line.family,
            family_size: line.family_size,
            keyword_hits: line.keyword_hits,
            features: line.features,
            verdicts: line.verdicts.into_iter().map(|(kind, status)| KindVerdict { kind, status }).collect(),
            updated_at: line.updated_at,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MediaListParams {
    /// At most so many; `http.max_page_size` is the most.
    #[param(minimum = 1, example = 100)]
    limit: Option<u32>,
    /// Leave out so many first.
    #[param(minimum = 0, maximum = 1_000_000_000)]
    offset: Option<u32>,
    /// Of this family alone.
    family: Option<i64>,
}

/// Media items
///
/// Those that were stored last first.
#[utoipa::path(get, path = "/api/media", tag = "read", params(MediaListParams), responses(
    (status = 200, description = "The page", body = MediaItemsAnswer),
    (status = 400, description = "A parameter is wrong; it is named", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn media_items(
    State(api): Api_,
    Params(params): Params<MediaListParams>,
) -> Result<Json<MediaItemsAnswer>, Problem> {
    let page = api.page(super::extract::PageParams { limit: params.limit, offset: params.offset })?;
    let lines = api.store.media_items(params.family, page).await?;
    Ok(Json(MediaItemsAnswer { items: lines.into_iter().map(Into::into).collect() }))
}
