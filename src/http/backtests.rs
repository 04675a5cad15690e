//! What the service needs from whoever has candles and an engine: the composition root implements it.

use super::terms::AskedTerms;
use async_trait::async_trait;
use candles::{CandleSeries, MarketKind, Symbol, SymbolCoverage};
use engine::{DailyEquity, Performance, Recipe, Trade};
use genome::{Ranking, Strategy, Timeframe};
use report::{RobustnessSection, StrategyReport};
use serde_json::Value;
use store::{PortfolioBacktest, Strategy as StoredStrategy};

/// A backtest to run.
#[derive(Clone, Debug)]
pub struct BacktestOrder {
    /// What to test.
    pub strategy: Strategy,
    /// On which symbol.
    pub symbol: Symbol,
    /// First candle that may be traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// Capital at the start, quote units.
    pub initial_capital: f64,
    /// What the client asks for beside the terms of the settings.
    pub terms: AskedTerms,
}

/// A backtest of a strategy that ranks the market, to run over the cache.
#[derive(Clone, Debug)]
pub struct PortfolioOrder {
    /// What to test.
    pub strategy: Ranking,
    /// On which market; that of the settings where it is left out.
    pub market: Option<MarketKind>,
    /// First candle that may be traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// Capital at the start, quote units.
    pub initial_capital: f64,
    /// Orders meet the market as in paper runs, rather than on the plainest terms.
    pub realistic: bool,
    /// What the client asks for beside the terms of the settings.
    pub terms: AskedTerms,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct BacktestDone {
    /// What a replay needs.
    pub parameters: Recipe,
    /// First candle that may be traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms: not after the newest closed candle.
    pub to_ms: i64,
    /// Names the candles.
    pub data_version: String,
    /// Candles in the window; of a portfolio, those that any instrument has.
    pub candles: u64,
    /// Candles of the window that are missing.
    pub missing_candles: u64,
    /// What there was of the candles that were asked for, by symbol; none of a portfolio.
    pub coverage: Vec<SymbolCoverage>,
    /// What came out.
    pub performance: Performance,
    /// Equity at each 00:00 UTC, start and end included.
    pub daily_equity: Vec<DailyEquity>,
    /// In order of entry; none of a portfolio.
    pub trades: Vec<Trade>,
    /// What a portfolio has beside all this.
    pub portfolio: Option<PortfolioBacktest>,
}

/// A stretch of a strategy's life with its curve and trades: stored ones, or computed again from cached candles.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// `backtest`, `holdout`, `shadow` or `live`.
    pub source: &'static str,
    /// First candle traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// Equity at each 00:00 UTC; empty where it is not known.
    pub daily_equity: Vec<DailyEquity>,
    /// Buy and hold of its symbols in equal parts, worth what the curve begins with: a value for each of its points;
    /// empty where candles are missing or nobody chose symbols.
    pub benchmark: Vec<f64>,
    /// In order of entry.
    pub trades: Vec<Trade>,
    /// How far each trade was ahead and behind while it was held; as many as trades.
    pub excursions: Vec<Option<Excursion>>,
    /// What the cache has of its candles, by symbol; empty where it is not known which those are.
    pub coverage: Vec<SymbolCoverage>,
    /// What a reader should know, such as why there is no curve.
    pub note: Option<String>,
}

/// How far a trade was ahead and behind, by the highs and lows of the candles in which it was held; fractions of the entry
/// price, before costs. A stop that filled within a candle may have been passed by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excursion {
    /// At best; 0 or more.
    pub best: f64,
    /// At worst; 0 or less.
    pub worst: f64,
}

/// A series that a strategy's rules look at, a value for each candle.
#[derive(Clone, Debug)]
pub struct RuleSeries {
    /// As the language writes it.
    pub name: String,
    /// What its values are measured on: series of one scale share an axis. `price`: the candles' own.
    pub scale: String,
    /// `None` where it is not defined.
    pub values: Vec<Option<f32>>,
}

