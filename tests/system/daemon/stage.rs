//! What a test needs around a daemon: a market, an exchange, webhooks, a database and a data directory of its own.

use super::{
    process::Daemon,
    support::{self, TestDatabase},
    webhooks::Webhooks,
};
use candles::Symbol;
use candles::time::DAY_MS;
use genome::random::Seed;
use market::simulator::{ExchangeConfig, SimulatedExchange};
use secrecy::ExposeSecret;
use serde_json::Value;
use simulated::{EdgeKind, EdgeSpec, MarketSpec};
use std::{collections::BTreeMap, process::Command};
use tempfile::TempDir;
use tokio_postgres::Client;

/// 2025-01-01, where the exchange's clock starts.
pub(crate) const NOW_MS: i64 = 1_735_689_600_000;
const HISTORY_DAYS: i64 = 46;

/// Small enough for many generations a second on a slow machine; gates low enough that much moves, both ways.
const SETTINGS: &[(&str, &str)] = &[
    ("SG_LOG_FORMAT", "json"),
    ("SG__HTTP__PORT", "0"),
    ("SG__HTTP__SERVICE_PORT", "0"),
    ("SG_BACKTEST_SYMBOLS", "BTCUSDT,ETHUSDT"),
    // What the planted edges were measured with.
    ("SG__COSTS__SPOT_FEE_FRACTION", "0.0004"),
    ("SG_BACKTEST_DAYS", "20"),
    ("SG__DAEMON__HOLDOUT_DAYS", "10"),
    ("SG__DAEMON__WARMUP_DAYS", "10"),
    ("SG__DAEMON__CANDIDATES_PER_SESSION", "5"),
    ("SG__DAEMON__RETRY_MIN_MS", "50"),
    ("SG__DAEMON__RETRY_MAX_MS", "500"),
    ("SG__DAEMON__REVIEW_INTERVAL_S", "21600"),
    ("SG_GENERATION_INTERVAL", "1"),
    ("SHADOW_TEST_INTERVAL", "1"),
    ("SG_POPULATION_SIZE", "40"),
    ("SG__SEARCH__GENERATIONS", "4"),
    ("SG__PROTOCOL__PLACEBO_EVERY_SESSIONS", "3"),
    ("SG__PROTOCOL__FALSE_PROMOTIONS_PER_YEAR", "1"),
    ("SG__PROTOCOL__DEAD_PROMOTIONS", "1"),
    ("SG__LIFECYCLE__MAX_P_VALUE", "1"),
    ("SG__LIFECYCLE__HOLDOUT_MIN_E_VALUE", "0.5"),
    ("SG__LIFECYCLE__SHADOW_MIN_E_VALUE", "1"),
    ("SG__LIFECYCLE__SHADOW_PROMISE_FRACTION", "0"),
    ("SG__SEARCH__ELITES", "6"),
    ("SG__SEARCH__MIN_TRADES", "10"),
    ("SG__SEARCH__VARIATION__TIMEFRAMES", "15m,30m"),
    ("SG__SEARCH__VARIATION__MAX_LOOKBACK_DAYS", "5"),
    // A day goes by in seconds: a batch each would be all that is done.
    ("SG__REVIEW__BATCH_SIZE", "0"),
    ("SG_CANDIDATE_MIN_PF", "1.1"),
    ("SG_CANDIDATE_MIN_TRADES", "5"),
    ("SG__LIFECYCLE__HOLDOUT_MIN_PROFIT_FACTOR", "1.05"),
    ("SG__LIFECYCLE__HOLDOUT_MIN_TRADES", "3"),
    ("SG_SHADOW_MIN_DAYS", "1"),
    ("SG_SHADOW_MIN_PF", "1.05"),
    ("SG__LIFECYCLE__SHADOW_MIN_CLOSED_TRADES", "2"),
    ("SG__LIFECYCLE__SHADOW_MAX_DAYS", "6"),
    ("SG__LIFECYCLE__SHADOW_FAIL_MIN_CLOSED_TRADES", "10"),
    ("SG__LIFECYCLE__LIVE_RECENT_TRADES", "4"),
    ("MIN_SHARPE_RATIO", "0.1"),
    ("MIN_WIN_RATE_PERCENT", "20"),
    ("SG__NOTIFY__POLL_INTERVAL_MS", "100"),
    ("SG__NOTIFY__REQUEST_TIMEOUT_MS", "5000"),
    ("SG__MARKET__RETRIES", "1"),
    ("SG__MARKET__RETRY_DELAY_MS", "50"),
    ("SG__MARKET__TIMEOUT_S", "2"),
    ("SG__MARKET__BREAKER_COOL_OFF_S", "1"),
];

