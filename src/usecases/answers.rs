//! Candles and the engine for whoever asks over HTTP: backtests, curves of stored strategies, what is cached.
//!
//! Stores nothing by itself but candles that it fetched.

use super::candle_source::CandleSource;
use super::memory::{self, MemoryPlan};
use super::models::Chosen;
use super::parts::Compute;
use super::portfolio::{MarketSpan, load_panel};
use super::portfolio_backtest::run_over;
use super::recipe::run_config;
use super::replay::{coverage, replay, stored_runs};
use super::robustness::prepare;
use super::rule_chart::{benchmark, excursions, of_symbols, rule_series};
use super::strategy_report::strategy_report;
use super::window::{Loaded, WindowSpec};
use crate::config::DaemonConfig;
use async_trait::async_trait;
use candles::stored::CandleRange;
use candles::{InstrumentTable, MarketKind, Symbol, SymbolCoverage, Ticker, interval, time};
use engine::{Costs, DailyEquity, Ledger, Recipe, RunConfig, Terms, Trade, VenueCosts, Wanted};
use genome::{AnyStrategy, Timeframe};
use http::{
    AskedTerms, BacktestDone, BacktestOrder, Backtests, CachedSeries, PortfolioOrder, Refusal, RuleCandles,
    ShownSetting, Stretch,
};
use market::cache::CacheError;
use portfolio::{Execution, Panel, PanelError, PortfolioConfig, PortfolioTerms, RunError};
use report::{RobustnessSection, StrategyReport};
use std::sync::Arc;
use store::{Page, Store, StoreError, Strategy};

/// Most stored trades that are read where candles are missing to compute them again.
const MAX_STORED_TRADES: u32 = 100_000;

/// What to do about a market that is not cached.
const BRING: &str = "`sg-ai data import` and `sg-ai data download` bring it";

/// The part of the daemon that answers clients.
pub(crate) struct Answers {
    pub(crate) candles: CandleSource,
    pub(crate) compute: Compute,
    pub(crate) store: Store,
    pub(crate) settings: DaemonConfig,
    /// How portfolios trade.
    pub(crate) portfolio: PortfolioConfig,
    /// What they cost, by venue.
    pub(crate) costs: VenueCosts,
    /// Cuts and exclusions in force.
    pub(crate) instruments: InstrumentTable,
    /// Where memory is limited.
    pub(crate) memory: Option<MemoryPlan>,
    /// Without secrets.
    pub(crate) shown_settings: Vec<ShownSetting>,
}

