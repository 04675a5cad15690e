//! Every metric, declared once; the doc comment is its help text.
//!
//! Two kinds. *Measured* ones (counters and histograms) live in this process and start at zero. *Mirrored* ones state
//! what the database holds: they are written at each scrape from what was read, so they survive restarts and agree
//! between processes; what is undefined is left out. Label values are constants or bounded by configuration; nothing
//! here grows with the number of strategies or generations.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::{fmt::Write, sync::OnceLock, time::Duration};

/// What Prometheus is told a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// A gauge whose name other systems rely on although it ends in `_total`, which linters allow to counters only.
    Untyped,
}

/// A declaration.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Name as scraped.
    pub name: &'static str,
    /// Type as scraped.
    pub kind: Kind,
    /// Help text, from the doc comment.
    pub help: &'static str,
    /// Label names, in order.
    pub labels: &'static [&'static str],
    /// Whether it is written from the database at each scrape.
    pub mirrored: bool,
}

macro_rules! declare {
    (@mirrored Mirrored) => { true };
    (@mirrored $measured:ident) => { false };
    ($( $(#[doc = $help:literal])+ $type:ident $constant:ident = $name:literal [$($label:literal),*] ($kind:ident); )+) => {
        $( $(#[doc = $help])+ pub const $constant: $type = $type(Metric {
            name: $name, kind: Kind::$kind, help: concat!($($help),+), labels: &[$($label),*],
            mirrored: declare!(@mirrored $type),
        }); )+
        /// Every metric.
        pub const ALL: &[Metric] = &[$($constant.0),+];
    };
}

/// Counts events of this process.
#[derive(Clone, Copy, Debug)]
pub struct Counter(Metric);
/// Counts events of this process by one label.
#[derive(Clone, Copy, Debug)]
pub struct CounterBy(Metric);
/// Times of this process.
#[derive(Clone, Copy, Debug)]
pub struct Timer(Metric);
/// Times of this process by one label.
#[derive(Clone, Copy, Debug)]
pub struct TimerBy(Metric);
/// A level of this process, by one label or none.
#[derive(Clone, Copy, Debug)]
pub struct Level(Metric);
/// Counts events of this process that something else counts already.
#[derive(Clone, Copy, Debug)]
pub struct Count(Metric);
/// Written at each scrape from what the database holds.
#[derive(Clone, Copy, Debug)]
pub struct Mirrored(Metric);

declare! {
    /// Activations of a loop of the daemon that failed.
    CounterBy STEP_FAILURES_TOTAL = "sg_ai_step_failures_total" ["step"] (Counter);
    /// Time of one activation of a loop of the daemon.
    TimerBy STEP_SECONDS = "sg_ai_step_seconds" ["step"] (Histogram);
    /// Time of one generation of the search, from breeding to its commit.
    TimerBy GENERATION_SECONDS = "sg_ai_generation_seconds" ["form"] (Histogram);
    /// Time of one item of shared work that this process did for a daemon.
    TimerBy WORK_SECONDS = "sg_ai_work_seconds" ["kind"] (Histogram);
    /// Time of a generation over its backtests, one observation a generation.
    TimerBy BACKTEST_SECONDS = "sg_ai_backtest_seconds" ["form"] (Histogram);
    /// Memory that the cache of indicator columns and condition results holds.
    Level CACHE_BYTES = "sg_ai_cache_bytes" [] (Gauge);
    /// Memory that the process holds (resident).
    Level MEMORY_BYTES = "sg_ai_memory_bytes" [] (Gauge);
    /// Memory that it is to hold at most (daemon.max_memory_mb); 0 without a limit.
    Level MEMORY_LIMIT_BYTES = "sg_ai_memory_limit_bytes" [] (Gauge);
    /// How often the engine's cache was dropped because the process came near that limit.
    Counter MEMORY_DROPS_TOTAL = "sg_ai_memory_drops_total" [] (Counter);
    /// Look-ups in the engine's cache that found something.
    Count CACHE_HITS_TOTAL = "sg_ai_cache_hits_total" [] (Counter);
    /// Look-ups in the engine's cache that found nothing.
    Count CACHE_MISSES_TOTAL = "sg_ai_cache_misses_total" [] (Counter);
    /// What the candle cache takes, where it has a budget.
    Level CANDLE_CACHE_BYTES = "sg_ai_candle_cache_bytes" [] (Gauge);
    /// Months and former contents of months that the candle cache's budget removed in this process.
    Counter CANDLE_CACHE_EVICTIONS_TOTAL = "sg_ai_candle_cache_evictions_total" [] (Counter);
    /// Free space of the file system that a directory lies on.
    Level DISK_FREE_BYTES = "sg_ai_disk_free_bytes" ["directory"] (Gauge);
    /// Size of the file system that a directory lies on.
    Level DISK_SIZE_BYTES = "sg_ai_disk_size_bytes" ["directory"] (Gauge);
    /// Backtests done by the search in this process, by form of strategy: rules, ranking.
    CounterBy BACKTESTS_TOTAL = "sg_ai_backtests_total" ["form"] (Counter);
    /// Backtests of the search that failed in this process.
    CounterBy BACKTEST_FAILURES_TOTAL = "sg_ai_backtest_failures_total" ["form"] (Counter);
    /// Time of one extension of paper trading, all strategies together.
    Timer SHADOW_PASS_SECONDS = "sg_ai_shadow_pass_seconds" [] (Histogram);
    /// Time of one database transaction, by name.
    TimerBy QUERY_SECONDS = "sg_ai_query_seconds" ["transaction"] (Histogram);
    /// Database transactions that were not committed, by name.
    CounterBy QUERY_FAILURES_TOTAL = "sg_ai_query_failures_total" ["transaction"] (Counter);
    /// Time of one request to the exchange, retries apart.
    Timer EXCHANGE_REQUEST_SECONDS = "sg_ai_exchange_request_seconds" [] (Histogram);
    /// Requests to the exchange that failed: by rate limit, server error, transport or unreadable answer.
    Counter EXCHANGE_FAILURES_TOTAL = "sg_ai_exchange_failures_total" [] (Counter);
    /// Time of one HTTP answer of ours, by route.
    TimerBy HTTP_REQUEST_SECONDS = "sg_ai_http_request_seconds" ["route"] (Histogram);
    /// HTTP answers of ours by class of status: 2xx, 4xx, 5xx.
    CounterBy HTTP_RESPONSES_TOTAL = "sg_ai_http_responses_total" ["class"] (Counter);
    /// Connections to our HTTP server that are open, those of both ports.
    Level HTTP_CONNECTIONS = "sg_ai_http_connections" [] (Gauge);
    /// Connections that were ended because they were silent and others wanted their place.
    Counter HTTP_CONNECTIONS_ENDED_TOTAL = "sg_ai_http_connections_ended_total" [] (Counter);
    /// Memory that answers hold which are shared among readers: those that are kept and those on their way.
    Level ANSWER_CACHE_BYTES = "sg_ai_answer_cache_bytes" [] (Gauge);
    /// Shared answers that were dropped before they expired, because others needed their memory.
    Counter ANSWER_CACHE_EVICTIONS_TOTAL = "sg_ai_answer_cache_evictions_total" [] (Counter);
    /// Attempts at delivering a notification, by outcome: delivered, retried, given_up.
    CounterBy DELIVERIES_TOTAL = "sg_ai_deliveries_total" ["outcome"] (Counter);
    /// Refreshes of the mirrored metrics that failed, because the database did not answer in time.
    Counter MIRROR_FAILURES_TOTAL = "sg_ai_mirror_failures_total" [] (Counter);

    /// Version of the running program; always 1.
    Mirrored BUILD_INFO = "sg_ai_build_info" ["version"] (Gauge);
    /// Whether the database answered at this scrape: 1 or 0.
    Mirrored DATABASE_UP = "sg_ai_database_up" [] (Gauge);
    /// Best fitness (0 to 100) of the latest generation of each island; generation is always "latest".
    Mirrored GENERATION_FITNESS = "sg_ai_generation_fitness" ["generation", "island", "form"] (Gauge);
    /// Strategies in each state.
    Mirrored STRATEGIES_TOTAL = "sg_ai_strategies_total" ["status"] (Untyped);
    /// Strategies in each state by form: rules, ranking. The sum over forms is sg_ai_strategies_total.
    Mirrored STRATEGIES = "sg_ai_strategies" ["status", "form"] (Gauge);
    /// Median profit factor of the strategies now in shadow; absent while none has one.
    Mirrored SHADOW_PF = "sg_ai_shadow_pf" [] (Gauge);
    /// Promotions ever made, by the state that was reached: shadow or live.
    Mirrored PROMOTIONS_TOTAL = "sg_ai_promotions_total" ["status"] (Counter);
    /// Demotions from live ever made.
    Mirrored DEMOTIONS_TOTAL = "sg_ai_demotions_total" [] (Counter);
    /// Disablings ever made.
    Mirrored DISABLINGS_TOTAL = "sg_ai_disablings_total" [] (Counter);
    /// When the latest generation was stored, seconds since the Unix epoch.
    Mirrored LAST_GENERATION_TIMESTAMP = "sg_ai_last_generation_timestamp" [] (Gauge);
    /// Generations ever finished.
    Mirrored GENERATIONS_TOTAL = "sg_ai_generations_total" [] (Counter);
    /// Strategies ever evaluated by a search.
    Mirrored EVALUATIONS_TOTAL = "sg_ai_evaluations_total" [] (Counter);
    /// Search sessions that ended, on the real market and on null markets (placebo), by form of strategy.
    Mirrored PROTOCOL_SESSIONS_TOTAL = "sg_ai_protocol_sessions_total" ["market", "form"] (Counter);
    /// Sessions whose search beat its null searches.
    Mirrored PROTOCOL_SELECTED_TOTAL = "sg_ai_protocol_selected_total" ["market"] (Counter);
    /// Sessions with a strategy that entered shadow.
    Mirrored PROTOCOL_ENTERED_TOTAL = "sg_ai_protocol_entered_total" ["market"] (Counter);
    /// Strategies that went live; of the placebo market, that would have.
    Mirrored PROTOCOL_PROMOTED_TOTAL = "sg_ai_protocol_promoted_total" ["market"] (Counter);
    /// Backtests of null searches ever.
    Mirrored NULL_EVALUATIONS_TOTAL = "sg_ai_null_evaluations_total" [] (Counter);
    /// Chance that real sessions get through as much more often than placebo ones as they did; absent while none did.
    Mirrored PLACEBO_P_VALUE = "sg_ai_placebo_p_value" [] (Gauge);
    /// False promotions, in expectation, that tests of the last market year cost, of those that a year allows.
    Mirrored TESTS_SPENT_RATIO = "sg_ai_tests_spent_ratio" [] (Gauge);
    /// E-value of hold-out and shadow together at which a candidate goes live whose test is bought now; absent while none is
    /// sold.
    Mirrored PROMOTION_THRESHOLD = "sg_ai_promotion_threshold" [] (Gauge);
    /// Whether promotions are frozen, because real and placebo cannot be told apart: 1 or 0.
    Mirrored PROMOTIONS_FROZEN = "sg_ai_promotions_frozen" [] (Gauge);
    /// Dead letters that nobody dealt with.
    Mirrored DEAD_LETTERS = "sg_ai_dead_letters" [] (Gauge);
    /// Notifications waiting to be delivered.
    Mirrored OUTBOX_PENDING = "sg_ai_outbox_pending" [] (Gauge);
    /// Notifications given up.
    Mirrored OUTBOX_DEAD = "sg_ai_outbox_dead" [] (Gauge);
    /// Age of the newest closed candle of a feed: behind exchange time when refreshed, plus the time since.
    Mirrored DATA_AGE_SECONDS = "sg_ai_data_age_seconds" ["symbol"] (Gauge);
    /// The exchange's own time as of the newest refresh of a feed, seconds since the Unix epoch.
    Mirrored EXCHANGE_TIMESTAMP_SECONDS = "sg_ai_exchange_timestamp_seconds" [] (Gauge);
    /// Time since any feed was last refreshed with success.
    Mirrored FEED_REFRESH_AGE_SECONDS = "sg_ai_feed_refresh_age_seconds" [] (Gauge);
    /// Whether the live tail of candles is connected: 1 or 0; absent where none runs.
    Mirrored STREAM_CONNECTED = "sg_ai_stream_connected" [] (Gauge);
    /// When the newest candle that the live tail told closed, the exchange's time, seconds since the Unix epoch.
    Mirrored STREAM_LAST_CANDLE_TIMESTAMP_SECONDS = "sg_ai_stream_last_candle_timestamp_seconds" [] (Gauge);
    /// Connections of the live tail after its first one; from zero with the process that runs it.
    Mirrored STREAM_RECONNECTS_TOTAL = "sg_ai_stream_reconnects_total" [] (Counter);
    /// What waits, by queue: candidates for a judgement, backtests for a worker, notifications for delivery.
    Mirrored QUEUE_DEPTH = "sg_ai_queue_depth" ["queue"] (Gauge);
    /// Open drift alerts of live deployments by severity.
    Mirrored DRIFT_ALERTS = "sg_ai_drift_alerts" ["severity"] (Gauge);
    /// Return since going live, a fraction, of the twenty largest deployments, by strategy.
    Mirrored LIVE_PROFIT_RATIO = "sg_ai_live_profit_ratio" ["deployment"] (Gauge);
    /// When a strategy went live or was demoted, seconds since the Unix epoch: the newest twenty of the last hour.
    Mirrored STRATEGY_MOVED_TIMESTAMP_SECONDS = "sg_ai_strategy_moved_timestamp_seconds" ["strategy", "strategy_id", "move"] (Gauge);
    /// Share of the capital that all active deployments have, a fraction.
    Mirrored ALLOCATED_RATIO = "sg_ai_allocated_ratio" [] (Gauge);
    /// How far the strategy in shadow that is nearest to live has come: ln E / ln of its promotion threshold, above 1 where only
    /// other requirements are missing; absent while no gate was asked of any.
    Mirrored SHADOW_EVIDENCE_RATIO = "sg_ai_shadow_evidence_ratio" [] (Gauge);
    /// Median win rate, a fraction, of the strategies now in shadow; absent while none has one.
    Mirrored SHADOW_WIN_RATE = "sg_ai_shadow_win_rate" [] (Gauge);
    /// Trades closed by the strategies now in shadow.
    Mirrored SHADOW_TRADES = "sg_ai_shadow_trades" [] (Gauge);
    /// Regime of an asset: 0 low volatility, 1 normal, 2 high volatility, 3 extreme.
    Mirrored MARKET_REGIME = "sg_ai_market_regime" ["symbol"] (Gauge);
    /// When a daily review was last finished, seconds since the Unix epoch.
    Mirrored LAST_REVIEW_TIMESTAMP_SECONDS = "sg_ai_last_review_timestamp_seconds" [] (Gauge);
    /// Whether the audit trail held when it was last verified: 1 or 0.
    Mirrored AUDIT_CHAIN_VALID = "sg_ai_audit_chain_valid" [] (Gauge);
    /// When the audit trail was last verified, seconds since the Unix epoch.
    Mirrored AUDIT_VERIFIED_TIMESTAMP_SECONDS = "sg_ai_audit_verified_timestamp_seconds" [] (Gauge);
    /// Candles known to be missing in a feed.
    Mirrored DATA_GAPS = "sg_ai_data_gaps" ["symbol"] (Gauge);
    /// State of the newest book: 1 for the one that it is in, 0 for the others; absent where there is none.
    Mirrored BOOK_STATE = "sg_ai_book_state" ["status"] (Gauge);
    /// Logarithm of the newest book's wealth E over all its days, on the real market and its placebo's; absent once all is lost.
    Mirrored BOOK_LOG_E = "sg_ai_book_log_e" ["market"] (Gauge);
    /// What that must reach for the book to go live.
    Mirrored BOOK_NEEDED_LOG_E = "sg_ai_book_needed_log_e" [] (Gauge);
    /// The same of the days since the book's life began alone.
    Mirrored BOOK_LIFE_LOG_E = "sg_ai_book_life_log_e" [] (Gauge);
    /// Annual Sharpe ratio of the newest book's hedged daily returns, on the real market and its placebo's.
    Mirrored BOOK_HEDGED_SHARPE_RATIO = "sg_ai_book_hedged_sharpe_ratio" ["market"] (Gauge);
    /// Deepest fall of the newest book from a peak, 0 or negative, a fraction.
    Mirrored BOOK_MAX_DRAWDOWN_RATIO = "sg_ai_book_max_drawdown_ratio" [] (Gauge);
    /// Members of the newest book's newest block.
    Mirrored BOOK_MEMBERS = "sg_ai_book_members" [] (Gauge);
    /// Share of the capital that the newest book has at work, a fraction.
    Mirrored BOOK_ALLOCATED_RATIO = "sg_ai_book_allocated_ratio" [] (Gauge);
    /// When the newest block that the book has frozen ends, the exchange's time, seconds since the Unix epoch.
    Mirrored BOOK_BLOCK_END_TIMESTAMP_SECONDS = "sg_ai_book_block_end_timestamp_seconds" [] (Gauge);
    /// When the newest day that the book has traded ended, the exchange's time, seconds since the Unix epoch.
    Mirrored BOOK_DAY_TIMESTAMP_SECONDS = "sg_ai_book_day_timestamp_seconds" [] (Gauge);
    /// When the book's newest step was stored, or it was begun, seconds since the Unix epoch.
    Mirrored BOOK_STEP_TIMESTAMP_SECONDS = "sg_ai_book_step_timestamp_seconds" [] (Gauge);
    /// Close of a model's newest prediction, the exchange's time, seconds since the Unix epoch: of twenty models at most, as all that
    /// is told of models; absent where it never predicted.
    Mirrored MODEL_PREDICTED_TIMESTAMP_SECONDS = "sg_ai_model_predicted_timestamp_seconds" ["model"] (Gauge);
    /// By how much the log loss of a model was below that of the constant forecast, of targets that came due in 90 days.
    Mirrored MODEL_LOG_LOSS_GAIN = "sg_ai_model_log_loss_gain" ["model"] (Gauge);
    /// Calibration error of a model, a fraction, of targets that came due in 90 days.
    Mirrored MODEL_CALIBRATION_ERROR_RATIO = "sg_ai_model_calibration_error_ratio" ["model"] (Gauge);
    /// Evidence that a model's calibration is no longer what it was, over what it takes to be told.
    Mirrored MODEL_DRIFT_EVIDENCE_RATIO = "sg_ai_model_drift_evidence_ratio" ["model"] (Gauge);
    /// Whether a model's calibration is no longer what it was: 1 or 0.
    Mirrored MODEL_DRIFTING = "sg_ai_model_drifting" ["model"] (Gauge);
    /// Whether a model predicts nothing, or nothing new: 1 or 0.
    Mirrored MODEL_FAILING = "sg_ai_model_failing" ["model"] (Gauge);
    /// Fits of a model in a row, up to the newest, that failed.
    Mirrored MODEL_FAILED_FITS = "sg_ai_model_failed_fits" ["model"] (Gauge);
    /// When a model was last looked at, seconds since the Unix epoch.
    Mirrored MODEL_WATCHED_TIMESTAMP_SECONDS = "sg_ai_model_watched_timestamp_seconds" ["model"] (Gauge);
    /// Items of shared work that wait, that somebody has, and that failed for good.
    Mirrored WORK_JOBS = "sg_ai_work_jobs" ["state"] (Gauge);
    /// Items of shared work that nobody has yet.
    Mirrored WORK_QUEUE_DEPTH = "sg_ai_work_queue_depth" [] (Gauge);
    /// How long the oldest item of shared work waits; absent where none does.
    Mirrored WORK_OLDEST_SECONDS = "sg_ai_work_oldest_seconds" [] (Gauge);
    /// Processes that do shared work and were heard of within a minute.
    Mirrored WORK_WORKERS = "sg_ai_work_workers" [] (Gauge);
    /// Items finished in the last five minutes, one a second on average.
    Mirrored WORK_DONE_PER_SECOND = "sg_ai_work_done_per_second" [] (Gauge);
    /// Times in 30 days that whoever had an item of shared work was not heard of any more.
    Mirrored WORK_LOST = "sg_ai_work_lost" [] (Gauge);
    /// Results in 30 days that were not those that another machine stored: 0, or machines compute differently.
    Mirrored WORK_DISAGREEMENTS = "sg_ai_work_disagreements" [] (Gauge);
    /// When a runner last succeeded, seconds since the Unix epoch.
    Mirrored RUNNER_LAST_SUCCESS_TIMESTAMP_SECONDS = "sg_ai_runner_last_success_timestamp_seconds" ["runner"] (Gauge);
    /// Time since the last sign of life of a runner.
    Mirrored RUNNER_HEARTBEAT_AGE_SECONDS = "sg_ai_runner_heartbeat_age_seconds" ["runner"] (Gauge);
    /// Failures in a row of a runner.
    Mirrored RUNNER_CONSECUTIVE_FAILURES = "sg_ai_runner_consecutive_failures" ["runner"] (Gauge);
}

/// Upper bounds of histogram buckets, seconds: from a query to a long session.
const BUCKETS_S: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// Forms of strategies, as the program's answers name them.
const FORMS: &[&str] = &["rules", "ranking"];

/// Constant label values of counters that start at zero.
const STARTING: &[(CounterBy, &[&str])] = &[
    (BACKTESTS_TOTAL, FORMS),
    (BACKTEST_FAILURES_TOTAL, FORMS),
    (DELIVERIES_TOTAL, &["delivered", "retried", "given_up"]),
    (HTTP_RESPONSES_TOTAL, &["2xx", "4xx", "5xx"]),
    (
        STEP_FAILURES_TOTAL,
        &[
            "continuous",
            "shadow",
            "deployments",
            "review",
            "outbox",
            "audit",
            "audit-anchor",
            "book",
            "gauges",
            "cache",
            "models",
        ],
    ),
    // Of so many transactions the two that every scrape makes.
    (QUERY_FAILURES_TOTAL, &["overview", "eyes"]),
];

impl Counter {
    /// Counts one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts several.
    pub fn add(&self, count: u64) {
        ::metrics::counter!(self.0.name).increment(count);
    }
}

impl CounterBy {
    /// Counts one.
    pub fn increment(&self, label: &'static str) {
        self.add(label, 1);
    }

    /// Counts several.
    pub fn add(&self, label: &'static str, count: u64) {
        ::metrics::counter!(self.0.name, self.0.labels[0] => label).increment(count);
    }
}

impl Timer {
    /// Records how long something took.
    pub fn record(&self, took: Duration) {
        ::metrics::histogram!(self.0.name).record(took);
    }
}

impl TimerBy {
    /// Records how long something took.
    pub fn record(&self, label: &'static str, took: Duration) {
        ::metrics::histogram!(self.0.name, self.0.labels[0] => label).record(took);
    }
}

impl Level {
    /// Sets it; `label` is the value of its label, if it has one.
    pub fn set(&self, label: Option<&'static str>, value: f64) {
        match (label, self.0.labels.first()) {
            (Some(label), Some(name)) => ::metrics::gauge!(self.0.name, *name => label).set(value),
            _ => ::metrics::gauge!(self.0.name).set(value),
        }
    }
}

impl Count {
    /// Sets it to what was counted elsewhere, which never falls.
    pub fn set(&self, count: u64) {
        ::metrics::counter!(self.0.name).absolute(count);
    }
}

impl Mirrored {
    /// The declaration.
    #[must_use]
    pub const fn metric(&self) -> &Metric {
        &self.0
    }
}

/// Renders the measured metrics of this process.
#[derive(Clone)]
pub struct Measured {
    handle: PrometheusHandle,
}

/// Starts measuring, once for the process; later calls give the same.
///
/// What is measured before the first call is lost, so the composition root calls this first.
pub fn measured() -> &'static Measured {
    static MEASURED: OnceLock<Measured> = OnceLock::new();
    MEASURED.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), BUCKETS_S);
        let recorder = builder.expect("the list of buckets is not empty").build_recorder();
        let measured = Measured { handle: recorder.handle() };
        if ::metrics::set_global_recorder(recorder).is_err() {
            tracing::error!("somebody else records metrics: ours stay empty");
        }
        for metric in ALL.iter().filter(|metric| !metric.mirrored) {
            match (metric.kind, metric.labels) {
                (Kind::Counter, labels) => {
                    ::metrics::describe_counter!(metric.name, metric.help.trim());
                    if labels.is_empty() {
                        ::metrics::counter!(metric.name).absolute(0);
                    }
                }
                (Kind::Histogram, labels) => {
                    ::metrics::describe_histogram!(metric.name, metric.help.trim());
                    if labels.is_empty() {
                        // Registered, so that it is there with a count of zero.
                        let _ = ::metrics::histogram!(metric.name);
                    }
                }
                (Kind::Gauge, _) => ::metrics::describe_gauge!(metric.name, metric.help.trim()),
                _ => {}
            }
        }
        for (counter, values) in STARTING {
            for value in *values {
                ::metrics::counter!(counter.0.name, counter.0.labels[0] => *value).absolute(0);
            }
        }
        measured
    })
}

impl Measured {
    /// In Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recorded times into their histograms; without a scrape they would pile up.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// Writes mirrored metrics in Prometheus's text format, all samples of one metric together.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Writes the samples of a metric, if there are any: label values in the declared order, and a value.
    pub fn write<'a, const N: usize>(
        &mut self,
        mirrored: &Mirrored,
        samples: impl IntoIterator<Item = ([&'a str; N], f64)>,
    ) {
        let metric = mirrored.metric();
        debug_assert_eq!(metric.labels.len(), N, "{}: a value for each label", metric.name);
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Untyped => "untyped",
        };
        let mut head = Some(format!("# HELP {0} {1}\n# TYPE {0} {kind}\n", metric.name, metric.help.trim()));
        for (values, value) in samples {
            if !value.is_finite() {
                continue;
            }
            self.0.push_str(&head.take().unwrap_or_default());
            let labels: Vec<String> =
                metric.labels.iter().zip(values).map(|(name, text)| format!("{name}=\"{}\"", escape(text))).collect();
            let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            // Writing to a string does not fail.
            let _ = writeln!(self.0, "{}{braces} {value}", metric.name);
        }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