/// Two symbols whose hours of the day and turns at the bands can be found by anybody.
fn market(seed: u64, speed: f64) -> ExchangeConfig {
    let symbols: Vec<Symbol> = ["BTCUSDT", "ETHUSDT"].map(|s| s.parse().unwrap()).to_vec();
    let mut market = MarketSpec::noise(Seed(seed), NOW_MS - HISTORY_DAYS * DAY_MS, &symbols);
    let reversion = EdgeKind::MeanReversion { lookback: 20, deviations: 2.2, hold: 16 };
    market.edges = vec![
        EdgeSpec::lasting(reversion, symbols.clone(), 26.0),
        EdgeSpec::lasting(EdgeKind::TimeOfDay { hour: 13, hours: 4 }, symbols, 18.0),
    ];
    let mut config = ExchangeConfig { speed, ..ExchangeConfig::new(market, NOW_MS) };
    // Everybody here shares one address; limits have tests of their own.
    config.limits.spot_weight_per_minute = 1_000_000;
    config
}

/// Beside those: small windows of a market that is ranked.
const RANKING_SETTINGS: &[(&str, &str)] = &[
    ("SG__DAEMON__ISLANDS", "book:*USDT:4h"),
    ("SG__DAEMON__RANKING_BACKTEST_DAYS", "300"),
    ("SG__DAEMON__HOLDOUT_DAYS", "120"),
    ("SG__SEARCH__RANKING__UNIVERSE_TOP", "8"),
    ("SG__SEARCH__RANKING__UNIVERSE_LISTED_DAYS", "20"),
    ("SG__SEARCH__RANKING__UNIVERSE_VOLUME_DAYS", "10"),
    ("SG__SEARCH__RANKING__LOOKBACK_DAYS", "1,30"),
    ("SG__SEARCH__RANKING__REBALANCE", "1d"),
    // A stay of a name that won now and lost then says little of a ranking.
    ("SG_CANDIDATE_MIN_PF", "0.5"),
    ("SG__LIFECYCLE__HOLDOUT_MIN_PROFIT_FACTOR", "0.5"),
    ("SG_SHADOW_MIN_PF", "0.8"),
    ("MIN_WIN_RATE_PERCENT", "1"),
    ("SG__LIFECYCLE__SHADOW_MAX_DAYS", "40"),
];

/// Coins that come and go over 480 days before the start and a year after it.
fn coins(seed: u64) -> ExchangeConfig {
    let start_ms = NOW_MS - 480 * DAY_MS;
    let mut market = MarketSpec::coins(Seed(seed), start_ms, 12, 480 + 365).unwrap();
    market.edges = vec!["rank_momentum:all:16".parse().unwrap()];
    let mut config = ExchangeConfig { speed: 0.0, ..ExchangeConfig::new(market, NOW_MS) };
    (config.limits.spot_weight_per_minute, config.limits.um_weight_per_minute) = (1_000_000, 1_000_000);
    config
}

/// Everything around the daemon.
pub(crate) struct Stage {
    pub(crate) exchange: SimulatedExchange,
    pub(crate) webhooks: Webhooks,
    pub(crate) database: TestDatabase,
    pub(crate) dir: TempDir,
    settings: BTreeMap<String, String>,
}

impl Stage {
    /// A stage whose exchange runs `speed` simulated seconds in a second; 0 stands still.
    pub(crate) async fn new(seed: u64, speed: f64) -> Self {
        let database = support::empty_database().await;
        let url = database.url.expose_secret().to_owned();
        Self::on(seed, speed, database, &url).await
    }

    /// A stage whose exchange has 12 coins, of which some come and go, and momentum across them; one island ranks them. The
    /// clock stands still.
    pub(crate) async fn of_coins(seed: u64) -> Self {
        let database = support::empty_database().await;
        let url = database.url.expose_secret().to_owned();
        let mut stage = Self::around(coins(seed), database, &url).await;
        for (name, value) in RANKING_SETTINGS {
            stage.set(name, value);
        }
        stage
    }

    /// A stage on a server of the test's own.
    pub(crate) async fn on(seed: u64, speed: f64, database: TestDatabase, url: &str) -> Self {
        Self::around(market(seed, speed), database, url).await
    }

    async fn around(market: ExchangeConfig, database: TestDatabase, url: &str) -> Self {
        // Fails only when another test of this binary was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let exchange = SimulatedExchange::start(market).await.unwrap();
        let webhooks = Webhooks::start().await;
        let mut stage =
            Self { exchange, webhooks, database, dir: TempDir::new().unwrap(), settings: BTreeMap::default() };
        for (name, value) in SETTINGS {
            stage.set(name, value);
        }
        let source = stage.exchange.base_url();
        let (discord, slack) = (stage.webhooks.url("discord"), stage.webhooks.url("slack"));
        stage.set("SG__MARKET__SOURCE", &source);
        stage.set("DATABASE_URL", url);
        stage.set("DISCORD_WEBHOOK_URL", &discord);
        stage.set("SLACK_WEBHOOK_URL", &slack);
        stage
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    /// The binary with these arguments, this stage's settings and nothing else from the outside.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sg-ai"));
        command.args(args).current_dir(self.dir.path()).env_clear().envs(&self.settings);
        command.env("SG_DATA_DIR", self.dir.path().join("data"));
        command
    }

    pub(crate) fn daemon(&self, what: &str) -> Daemon {
        Daemon::start(self.command(&[what]))
    }

    pub(crate) async fn client(&self) -> Client {
        self.database.client().await
    }

    /// Standard output of a command that must succeed.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