/// Trouble of ours, told in one line. Want of room is nobody's defect: it may work when somebody has made some.
fn failed(error: impl Into<anyhow::Error>) -> Refusal {
    let error = error.into();
    let is_full = |e: &(dyn std::error::Error + 'static)| matches!(e.downcast_ref(), Some(CacheError::Full { .. }));
    let why = format!("{error:#}");
    if error.chain().any(is_full) { Refusal::Busy(why) } else { Refusal::Failed(why) }
}

/// Costs with what a client asks for.
fn asked(costs: Costs, terms: &AskedTerms) -> Costs {
    Costs { max_slippage_bps: terms.max_slippage_bps, ..costs }
}

/// Why candles that are missing could not be fetched.
struct Trouble {
    /// What was said.
    error: String,
    /// The exchange gave them, and there was no room for them.
    no_room: bool,
}

impl Trouble {
    /// As the end of a sentence.
    fn told(&self) -> String {
        let error = &self.error;
        if self.no_room { error.clone() } else { format!("the exchange does not give any now: {error}") }
    }
}

/// The candles that open from `from_ms` on, and before them. What has not closed yet is not missing, unless it is not known
/// how far the exchange has come.
fn count(loaded: &Loaded, spec: &WindowSpec, from_ms: i64, is_in_trouble: bool) -> Vec<SymbolCoverage> {
    let newest_ms = loaded.newest_close_ms().map_or(from_ms, |close_ms| close_ms + 1);
    let to_ms = if is_in_trouble { spec.to_ms } else { spec.to_ms.min(newest_ms) };
    loaded.coverage(from_ms, to_ms)
}

impl Answers {
    /// Nothing new begins for a client while the process is near its limit of memory.
    fn has_memory(&self) -> Result<(), Refusal> {
        let near = |plan: MemoryPlan| memory::resident_bytes().is_some_and(|held| plan.is_near(held));
        if self.memory.is_some_and(near) {
            let why = "the process is near daemon.max_memory_mb: what is under way comes first, try again in a while";
            return Err(Refusal::Busy(why.to_owned()));
        }
        Ok(())
    }

    /// The models that a strategy asks.
    fn models_of(&self, strategy: AnyStrategy, market: MarketKind) -> Result<Chosen, Refusal> {
        let asked = self.candles.models.asked(&strategy, market);
        asked.map_err(|error| Refusal::Field("strategy_id", format!("{error:#}")))
    }

    /// Fetches what is missing of a window and reads it; what went wrong with the fetching, if anything did.
    async fn fetch(&self, spec: &WindowSpec, to_ms: i64) -> Result<(Loaded, Option<Trouble>), Refusal> {
        let feed = &self.candles.feed;
        let fetched = feed.refresh_until(spec.market, &spec.symbols, spec.interval, spec.warmup_from_ms, to_ms).await;
        if spec.market == MarketKind::Um {
            // Without rates the backtest has no funding, and says so by costs of zero.
            feed.refresh_funding(&spec.symbols, spec.warmup_from_ms, false).await;
        }
        let loaded = Loaded::read(self.candles.cached(), spec.clone()).await.map_err(failed)?;
        let trouble = fetched.into_iter().next();
        let trouble = trouble.and_then(|row| Some(Trouble { error: row.error?, no_room: row.no_room }));
        Ok((loaded, trouble))
    }

    /// The end of what the market's candles give of the window asked for, UTC ms, and how many candles are missing of it.
    /// What has not closed yet is missing: nothing of the whole market is fetched.
    fn window_there(&self, panel: &Panel, order: &PortfolioOrder, market: MarketKind) -> Result<(i64, u64), Refusal> {
        let (timeframe, from_ms) = (order.strategy.timeframe, order.from_ms);
        let first_ms = panel.opens_ms().first().copied().unwrap_or(i64::MAX);
        let to_ms = order.to_ms.min(panel.end_ms());
        let slots = |from_ms: i64, to_ms: i64| match timeframe.fixed_ms() {
            Some(ms) => u64::try_from((to_ms - from_ms) / ms).unwrap_or_default(),
            None => u64::from(to_ms > from_ms),
        };
        let (asked, there) = (slots(from_ms, order.to_ms), slots(from_ms.max(first_ms), to_ms));
        let missing = asked.saturating_sub(there);
        if to_ms > from_ms && missing as f64 <= self.candles.quality.max_missing_fraction * asked as f64 {
            return Ok((to_ms, missing));
        }
        let time = |ms| time::rfc3339(ms).unwrap_or_default();
        let why = format!(
            "{missing} of {asked} {timeframe} candles of these dates are missing: what is cached of the {market} market begins \
             at {} and ends at {}; {BRING}",
            time(first_ms),
            time(panel.end_ms())
        );
        let field = if first_ms > from_ms || to_ms <= from_ms { "start_date" } else { "end_date" };
        Err(Refusal::Missing(field, why))
    }

    /// Whether more is missing than a result may rest on.
    fn too_few(&self, counted: &[SymbolCoverage]) -> bool {
        let most = self.candles.quality.max_missing_fraction;
        counted
            .iter()
            .map(|s| s.coverage)
            .any(|c| c.missing_candles as f64 > most * (c.candles + c.missing_candles) as f64)
    }
}

#[async_trait]
impl Backtests for Answers {
    fn customary(&self) -> (Timeframe, MarketKind, Vec<Symbol>) {
        let settings = &self.settings;
        (settings.interval, settings.market, settings.symbols.clone())
    }

    async fn run(&self, order: BacktestOrder) -> Result<BacktestDone, Refusal> {
        self.has_memory()?;
        let (market, symbols) = (self.candles.market, vec![order.symbol.clone()]);
        let candles = order.strategy.timeframe;
        let warmup_from_ms = order.from_ms - self.settings.warmup_ms();
        // Nothing that is fetched for it goes before it is done.
        let held = CandleRange {
            market,
            symbol: order.symbol.clone(),
            interval: candles,
            from_ms: warmup_from_ms,
            to_ms: order.to_ms,
        };
        let _held = self.candles.holds.hold(vec![held.clone()]).await;
        // Nor do other processes that share the cache take it. On a full disk what is cached may do all the same.
        let told = self.candles.cache.hold(vec![held]).await;
        let _told = told.inspect_err(|error| tracing::warn!(%error, "candles are not held for other processes")).ok();
        // A candle that has not closed is none, and one that closes after the end is not the window's.
        let spec = WindowSpec {
            market,
            symbols: symbols.clone(),
            interval: candles,
            warmup_from_ms,
            to_ms: interval::open_time_ms(candles, order.to_ms),
            models: self.models_of(AnyStrategy::from(order.strategy.clone()), market)?.used(),
        };
        let (mut loaded, mut trouble) = self.fetch(&spec, order.to_ms).await?;
        if trouble.is_none() && self.too_few(&count(&loaded, &spec, order.from_ms, false)) {
            // Another process may have evicted some of them in between, which fetching once more mends.
            (loaded, trouble) = self.fetch(&spec, order.to_ms).await?;
        }
        let none = |why: String| match &trouble {
            Some(trouble) if trouble.error.contains("is not known on") => {
                Refusal::Missing("symbol", format!("the exchange does not know {}", order.symbol))
            }
            Some(trouble) => Refusal::Busy(format!(
                "there are no {candles} candles of {} for these dates, and {}",
                order.symbol,
                trouble.told()
            )),
            None => Refusal::Missing("start_date", why),
        };
        let Some(newest_ms) = loaded.newest_close_ms() else {
            return Err(none(format!("the exchange has no {candles} candles of {} for these dates", order.symbol)));
        };
        let to_ms = spec.to_ms.min(newest_ms + 1);
        if to_ms <= order.from_ms {
            return Err(none(format!("the exchange has no {candles} candles of {} from start_date on", order.symbol)));
        }
        let counted = count(&loaded, &spec, order.from_ms, trouble.is_some());
        if self.too_few(&counted) {
            let first = loaded.first_open_ms(order.from_ms).and_then(time::rfc3339);
            let first = first.map(|first| format!(" (the first one is of {first})")).unwrap_or_default();
            let missing: u64 = counted.iter().map(|s| s.coverage.missing_candles).sum();
            let expected: u64 = counted.iter().map(|s| s.coverage.candles + s.coverage.missing_candles).sum();
            let why = format!(
                "{missing} of {expected} {candles} candles of {} are missing for these dates{first}: a backtest would not \
                 be one of them",
                order.symbol
            );
            return Err(match &trouble {
                Some(trouble) => Refusal::Busy(format!("{why}; {}", trouble.told())),
                None => Refusal::Missing("start_date", why),
            });
        }
        let window = loaded.window(order.from_ms, to_ms).map_err(|error| none(error.to_string()))?;
        let terms = Terms {
            initial_capital: order.initial_capital,
            costs: asked(self.compute.terms.costs, &order.terms),
            fill_on: order.terms.fill_on,
        };
        let config = RunConfig { models: spec.models, ..run_config(market, symbols, candles, terms) };
        let (engine, terms) = (Arc::clone(&self.compute.engine), config.terms());
        let recipe = Recipe { config, warmup_from_ms, data_to_ms: Some(to_ms) };
        let computed = self
            .compute
            .run(move || {
                let wanted = Wanted { ledger: true, ..Wanted::default() };
                (engine.evaluate(&[order.strategy], &window, &terms, wanted).pop(), window.data_version())
            })
            .await;
        let (outcome, data_version) = computed.map_err(failed)?;
        let outcome = outcome.ok_or_else(|| Refusal::Failed("the engine gave no result".to_owned()))?;
        let outcome = outcome.map_err(|error| Refusal::Field("strategy_id", error.to_string()))?;
        let Ledger { daily_equity, trades, .. } = outcome.ledger.unwrap_or_default();
        Ok(BacktestDone {
            parameters: recipe,
            from_ms: order.from_ms,
            to_ms,
            data_version,
            candles: counted.iter().map(|s| s.coverage.candles).sum(),
            missing_candles: counted.iter().map(|s| s.coverage.missing_candles).sum(),
            coverage: counted,
            performance: outcome.performance,
            daily_equity,
            trades,
            portfolio: None,
        })
    }

    async fn run_portfolio(&self, order: PortfolioOrder) -> Result<BacktestDone, Refusal> {
        self.has_memory()?;
        let (market, timeframe) = (order.market.unwrap_or(self.candles.market), order.strategy.timeframe);
        let span = MarketSpan { market, interval: timeframe, to_ms: order.to_ms };
        let symbols = self.candles.cache.symbols(market).await.map_err(failed)?;
        if symbols.is_empty() {
            let why =
                format!("no {market} candles are cached, and the whole market is not fetched for a backtest: {BRING}");
            return Err(Refusal::Missing("market", why));
        }
        // What is read does not go meanwhile; afterwards it is in memory.
        let range = |symbol| CandleRange { market, symbol, interval: timeframe, from_ms: 0, to_ms: order.to_ms };
        let ranges: Vec<CandleRange> = symbols.into_iter().map(range).collect();
        let held = self.candles.holds.hold(ranges.clone()).await;
        let told = self.candles.cache.hold(ranges).await;
        let told = told.inspect_err(|error| tracing::warn!(%error, "candles are not held for other processes")).ok();
        let loaded = load_panel(&self.candles.cache, span, timeframe, self.instruments.clone()).await;
        let loaded = loaded.map_err(|error| match error.downcast_ref() {
            Some(PanelError::Empty(_)) => Refusal::Missing("market", format!("{error:#}; {BRING}")),
            _ => failed(error),
        })?;
        let (to_ms, missing) = self.window_there(&loaded.panel, &order, market)?;
        // What is known after the last candle would be part of the data version, and grow.
        let shorter = MarketSpan { to_ms, ..span };
        let (span, loaded) = if to_ms < span.to_ms {
            let again = load_panel(&self.candles.cache, shorter, timeframe, self.instruments.clone()).await;
            (shorter, again.map_err(failed)?)
        } else {
            (span, loaded)
        };
        let chosen = self.models_of(AnyStrategy::Ranking(order.strategy.clone()), market)?;
        let loaded = self.candles.models.beside_market(&chosen, loaded, i64::MIN).await.map_err(failed)?;
        drop((held, told));
        let of = (span, chosen.used());
        let terms = PortfolioTerms {
            initial_capital: order.initial_capital,
            costs: asked(self.costs.of(market), &order.terms),
            execution: if order.realistic { self.portfolio.execution } else { Execution::default() },
            fill_on: order.terms.fill_on,
        };
        let window_ms = (order.from_ms, to_ms);
        let work =
            move || Ok(run_over(loaded, &order.strategy, window_ms, &terms)?.done(of, window_ms, missing, &terms));
        let done: Result<_, RunError> = self.compute.run(work).await.map_err(failed)?;
        done.map_err(|error| Refusal::Field("strategy_id", error.to_string()))
    }

    async fn stretches(&self, strategy: &Strategy) -> Result<Vec<Stretch>, Refusal> {
        let store = &self.store;
        let detail = store.strategy(&strategy.id.to_string()).await.map_err(failed)?;
        let backtests = store.backtest_results(strategy.id).await.map_err(failed)?;
        let mut stored = store.paper_trades(strategy.id, Page::first(MAX_STORED_TRADES)).await.map_err(failed)?;
        stored.sort_by(|a, b| (a.trade.entry_time_ms, &a.trade.symbol).cmp(&(b.trade.entry_time_ms, &b.trade.symbol)));
        let genome = strategy.genome.read().map_err(failed)?;
        let mut stretches = Vec::new();
        for run in stored_runs(&detail, &backtests) {
            let source = run.source.name();
            let (from_ms, to_ms) = (run.from_ms, run.to_ms);
            let counted = match &run.recipe {
                // Names of a market come and go: nobody expects all of their candles.
                Ok(recipe) if recipe.config.ranked.is_some() => Vec::new(),
                Ok(recipe) => coverage(&self.candles.cache, recipe, (from_ms, to_ms)).await.unwrap_or_default(),
                Err(_) => Vec::new(),
            };
            let candles = of_symbols(&self.candles.cache, strategy, (from_ms, to_ms)).await;
            let stretch = |daily_equity: Vec<DailyEquity>, trades: Vec<Trade>, note| Stretch {
                source,
                from_ms,
                to_ms,
                benchmark: benchmark(&candles, &daily_equity),
                daily_equity,
                excursions: excursions(&candles, &trades),
                trades,
                coverage: counted,
                note,
            };
            // What paper trading stored is what happened; of a backtest only the figures are stored.
            if let Some(equity) = run.daily_equity.clone() {
                let of_run = stored.iter().filter(|row| Some(row.run_id) == run.paper_run);
                stretches.push(stretch(equity, of_run.map(|row| row.trade.clone()).collect(), None));
                continue;
            }
            let replayed = match &run.recipe {
                Ok(recipe) => replay(self.candles.cached(), genome, recipe, &run).await,
                Err(why) => Err(anyhow::anyhow!(why.clone())),
            };
            stretches.push(match replayed {
                Ok(replayed) => {
                    let same = run.performance.as_ref() == Some(&replayed.ran.performance);
                    let note = (!same).then(|| "computed anew, and not to the bit what is stored".to_owned());
                    let trades = replayed.ran.trades().to_vec();
                    stretch(replayed.ran.daily_equity, trades, note)
                }
                Err(error) => stretch(Vec::new(), Vec::new(), Some(format!("{error:#}"))),
            });
        }
        Ok(stretches)
    }

    async fn proven(&self, strategy: &Strategy) -> Result<RobustnessSection, Refusal> {
        let store = &self.store;
        let detail = store.strategy(&strategy.id.to_string()).await.map_err(failed)?;
        let backtests = store.backtest_results(strategy.id).await.map_err(failed)?;
        let trials = store.trial_totals().await.map_err(failed)?.evaluations;
        let genome = match strategy.rules() {
            Err(error @ StoreError::RanksMarket { .. }) => {
                return Err(Refusal::Missing("id", format!("{error}; `sg-ai prove --id` tells what is known of it")));
            }
            genome => genome.map_err(failed)?,
        };
        let missing = |error: anyhow::Error| Refusal::Missing("id", format!("{error:#}"));
        let runs = stored_runs(&detail, &backtests);
        let prepared = prepare(self.candles.cached(), genome, &runs, Some(trials)).await.map_err(missing)?;
        self.compute.run(move || prepared.told()).await.map_err(failed)?.map_err(failed)
    }

    async fn candles(
        &self,
        strategy: &Strategy,
        symbol: &Symbol,
        from_ms: i64,
        to_ms: i64,
        most: usize,
    ) -> Result<(RuleCandles, usize), Refusal> {
        let detail = self.store.strategy(&strategy.id.to_string()).await.map_err(failed)?;
        let backtests = self.store.backtest_results(strategy.id).await.map_err(failed)?;
        // From where its own runs warmed up, so that a series is worth what they saw.
        let runs = stored_runs(&detail, &backtests);
        let warm = runs.iter().filter_map(|run| run.recipe.as_ref().ok()).map(|recipe| recipe.warmup_from_ms);
        let warm_ms = warm.min().map_or(from_ms, |warm_ms| warm_ms.min(from_ms));
        let ticker = Ticker::of(strategy.market, symbol);
        let all = self.candles.cache.load(&ticker, strategy.timeframe, warm_ms, to_ms).await.map_err(failed)?;
        let before = all.open_times_ms().partition_point(|open_ms| *open_ms < from_ms);
        let left_out = (all.len() - before).saturating_sub(most);
        let skip = before + left_out;
        let rules = match strategy.genome.read().map_err(failed)? {
            AnyStrategy::Rules(rules) => Some(rules.clone()),
            AnyStrategy::Ranking(_) => None,
        };
        let seen = tokio::task::spawn_blocking(move || {
            let (series, not_shown) = rules.map(|rules| rule_series(&rules, &all, skip)).unwrap_or_default();
            let first_ms = all.open_times_ms().get(skip).copied().unwrap_or(i64::MAX);
            RuleCandles { candles: all.slice(first_ms, i64::MAX), series, not_shown }
        });
        Ok((seen.await.map_err(failed)?, left_out))
    }

    async fn report(&self, strategy: &Strategy, now_ms: i64) -> Result<StrategyReport, Refusal> {
        let id = strategy.id.to_string();
        strategy_report(&self.store, &id, self.candles.cached(), now_ms).await.map_err(failed)
    }

    async fn coverage(&self) -> Result<Vec<CachedSeries>, Refusal> {
        let all = self.candles.cache.coverage().await.map_err(failed)?;
        let view = |c: market::cache::Coverage| CachedSeries {
            market: c.ticker.market.to_string(),
            symbol: c.ticker.symbol.to_string(),
            interval: c.interval.to_string(),
            candles: c.months.iter().map(|m| m.facts.rows).sum(),
            months: c
                .months
                .iter()
                .map(|m| {
                    let missing: u64 = m.facts.gaps.iter().map(|gap| gap.missing).sum();
                    (m.facts.month.clone(), m.facts.rows, m.facts.rows + missing, m.facts.content_sha256.clone())
                })
                .collect(),
            damaged: c.damaged,
        };
        Ok(all.into_iter().map(view).collect())
    }

    fn lacks_room(&self) -> Option<String> {
        self.candles.cache.lacks_room().map(ToOwned::to_owned)
    }

    fn settings(&self) -> Vec<ShownSetting> {
        self.shown_settings.clone()
    }
}