/// Candles of a strategy, with what its rules see of them.
#[derive(Clone, Debug)]
pub struct RuleCandles {
    /// In order of time.
    pub candles: CandleSeries,
    /// As the rules name them; none of a strategy that ranks the market.
    pub series: Vec<RuleSeries>,
    /// Series that these candles alone do not give: of the market's readings, or compared with other instruments.
    pub not_shown: Vec<String>,
}

/// A setting, for people.
#[derive(Clone, Debug)]
pub struct ShownSetting {
    /// Its key.
    pub key: String,
    /// Its value; no secret.
    pub value: Value,
    /// Who set it.
    pub origin: String,
    /// What it means, with its unit.
    pub meaning: String,
    /// The environment variable that sets it.
    pub variable: String,
}

/// What is cached of one symbol and interval.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct CachedSeries {
    pub market: String,
    pub symbol: String,
    pub interval: String,
    pub candles: u64,
    /// Month, candles there, candles expected between the first and the last one of the month, content hash.
    pub months: Vec<(String, u64, u64, String)>,
    /// Months that cannot be read.
    pub damaged: Vec<String>,
}

/// Why it could not be done.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The request is wrong: field, and why.
    Field(&'static str, String),
    /// What this field names is not there: field, and why.
    Missing(&'static str, String),
    /// It may work later.
    Busy(String),
    /// It failed; one line that may be shown.
    Failed(String),
}

/// Candles and the engine.
#[async_trait]
pub trait Backtests: Send + Sync + 'static {
    /// The timeframe, market and symbols of strategies that name none.
    fn customary(&self) -> (Timeframe, MarketKind, Vec<Symbol>);

    /// Fetches the candles that are missing and runs a backtest.
    ///
    /// # Errors
    /// When there are no candles, or the strategy cannot be evaluated.
    async fn run(&self, order: BacktestOrder) -> Result<BacktestDone, Refusal>;

    /// Runs a backtest of a strategy that ranks the market, over what is cached of it; nothing is fetched.
    ///
    /// # Errors
    /// When the market or the window is not cached, or the strategy cannot be computed.
    async fn run_portfolio(&self, order: PortfolioOrder) -> Result<BacktestDone, Refusal>;

    /// Backtest, hold-out and paper runs of a stored strategy, in order of their windows.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn stretches(&self, strategy: &StoredStrategy) -> Result<Vec<Stretch>, Refusal>;

    /// What is known of a stored strategy beyond its backtest, computed from cached candles; takes its time.
    ///
    /// # Errors
    /// [`Refusal::Missing`] where nothing was measured yet or the candles are not cached.
    async fn proven(&self, strategy: &StoredStrategy) -> Result<RobustnessSection, Refusal>;

    /// Cached candles of a strategy's symbol that open in `[from_ms, to_ms)`, the newest `most` of them, with the series of
    /// its rules; nothing is fetched. And how many candles were left out.
    ///
    /// # Errors
    /// When the cache cannot be read.
    async fn candles(
        &self,
        strategy: &StoredStrategy,
        symbol: &Symbol,
        from_ms: i64,
        to_ms: i64,
        most: usize,
    ) -> Result<(RuleCandles, usize), Refusal>;

    /// The whole story of a strategy, for a report; takes its time.
    ///
    /// # Errors
    /// When the store or the cache cannot be read.
    async fn report(&self, strategy: &StoredStrategy, now_ms: i64) -> Result<StrategyReport, Refusal>;

    /// What is cached.
    ///
    /// # Errors
    /// When the cache cannot be read.
    async fn coverage(&self) -> Result<Vec<CachedSeries>, Refusal>;

    /// Why candles cannot be cached, where that was so lately.
    fn lacks_room(&self) -> Option<String>;

    /// The settings, in the order of their keys, without secrets.
    fn settings(&self) -> Vec<ShownSetting>;
}
