//! A strategy's whole story, read from the store and computed again from cached candles, for whoever writes it down.
//!
//! Stores nothing; where candles are missing it tells what is stored.

use super::replay::{Replayed, StoredRun, replay, stored_runs};
use super::robustness::prepare;
use super::rule_chart::{self, BySymbol};
use super::whole_market::Cached;
use candles::Ticker;
use candles::quality::{self, QualityPolicy};
use engine::{Recipe, Trade};
use market::CandleCache;
use report::{Ancestor, CandleQuality, Evidence, Move, Part, Period, Setup, StrategyReport};
use serde_json::json;
use store::{BacktestRow, Lineage, Page, Proved, StatSource, Store, StrategyDetail, TradeRow};

/// Steps back that the lineage goes.
const LINEAGE_DEPTH: u32 = 5;
/// Most stored trades that are read where candles are missing to compute them again.
const MAX_STORED_TRADES: u32 = 100_000;

/// The story of the strategy that `selector` names: number, id, name, or the first characters of id or genome hash.
///
/// # Errors
/// When there is no such strategy, or the database does not answer.
pub(crate) async fn strategy_report(
    store: &Store,
    selector: &str,
    cached: Cached<'_>,
    now_ms: i64,
) -> anyhow::Result<StrategyReport> {
    build(read(store, selector).await?, cached, now_ms).await
}

/// What the store knows.
struct Stored {
    detail: StrategyDetail,
    backtests: Vec<BacktestRow>,
    lineage: Vec<Lineage>,
    trades: Vec<TradeRow>,
    /// Evaluations ever counted.
    trials: u64,
    simulated: bool,
    proved: Option<Proved>,
}

async fn read(store: &Store, selector: &str) -> anyhow::Result<Stored> {
    let detail = store.strategy(selector).await?;
    let id = detail.strategy.id;
    let backtests = store.backtest_results(id).await?;
    let lineage = store.lineage(id, LINEAGE_DEPTH).await?;
    let trades = store.paper_trades(id, Page::first(MAX_STORED_TRADES)).await?;
    let trials = store.trial_totals().await?.evaluations;
    let simulated = store.is_simulated().await?;
    let proved = store.proved(id).await?;
    Ok(Stored { detail, backtests, lineage, trades, trials, simulated, proved })
}

