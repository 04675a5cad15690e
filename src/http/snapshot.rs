//! What HTTP reads: one snapshot of the whole, and the seam through which it comes.
//!
//! Holds no history and no strategy by itself; only numbers that fit on a page.

use super::backtests::Backtests;
use async_trait::async_trait;
use genome::StrategyForm;
use lifecycle::State;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Name of the runner that searches, in the store's runner status.
pub const CONTINUOUS_RUNNER: &str = "continuous";
/// Name of the runner that extends paper trading, in the store's runner status.
pub const SHADOW_RUNNER: &str = "shadow";
/// Name of the runner that verifies the audit trail; its detail has the key `holds`.
pub const AUDIT_RUNNER: &str = "audit";

/// Name of the runner that walks the book, in the store's runner status.
pub const BOOK_RUNNER: &str = "book";

/// Name of the live tail, in the store's runner status; its detail is a [`TailState`](candles::tail::TailState).
pub const STREAM_RUNNER: &str = "stream";

/// The state of everything in numbers, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Why the database can store nothing, where it said so lately.
    pub lacks_room: Option<String>,
    /// Why candles cannot be cached, where that was so lately.
    pub cache_lacks_room: Option<String>,
    /// Whether anything here may rest on a simulated market.
    pub simulated: bool,
    /// Strategies now in each state.
    pub strategies: BTreeMap<State, u64>,
    /// The same by form.
    pub by_form: BTreeMap<StrategyForm, BTreeMap<State, u64>>,
    /// Strategies that ever were in each state.
    pub reached: BTreeMap<State, u64>,
    /// Transitions ever, by kind: `enter_shadow`, `go_live`, `demote`, `disable`, `revive`.
    pub transitions: BTreeMap<String, u64>,
    /// Strategies now disabled, by reason.
    pub disabled: BTreeMap<String, u64>,
    /// The latest generation of each island.
    pub islands: Vec<Island>,
    /// When the newest generation of all was stored, UTC ms.
    pub last_generation_ms: Option<i64>,
    /// Sessions, generations, evaluations and failed backtests ever.
    pub trials: Trials,
    /// Median profit factor of the strategies now in shadow.
    pub shadow_profit_factor: Option<f64>,
    /// Dead letters that nobody dealt with.
    pub open_dead_letters: u64,
    /// Notifications not delivered yet.
    pub outbox_pending: u64,
    /// Notifications given up.
    pub outbox_dead: u64,
    /// Real sessions beside those of the placebo island.
    pub protocol: Protocol,
    /// Where each feed of candles stands.
    pub feeds: Vec<Feed>,
    /// Where the live tail stands; `None` where none runs.
    pub stream: Option<Stream>,
    /// Where each runner stands.
    pub runners: Vec<Runner>,
    /// Open drift alerts: warnings and critical ones.
    pub drift_alerts: [u64; 2],
    /// The largest live deployments: a bounded number of them.
    pub deployments: Vec<Deployment>,
    /// Strategies that went live or were demoted within the hour: a bounded number of them.
    pub moves: Vec<Move>,
    /// Strategies that went live, and those that were demoted, in the last 30 days of market time.
    pub moved_lately: [u64; 2],
    /// Share of capital that all active deployments have (fraction).
    pub allocated: f64,
    /// Median win rate of the strategies now in shadow (fraction).
    pub shadow_win_rate: Option<f64>,
    /// ln E / ln threshold of the strategy in shadow that is nearest to live.
    pub shadow_evidence: Option<f64>,
    /// Trades that these have closed.
    pub shadow_trades: u64,
    /// What waits, by queue.
    pub queues: BTreeMap<&'static str, u64>,
    /// Volatility regime of each asset, 0 (low volatility) to 3 (extreme).
    pub regimes: Vec<(String, u8)>,
    /// When a daily review was last finished, wall time, UTC ms.
    pub last_review_ms: Option<i64>,
    /// What the last verification of the audit trail said; `None` before the first.
    pub audit: Option<Audit>,
    /// The newest book; `None` where there is none.
    pub book: Option<Book>,
    /// How work that is shared with workers stands.
    pub work: store::WorkStatus,
    /// Models as they were last looked at: a bounded number of them.
    pub models: Vec<Model>,
}

