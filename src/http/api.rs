//! What the routes of service, read API and actions share. Knows no route.

use super::{
    backtests::Backtests, broadcast::Events, extract::PageParams, health::Limits, problem::Problem, snapshot::Reader,
    targets::Targets, wire::time_ms, work_blobs::WorkBlobs,
};
use crate::HttpConfig;
use axum::http::StatusCode;
use clock::Clock;
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};
use store::{Page, Store};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// Limits on what a client may ask for.
pub(super) struct ApiLimits {
    pub(super) max_page_size: u32,
    pub(super) max_backtest_candles: i64,
    pub(super) max_client_strategies: u32,
    /// How long a backtest waits for its turn.
    pub(super) backtest_wait: Duration,
}

/// What the routes share.
pub(super) struct Api {
    pub(super) store: Store,
    pub(super) backtests: Arc<dyn Backtests>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: ApiLimits,
    /// Capital of a backtest that names none, quote units.
    pub(super) initial_capital: f64,
    /// What is asked of a backtest of a strategy from media.
    pub(super) media_limits: media::ClientLimits,
    /// Days of such a backtest where nobody says which.
    pub(super) backtest_days: u32,
    /// Families of media that are known so far.
    pub(super) families: tokio::sync::Mutex<media::Families>,
    /// A permit for each backtest that may run at once.
    pub(super) slots: Semaphore,
    /// Snapshots, shared with health and metrics.
    pub(super) reader: Arc<Reader>,
    pub(super) health_limits: Limits,
    pub(super) started_ms: i64,
    /// What the operator wants, for the overview.
    pub(super) targets: Targets,
    /// Who shows it may act.
    pub(super) action_token: Option<SecretString>,
    /// What workers fetch.
    pub(super) work_blobs: Option<WorkBlobs>,
    pub(super) events: Events,
    pub(super) stop: CancellationToken,
}

/// Rows of a page when nothing is said.
const USUAL_PAGE: u32 = 100;
/// Rows that can be left out at most.
const MOST_LEFT_OUT: u32 = 1_000_000_000;

impl ApiLimits {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self {
            max_page_size: config.max_page_size,
            max_backtest_candles: config.max_backtest_candles.into(),
            max_client_strategies: config.max_client_strategies,
            backtest_wait: Duration::from_secs(config.backtest_timeout_s / 10),
        }
    }
}

impl Api {
    /// The right to run a backtest, once it is free.
    pub(super) async fn slot(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let waiting = tokio::time::timeout(self.limits.backtest_wait, self.slots.acquire()).await;
        let full = || Problem::new(StatusCode::TOO_MANY_REQUESTS, "as many backtests run as http.max_backtests allows");
        waiting.ok().and_then(Result::ok).ok_or_else(full)
    }

    /// End of what a strategy from outside the search has seen, UTC ms: what the request states, or else all up to now.
    pub(super) async fn seen_until_ms(&self, stated: Option<&str>) -> Result<i64, Problem> {
        let wrong = |why: String| Problem::field("seen_until", why);
        let stated_ms = stated.map(time_ms).transpose().map_err(wrong)?;
        let now_ms = self.store.market_now_ms(self.clock.now_ms()).await?;
        store::seen_until(stated_ms, now_ms).map_err(wrong)
    }

    /// The page that is asked for, within limits.
    pub(super) fn page(&self, params: PageParams) -> Result<Page, Problem> {
        let most = self.limits.max_page_size;
        if params.offset.is_some_and(|offset| offset > MOST_LEFT_OUT) {
            let problem =
                Problem::new(StatusCode::BAD_REQUEST, format!("at most {MOST_LEFT_OUT} rows can be left out"));
            return Err(Problem { field: Some("offset".into()), ..problem });
        }
        let limit = params.limit.unwrap_or(USUAL_PAGE.min(most));
        if limit == 0 || limit > most {
            let problem =
                Problem::new(StatusCode::BAD_REQUEST, format!("1 to {most} rows are served at once, not {limit}"));
            return Err(Problem { field: Some("limit".into()), ..problem });
        }
        Ok(Page { limit, offset: params.offset.unwrap_or(0).into() })
    }
}
