//! Candles and the engine for whoever asks over HTTP: backtests, curves of stored strategies, what is cached.
//!
//! Stores nothing by itself but candles that it fetched.

use super::candle_source::CandleSource;
use super::parts::Compute;
use super::recipe::run_config;
use super::replay::{replay, stored_runs};
use super::robustness::prepare;
use super::window::{Loaded, WindowSpec};
use crate::config::DaemonConfig;
use async_trait::async_trait;
use candles::{CandleSeries, MarketKind, Symbol, interval};
use engine::{Ledger, Recipe, Terms, Wanted};
use genome::Timeframe;
use http::{BacktestDone, BacktestOrder, Backtests, Coverage, Refusal, Stretch};
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

/// Trouble of ours, told in one line.
fn failed(error: impl Into<anyhow::Error>) -> Refusal {
    Refusal::Failed(format!("{:#}", error.into()))
}

#[async_trait]
impl Backtests for Answers {
    fn customary(&self) -> (Timeframe, MarketKind, Vec<Symbol>) {
        let settings = &self.settings;
        (settings.interval, settings.market, settings.symbols.clone())
    }

    async fn run(&self, order: BacktestOrder) -> Result<BacktestDone, Refusal> {
        let CandleSource { market, cache, feed, .. } = &self.candles;
        let (market, symbols) = (*market, vec![order.symbol.clone()]);
        let candles = order.strategy.timeframe;
        let warmup_from_ms = order.from_ms - self.settings.warmup_ms();
        let fetched = feed.refresh_until(market, &symbols, candles, warmup_from_ms, order.to_ms).await;
        if market == MarketKind::Um {
            // Without rates the backtest has no funding, and says so by costs of zero.
            feed.refresh_funding(&symbols, warmup_from_ms, false).await;
        }
        let trouble = fetched.into_iter().next().and_then(|row| row.error);
        // A candle that has not closed is none, and one that closes after the end is not the window's.
        let spec = WindowSpec {
            market,
            symbols: symbols.clone(),
            interval: candles,
            warmup_from_ms,
            to_ms: interval::open_time_ms(candles, order.to_ms),
        };
        let loaded = Loaded::read(cache, spec.clone()).await.map_err(failed)?;
        let none = |why: String| match &trouble {
            Some(error) if error.contains("is not known on") => {
                Refusal::Missing("symbol", format!("the exchange does not know {}", order.symbol))
            }
            Some(error) => Refusal::Busy(format!(
                "there are no {candles} candles of {} for these dates, and the exchange does not give any now: {error}",
                order.symbol
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
        let window = loaded.window(order.from_ms, to_ms).map_err(|error| none(error.to_string()))?;
        let traded = window.symbols()[0].candles.slice(order.from_ms, to_ms).len() as u64;
        let expected = candles.fixed_ms().map_or(traded, |length_ms| {
            let first_ms = interval::open_time_ms(candles, order.from_ms + length_ms - 1);
            u64::try_from((to_ms - first_ms) / length_ms).unwrap_or_default()
        });
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
            candles: traded,
            missing_candles: expected.saturating_sub(traded),
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
            let stretch = |daily_equity, trades, note| Stretch { source, from_ms, to_ms, daily_equity, trades, note };
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

    async fn coverage(&self) -> Result<Vec<Coverage>, Refusal> {
        let all = self.candles.cache.coverage().await.map_err(failed)?;
        let view = |c: market::cache::Coverage| Coverage {
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

    fn settings(&self) -> Vec<(String, Value, String)> {
        self.shown_settings.clone()
    }
}