/// A model in a line; figures are of targets that came due in 90 days.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: store::ModelState,
    /// Why it fails, or what has drifted.
    pub reason: Option<String>,
    /// When it was looked at, wall time, UTC ms.
    pub watched_ms: i64,
    /// Close of its newest prediction, market time, UTC ms.
    pub predicted_ms: Option<i64>,
    /// Log loss of the constant forecast less the model's.
    pub gain: Option<f64>,
    /// Calibration error (fraction).
    pub calibration_error: Option<f64>,
    /// Evidence of drift over what it needs.
    pub drift: Option<f64>,
    /// Fits in a row, up to the newest, that failed.
    pub failed_fits: u64,
}

/// The newest book in a line; pairs are the book's and its placebo's.
#[derive(Clone, Debug, PartialEq)]
pub struct Book {
    /// Where it stands.
    pub state: State,
    /// ln E of all days.
    pub log_e: [Option<f64>; 2],
    /// What it must reach to go live.
    pub needed_log_e: Option<f64>,
    /// ln E of the days since its life began.
    pub life_log_e: Option<f64>,
    /// Annual, of hedged daily returns.
    pub hedged_sharpe: [Option<f64>; 2],
    /// Most negative equity / running peak - 1.
    pub max_drawdown: Option<f64>,
    /// Members of its newest block.
    pub members: u32,
    /// When that block ends, market time, UTC ms.
    pub block_end_ms: Option<i64>,
    /// End of its newest day, market time, UTC ms.
    pub day_end_ms: Option<i64>,
    /// When its newest step was stored, wall time, UTC ms.
    pub stepped_ms: i64,
    /// Share of capital that it has at work (fraction).
    pub allocated: f64,
}

/// A live deployment in a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Name of the strategy.
    pub strategy: String,
    /// Return of the live run so far (fraction).
    pub total_return: Option<f64>,
}

/// A strategy that went live or was demoted a short while ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Id of the strategy.
    pub strategy_id: String,
    /// Its name.
    pub strategy: String,
    /// `go_live` or `demote`.
    pub kind: String,
    /// Wall time, UTC ms.
    pub at_ms: i64,
}

/// The last verification of the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Whether the whole chain holds.
    pub holds: bool,
    /// Wall time, UTC ms.
    pub verified_ms: i64,
}

/// The latest generation of one island.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Island {
    pub name: String,
    pub form: StrategyForm,
    pub session: u64,
    pub generation: u32,
    /// 0 to 100.
    pub best_fitness: Option<f64>,
    /// Of the population, 0 to 100.
    pub mean_fitness: Option<f64>,
    /// UTC ms.
    pub stored_ms: i64,
}

/// Counts of the search, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Trials {
    pub sessions: u64,
    pub generations: u64,
    pub evaluations: u64,
    pub failures: u64,
}

/// Real sessions beside those of the placebo island, which searches null markets through the same code and gates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Protocol {
    /// Sessions on the real market.
    pub real: Passed,
    /// Sessions on null markets.
    pub placebo: Passed,
    /// Null searches made for p-values, ever.
    pub null_searches: u64,
    /// Their backtests.
    pub null_evaluations: u64,
    /// P-value of real sessions getting through no more often than placebo ones; `None` while nothing got through.
    pub p_value: Option<f64>,
    /// Whether promotions are frozen, because the two cannot be told apart.
    pub frozen: bool,
    /// What tests cost now; `None` before the first session.
    pub tests: Option<Tests>,
}

/// The account that tests of candidates are bought from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tests {
    /// What is there, in expected false promotions.
    pub balance: f64,
    /// Bought over the last market year.
    pub bought_last_year: u64,
    /// What these cost, in expected false promotions.
    pub spent_last_year: f64,
    /// What a market year may cost.
    pub allowed_per_year: f64,
    /// E-value at which a candidate goes live whose test is bought now; `None` while none is sold.
    pub promotion_threshold: Option<f64>,
    /// The same with a full account.
    pub least_threshold: f64,
    /// When tests are sold again, UTC ms of the market; `None` while they are.
    pub sells_ms: Option<i64>,
    /// When it is full, UTC ms of the market; `None` while it is.
    pub full_ms: Option<i64>,
}

/// How far sessions of one kind got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Sessions that ended.
    pub sessions: u64,
    /// Of them, those whose strategies rank the market.
    pub ranking_sessions: u64,
    /// Of them, those whose search beat its null searches.
    pub selected: u64,
    /// Of them, those with a strategy that entered shadow.
    pub entered: u64,
    /// Strategies that went live.
    pub promoted: u64,
}