async fn build(stored: Stored, cached: Cached<'_>, now_ms: i64) -> anyhow::Result<StrategyReport> {
    let s = &stored.detail.strategy;
    let strategy = s.genome.read()?.clone();
    let mut periods = Vec::new();
    let runs = stored_runs(&stored.detail, &stored.backtests);
    // Where candles are missing it is told of what is stored.
    let prepared = match strategy.rules() {
        Some(rules) => prepare(cached, rules, &runs, Some(stored.trials)).await.ok(),
        None => None,
    };
    let proven = match prepared {
        Some(prepared) => tokio::task::spawn_blocking(|| prepared.told()).await?.ok(),
        None => None,
    };
    for run in runs {
        let replayed = match (&run.recipe, &run.performance) {
            (_, None) => Err("it has not had its first pass".to_owned()),
            (Err(why), _) => Err(why.clone()),
            (Ok(recipe), Some(_)) => replay(cached, &strategy, recipe, &run).await.map_err(|e| format!("{e:#}")),
        };
        let span = (run.from_ms, run.to_ms);
        let candles = rule_chart::of_symbols(&cached.candles, s, span).await;
        periods.push(period(run, replayed, &stored.trades, &candles));
    }
    let quality = data_quality(&cached.candles, &periods).await;
    let moves = stored.detail.transitions.iter().map(|t| Move {
        at_ms: t.at_market_ms,
        from: t.from,
        to: t.to,
        actor: t.actor.clone(),
        policy: t.policy.clone(),
        summary: t.summary.clone(),
        checks: t.decision.as_ref().map(|d| d.checks.clone()).unwrap_or_default(),
    });
    let ancestors = stored.lineage.iter().map(|a| Ancestor {
        depth: a.depth,
        name: a.name.clone(),
        genome_hash: a.genome_hash.clone(),
        generation: a.generation,
        state: a.state,
    });
    Ok(StrategyReport {
        name: s.name.clone(),
        id: Some(s.id.to_string()),
        genome_hash: s.genome_hash.clone(),
        state: Some(s.state),
        disable_reason: s.disable_reason,
        rules: strategy.to_string(),
        words: strategy.describe(),
        market: s.market,
        symbols: s.symbols.clone(),
        timeframe: s.timeframe,
        created_by: s.created_by.clone(),
        created_at_ms: s.created_at.timestamp_millis(),
        generation: s.generation,
        island: s.island.clone(),
        session: s.session_id.map(|id| id.to_string()),
        ancestors: ancestors.collect(),
        moves: moves.collect(),
        periods,
        quality,
        proven,
        evidence: stored.proved.map(|proved| Evidence {
            holdout_log_e: proved.holdout_log_e,
            holdout_days: proved.holdout_days,
            log_needed: proved.log_needed,
            progress: stored.detail.paper_runs.iter().rev().find_map(|run| run.progress.clone()),
        }),
        simulated: stored.simulated,
        made_at_ms: now_ms,
        made_by: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// What is wrong with the cached candles of the whole story; what is not cached is left out.
async fn data_quality(cache: &CandleCache, periods: &[Period]) -> Vec<CandleQuality> {
    let from_ms = periods.iter().map(|p| p.from_ms).min();
    let to_ms = periods.iter().map(|p| p.to_ms).max();
    let (Some(from_ms), Some(to_ms)) = (from_ms, to_ms) else { return Vec::new() };
    let mut series: Vec<_> = periods
        .iter()
        .filter_map(|p| p.setup.as_ref())
        .flat_map(|s| s.symbols.iter().map(|symbol| (Ticker::of(s.market, symbol), s.interval)))
        .collect();
    series.sort();
    series.dedup();
    let mut found = Vec::new();
    for (ticker, interval) in series {
        let Ok(candles) = cache.load(&ticker, interval, from_ms, to_ms).await else { continue };
        let report = quality::check_series(&candles, &QualityPolicy::default());
        let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        found.push(CandleQuality {
            symbol: ticker.symbol,
            interval,
            expected: report.expected,
            present: candles.len() as u64,
            findings: report
                .findings
                .iter()
                .map(|f| [word(json!(f.kind)), word(json!(f.severity)), f.detail.clone()])
                .collect(),
        });
    }
    found
}

/// Figures as they are stored; curve and trades as the candles give them, and what is stored where they are missing.
fn period(
    run: StoredRun,
    replayed: Result<Replayed, String>,
    stored_trades: &[TradeRow],
    candles: &BySymbol,
) -> Period {
    let part = match run.source {
        StatSource::Backtest => Part::Backtest,
        StatSource::Holdout => Part::Holdout,
        StatSource::Shadow => Part::Shadow,
        StatSource::Live => Part::Live,
    };
    let (daily_equity, trades, coverage, note) = match replayed {
        Ok(Replayed { ran, coverage, .. }) => {
            let same = run.performance.as_ref() == Some(&ran.performance);
            let note = (!same).then(|| {
                "curve and trades are computed anew, and not to the bit what the stored figures rest on; \
                 sg-ai reproduce says why"
                    .to_owned()
            });
            let trades = ran.trades().to_vec();
            (ran.daily_equity, trades, coverage, note)
        }
        Err(why) => match run.daily_equity {
            Some(equity) => {
                let of_run = |row: &&TradeRow| Some(row.run_id) == run.paper_run;
                let mut trades: Vec<Trade> = stored_trades.iter().filter(of_run).map(|row| row.trade.clone()).collect();
                trades.sort_by(|a, b| (a.entry_time_ms, &a.symbol).cmp(&(b.entry_time_ms, &b.symbol)));
                let note = run.performance.is_some().then(|| format!("curve and trades are those stored: {why}"));
                (equity, trades, Vec::new(), note)
            }
            None => (Vec::new(), Vec::new(), Vec::new(), Some(format!("no curve and no trades: {why}"))),
        },
    };
    let setup = run.recipe.ok().map(|recipe| setup(recipe, run.data_version));
    Period {
        part,
        from_ms: run.from_ms,
        to_ms: run.to_ms,
        performance: run.performance,
        benchmark: rule_chart::benchmark(candles, &daily_equity),
        daily_equity,
        trades,
        setup,
        coverage,
        note,
    }
}

fn setup(recipe: Recipe, data_version: Option<String>) -> Setup {
    let c = recipe.config;
    Setup {
        market: c.market,
        symbols: c.symbols,
        interval: c.interval,
        costs: c.costs,
        initial_capital: c.initial_capital,
        warmup_from_ms: recipe.warmup_from_ms,
        data_version,
        code_version: c.code_version,
    }
}
