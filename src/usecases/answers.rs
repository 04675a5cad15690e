//! Candles and the engine for whoever asks over HTTP: backtests, curves of stored strategies, what is cached.
//!
//! Stores nothing by itself but candles that it fetched.

use super::candle_source::CandleSource;
use super::parts::Compute;
use super::recipe::run_config;
use super::replay::{coverage, replay, stored_runs};
use super::robustness::prepare;
use super::window::{Loaded, WindowSpec};
use crate::config::DaemonConfig;
use async_trait::async_trait;
use candles::stored::CandleRange;
use candles::{CandleSeries, MarketKind, Symbol, SymbolCoverage, interval, time};
use engine::{Ledger, Recipe, Terms, Wanted};
use genome::Timeframe;
use http::{BacktestDone, BacktestOrder, Backtests, CachedSeries, Refusal, Stretch};
use market::cache::CacheError;
use report::RobustnessSection;
use serde_json::Value;
use std::sync::Arc;
use store::{Page, Store, Strategy};

/// Most stored trades that are read where candles are missing to compute them again.
const MAX_STORED_TRADES: u32 = 100_000;

/// The part of the daemon that answers clients.
pub(crate) struct Answers {
    pub(crate) candles: CandleSource,
    pub(crate) compute: Compute,
    pub(crate) store: Store,
    pub(crate) settings: DaemonConfig,
    /// Key, value, who set it; no secret.
    pub(crate) shown_settings: Vec<(String, Value, String)>,
}

/// Trouble of ours, told in one line. Want of room is nobody's defect: it may work when somebody has made some.
fn failed(error: impl Into<anyhow::Error>) -> Refusal {
    let error = error.into();
    let is_full = |e: &(dyn std::error::Error + 'static)| matches!(e.downcast_ref(), Some(CacheError::Full { .. }));
    let why = format!("{error:#}");
    if error.chain().any(is_full) { Refusal::Busy(why) } else { Refusal::Failed(why) }
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
    /// Fetches what is missing of a window and reads it; what went wrong with the fetching, if anything did.
    async fn fetch(&self, spec: &WindowSpec, to_ms: i64) -> Result<(Loaded, Option<Trouble>), Refusal> {
        let CandleSource { cache, feed, .. } = &self.candles;
        let fetched = feed.refresh_until(spec.market, &spec.symbols, spec.interval, spec.warmup_from_ms, to_ms).await;
        if spec.market == MarketKind::Um {
            // Without rates the backtest has no funding, and says so by costs of zero.
            feed.refresh_funding(&spec.symbols, spec.warmup_from_ms, false).await;
        }
        let loaded = Loaded::read(cache, spec.clone()).await.map_err(failed)?;
        let trouble = fetched.into_iter().next();
        let trouble = trouble.and_then(|row| Some(Trouble { error: row.error?, no_room: row.no_room }));
        Ok((loaded, trouble))
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
        let config = run_config(
            market,
            symbols,
            candles,
            Terms { initial_capital: order.initial_capital, costs: self.compute.terms.costs },
        );
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
            coverage: counted,
            performance: outcome.performance,
            daily_equity,
            trades,
        })
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
                Ok(recipe) => coverage(&self.candles.cache, recipe, (from_ms, to_ms)).await.unwrap_or_default(),
                Err(_) => Vec::new(),
            };
            let stretch = |daily_equity, trades, note| Stretch {
                source,
                from_ms,
                to_ms,
                daily_equity,
                trades,
                coverage: counted,
                note,
            };
            // What paper trading stored is what happened; of a backtest only the figures are stored.
            if let Some(equity) = run.daily_equity {
                let of_run = stored.iter().filter(|row| Some(row.run_id) == run.paper_run);
                stretches.push(stretch(equity, of_run.map(|row| row.trade.clone()).collect(), None));
                continue;
            }
            let replayed = match &run.recipe {
                Ok(recipe) => replay(&self.candles.cache, genome, recipe, (from_ms, to_ms)).await,
                Err(why) => Err(anyhow::anyhow!(why.clone())),
            };
            stretches.push(match replayed {
                Ok(replayed) => {
                    let same = run.performance.as_ref() == Some(&replayed.outcome.performance);
                    let note = (!same).then(|| "computed anew, and not to the bit what is stored".to_owned());
                    let ledger = replayed.outcome.ledger.unwrap_or_default();
                    stretch(ledger.daily_equity, ledger.trades, note)
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
        let genome = strategy.genome.read().map_err(failed)?;
        let missing = |error: anyhow::Error| Refusal::Missing("id", format!("{error:#}"));
        let runs = stored_runs(&detail, &backtests);
        let prepared = prepare(&self.candles.cache, genome, &runs, Some(trials)).await.map_err(missing)?;
        self.compute.run(move || prepared.told()).await.map_err(failed)?.map_err(failed)
    }

    async fn candles(
        &self,
        symbol: &Symbol,
        interval: Timeframe,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<CandleSeries, Refusal> {
        self.candles.cache.load(self.candles.market, symbol, interval, from_ms, to_ms).await.map_err(failed)
    }

    async fn coverage(&self) -> Result<Vec<CachedSeries>, Refusal> {
        let all = self.candles.cache.coverage().await.map_err(failed)?;
        let view = |c: market::cache::Coverage| CachedSeries {
            market: c.market.to_string(),
            symbol: c.symbol.to_string(),
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

    fn settings(&self) -> Vec<(String, Value, String)> {
        self.shown_settings.clone()
    }
}