/// Where a feed of candles stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Feed {
    /// Symbol, with the market in front unless it is spot: `BTCUSDT`, `um:BTCUSDT`.
    pub name: String,
    /// Interval, such as `15m`.
    pub interval: String,
    /// Length of one candle, ms.
    pub interval_ms: i64,
    /// Close time of the newest closed candle, UTC ms of the exchange.
    pub newest_close_ms: Option<i64>,
    /// The exchange's time at the last refresh, UTC ms; `None` when it was not noted.
    pub exchange_time_ms: Option<i64>,
    /// Wall time of the last refresh, UTC ms.
    pub refreshed_ms: i64,
    /// Missing candles known of.
    pub gaps: u64,
    /// What went wrong at the last refresh, if it failed.
    pub error: Option<String>,
}

impl Feed {
    /// How far the newest candle was behind the exchange at the last refresh, seconds.
    #[must_use]
    pub fn behind_s(&self) -> Option<f64> {
        let behind = self.exchange_time_ms?.saturating_sub(self.newest_close_ms?);
        Some(behind.max(0) as f64 / 1000.0)
    }

    /// Wall time since the last refresh, seconds.
    #[must_use]
    pub(crate) fn refresh_age_s(&self, now_ms: i64) -> f64 {
        age_s(now_ms, self.refreshed_ms)
    }
}

/// Where the live tail of candles stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Whether the exchange is listened to now.
    pub connected: bool,
    /// Close time of the newest candle that it told, UTC ms of the exchange.
    pub last_candle_ms: Option<i64>,
    /// Connections after the first, in the process that runs it.
    pub reconnects: u64,
    /// Why it is not connected.
    pub error: Option<String>,
    /// When it was last seen connected, wall time, UTC ms.
    pub last_connected_ms: Option<i64>,
    /// Last sign of life of the process that runs it, wall time, UTC ms.
    pub heartbeat_ms: i64,
}

/// Where a runner stands. Times are wall times, UTC ms.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Runner {
    pub name: String,
    pub last_success_ms: Option<i64>,
    pub last_error: Option<String>,
    pub consecutive_failures: u32,
    pub heartbeat_ms: i64,
}

/// Wall time between two moments in ms, seconds, never negative.
pub(super) fn age_s(now_ms: i64, then_ms: i64) -> f64 {
    now_ms.saturating_sub(then_ms).max(0) as f64 / 1000.0
}

/// Where snapshots come from. The store implements it.
#[async_trait]
pub trait Readings: Send + Sync + 'static {
    /// A fresh snapshot.
    ///
    /// # Errors
    /// One line saying why the database did not answer; it holds no secret.
    async fn snapshot(&self) -> Result<Snapshot, String>;
}

/// Reads snapshots within a time limit, and shares each among those who ask at the same moment.
pub(super) struct Reader {
    readings: Arc<dyn Readings>,
    candles: Option<Arc<dyn Backtests>>,
    limit: Duration,
    newest: Mutex<Option<(Instant, Snapshot)>>,
}

/// How long a snapshot is handed out before another is read: many scrapers must not cost as many reads.
const SHARED_FOR: Duration = Duration::from_millis(250);

impl Reader {
    /// With `candles` snapshots say whether there is room for them.
    pub(super) fn new(readings: Arc<dyn Readings>, candles: Option<Arc<dyn Backtests>>, limit: Duration) -> Self {
        Self { readings, candles, limit, newest: Mutex::new(None) }
    }

    /// A snapshot, or why there is none. Waiting for another reader counts towards the limit.
    pub(super) async fn read(&self) -> Result<Snapshot, String> {
        let read = async {
            let mut newest = self.newest.lock().await;
            if let Some((at, snapshot)) = &*newest
                && at.elapsed() < SHARED_FOR
            {
                return Ok(snapshot.clone());
            }
            let snapshot = self.readings.snapshot().await?;
            *newest = Some((Instant::now(), snapshot.clone()));
            Ok(snapshot)
        };
        let late = || format!("no answer within {} ms", self.limit.as_millis());
        let mut read = tokio::time::timeout(self.limit, read).await.unwrap_or_else(|_| Err(late()))?;
        // This process knows by itself, and at once.
        read.cache_lacks_room = self.candles.as_ref().and_then(|candles| candles.lacks_room());
        Ok(read)
    }
}
