//! The deployment manager: daily figures, drift alerts, regimes, and how much of the capital each live strategy gets.
//!
//! Looks at live strategies on a grid of market time, as of a point that all of them have reached, so that a daemon
//! that runs behind sees what a punctual one saw. The plan is a pure function's; this carries it out, on paper: no order
//! is ever sent. Never moves a strategy from state to state.

use super::candle_source::CandleSource;
use super::edge_decay::EdgeDecayMonitor;
use super::parts::{Did, Process, Turn};
use super::ran::LiveResults;
use super::volatility_regimes::VolatilityRegimeMonitor;
use crate::config::Config;
use anyhow::Context as _;
use candles::Ticker;
use candles::time::DAY_MS;
use chrono::{DateTime, Utc};
use engine::{DailyEquity, RunConfig, Trade};
use evidence::track::{self, DayFigures};
use genome::AnyStrategy;
use lifecycle::{
    AllocationPlan, AllocationPolicy, DeploymentFacts, DeploymentStatus, DriftConfig, DriftReading, DriftSeverity,
    EdgeDecayVerdict, Expectation, Observation, State, drift_readings, plan,
};
use notify::{Drifted, Notice};
use portfolio::Record;
use serde_json::json;
use std::collections::BTreeSet;
use store::{
    ActivePaperRun, Deployment, DeploymentChange, DriftAlert, LeaseToken, Page, PerformanceDay, StatSource,
    StrategyDetail,
};
use uuid::Uuid;

/// Name of the runner.
pub(crate) const DEPLOYMENTS: &str = "deployments";
/// Closed trades of a strategy that are looked at; more than it makes in years.
const MOST_TRADES: u32 = 200_000;

/// What the manager goes by.
#[derive(Clone)]
pub(crate) struct Rules {
    allocation: AllocationPolicy,
    drift: DriftConfig,
}

impl Rules {
    pub(crate) fn of(config: &Config) -> Self {
        Self { allocation: config.deployment.clone(), drift: config.drift.clone() }
    }
}

/// A live strategy with everything that is known of it at the point that is looked at.
struct Live {
    deployment: Deployment,
    detail: StrategyDetail,
    config: RunConfig,
    days: Vec<DayFigures>,
    /// Closed by the strategy itself, in order of exit.
    trades: Vec<Trade>,
    /// What one that ranks the market has in their place.
    portfolio: Option<Record>,
    observed: Observation,
    staying: Option<EdgeDecayVerdict>,
    leverage: f64,
    shadow_days: Vec<(i64, f64)>,
}

/// Looks after live deployments.
pub(crate) struct DeploymentManager {
    candles: CandleSource,
    process: Process,
    review_interval_s: u64,
    rules: Rules,
    turn: Turn,
    /// The last point looked at by this process, market time, UTC ms, and who was live then. A restarted one looks at it
    /// again, and so does this one when somebody has gone live meanwhile: the total is to hold for all of them. Nobody
    /// grows twice by that, for each deployment knows when its phase began.
    done: Option<(i64, BTreeSet<Uuid>)>,
    staying: EdgeDecayMonitor,
    regimes: VolatilityRegimeMonitor,
}

impl DeploymentManager {
    pub(crate) fn new(
        candles: CandleSource,
        process: Process,
        (staying, regimes): (EdgeDecayMonitor, VolatilityRegimeMonitor),
        review_interval_s: u64,
        rules: Rules,
    ) -> Self {
        let turn = Turn::new(&process.store, DEPLOYMENTS);
        Self { candles, process, review_interval_s, rules, turn, done: None, staying, regimes }
    }

    /// Looks at everything once, if there is a new point to look at.
    pub(crate) async fn activate(&mut self) -> anyhow::Result<Did> {
        if !self.turn.hold().await? {
            return Ok(Did::StoodBy);
        }
        let token = self.turn.token()?;
        let mut did = Did::Nothing;
        if self.regimes.record().await? > 0 {
            did = Did::Work;
        }
        self.close_ended(&token).await?;
        let runs = self.process.store.paper_runs(&[State::Live]).await?;
        // As of what all of them have reached: what one of them will have done there is not known yet.
        let step_ms = i64::try_from(self.review_interval_s).unwrap_or(i64::MAX / 2_000) * 1_000;
        let Some(newest_ms) = runs.iter().map(|r| r.run.to_ms).max() else { return Ok(did) };
        // But one that is in trouble does not hold up the others for long.
        let reached = runs.iter().map(|r| r.run.to_ms).filter(|to_ms| *to_ms > newest_ms - DAY_MS);
        let at_ms = reached.min().unwrap_or(newest_ms).div_euclid(step_ms) * step_ms;
        let live_now: BTreeSet<Uuid> = runs.iter().map(|r| r.strategy.id).collect();
        let is_done =
            |(done_ms, then): &(i64, BTreeSet<Uuid>)| at_ms < *done_ms || (at_ms == *done_ms && *then == live_now);
        if self.done.as_ref().is_some_and(is_done) {
            return Ok(did);
        }
        self.staying.keep(|run_id| runs.iter().any(|r| r.run.id == run_id));
        let mut live = Vec::with_capacity(runs.len());
        for run in runs {
            if self.process.stop.is_cancelled() {
                return Ok(Did::Stopped);
            }
            let name = run.strategy.name.clone();
            live.extend(self.look(run, at_ms).await.with_context(|| format!("live strategy {name}"))?);
        }
        for one in &live {
            self.record_days(&token, one)
                .await
                .with_context(|| format!("daily figures of {}", one.detail.strategy.name))?;
            self.record_drift(&token, one, at_ms)
                .await
                .with_context(|| format!("drift of {}", one.detail.strategy.name))?;
        }
        let alerts = self.process.store.drift_alerts(true, Page::first(10_000)).await?;
        self.tell(&live, &alerts).await?;
        let plan = self.plan(&live, &alerts, at_ms).await?;
        self.carry_out(&token, &live, &plan).await?;
        self.done = Some((at_ms, live_now));
        Ok(Did::Work)
    }

    /// Closes the alerts of deployments that have ended: nothing can come of them.
    async fn close_ended(&self, token: &LeaseToken) -> anyhow::Result<()> {
        let alerts = self.process.store.drift_alerts(true, Page::first(10_000)).await?;
        if alerts.is_empty() {
            return Ok(());
        }
        let open = self.process.store.open_deployments().await?;
        for alert in alerts.iter().filter(|a| !open.iter().any(|d| d.id == a.deployment_id)) {
            self.process.store.close_alerts(token, alert.deployment_id, "the deployment has ended").await?;
        }
        Ok(())
    }

    /// What is known of a live strategy at `at_ms`; `None` while it has no deployment.
    async fn look(&mut self, run: ActivePaperRun, at_ms: i64) -> anyhow::Result<Option<Live>> {
        let store = &self.process.store;
        let id = run.strategy.id;
        let detail = store.strategy(&id.to_string()).await?;
        let open = |d: &&Deployment| d.ended_at.is_none() && d.started_market_ms <= at_ms;
        let Some(deployment) = detail.deployments.iter().rev().find(open).cloned() else { return Ok(None) };
        let config = run.run.config.into_read()?;
        let leverage = match run.strategy.genome.read()? {
            AnyStrategy::Rules(rules) => rules.risk.leverage.get(),
            AnyStrategy::Ranking(ranking) => ranking.gross.get(),
        };
        let portfolio = run.run.portfolio;
        let by_run = store.paper_trades(id, Page::first(MOST_TRADES)).await?;
        let of_run = |run_id: Uuid, until_ms: i64| {
            let mut trades: Vec<Trade> = by_run
                .iter()
                .filter(|row| row.run_id == run_id && row.trade.exit_time_ms < until_ms)
                .map(|row| row.trade.clone())
                .collect();
            trades.sort_by_key(|t| (t.exit_time_ms, t.entry_time_ms));
            trades
        };
        let equity: Vec<DailyEquity> = run.run.daily_equity.iter().copied().filter(|e| e.time_ms <= at_ms).collect();
        let trades = of_run(run.run.id, at_ms);
        let days = track::days(&equity, &trades);
        let before = detail.paper_runs.iter().filter(|r| r.phase == State::Shadow && r.ended_at.is_some());
        let mut shadow_days = Vec::new();
        for shadow in before {
            let found = track::days(&shadow.daily_equity, &[]);
            shadow_days.extend(found.iter().map(|d| (d.day_ms, d.daily_return)));
        }
        shadow_days.sort_by_key(|d| d.0);
        shadow_days.dedup_by_key(|d| d.0);
        let observed = Observation {
            daily_returns: equity.windows(2).filter_map(|pair| DailyEquity::day_return(pair[0], pair[1])).collect(),
            profits: trades.iter().map(|t| t.profit).collect(),
            max_drawdown: days.iter().map(|d| d.drawdown).min_by(f64::total_cmp),
        };
        let known_ms = |day_ms: &i64| day_ms + DAY_MS <= at_ms;
        let hedged = portfolio.as_ref().map(|record| {
            let count = record.days.day_ms.iter().take_while(|day_ms| known_ms(day_ms)).count();
            &record.days.hedged[..count.min(record.days.hedged.len())]
        });
        let live = hedged.map_or(LiveResults::Trades(&trades), LiveResults::Hedged);
        let staying = self.staying.verdict((id, run.run.id), live).await?;
        Ok(Some(Live { deployment, detail, config, days, trades, portfolio, observed, staying, leverage, shadow_days }))
    }

    /// Stores the finished days that are new, or that revised candles have changed.
    async fn record_days(&self, lease: &LeaseToken, live: &Live) -> anyhow::Result<()> {
        let stored = self.process.store.performance_days(live.deployment.id).await?;
        let at_work = live.deployment.at_work_pct();
        let mut days = Vec::new();
        for figures in &live.days {
            let day =
                DateTime::from_timestamp_millis(figures.day_ms).context("a day outside the calendar")?.date_naive();
            let before = stored.iter().find(|d| d.day == day);
            let same = |d: &PerformanceDay| {
                d.daily_return.to_bits() == figures.daily_return.to_bits()
                    && d.cumulative_return.to_bits() == figures.cumulative_return.to_bits()
                    && d.trades == figures.trades
            };
            if before.is_some_and(same) {
                continue;
            }
            days.push(PerformanceDay {
                day,
                allocation_pct: before.map_or(at_work, |d| d.allocation_pct),
                daily_return: figures.daily_return,
                cumulative_return: figures.cumulative_return,
                rolling_sharpe_30d: figures.sharpe_30d,
                drawdown: figures.drawdown,
                win_rate: figures.win_rate,
                trades: figures.trades,
                volatility: figures.volatility,
                benchmark_return: self.benchmark(live, figures.day_ms).await?,
            });
        }
        if !days.is_empty() {
            self.process.store.record_performance_days(Some(lease), live.deployment.id, &days).await?;
        }
        Ok(())
    }

    /// Return of a day for whoever holds the symbols (or the market that is ranked) in equal parts; `None` where a close is
    /// missing.
    async fn benchmark(&self, live: &Live, day_ms: i64) -> anyhow::Result<Option<f64>> {
        if let Some(days) = live.portfolio.as_ref().map(|record| &record.days) {
            let day = days.day_ms.binary_search(&day_ms).ok();
            return Ok(day.and_then(|day| days.equal_weight.get(day).copied().flatten()));
        }
        let config = &live.config;
        let (mut sum, to_ms) = (0.0, day_ms + DAY_MS);
        for symbol in &config.symbols {
            let length_ms = config.interval.fixed_ms().unwrap_or(DAY_MS);
            let ticker = Ticker::of(config.market, symbol);
            let candles = self.candles.cache.load(&ticker, config.interval, day_ms - length_ms, to_ms).await?;
            let close_at = |time_ms: i64| {
                let i = candles.open_times_ms().partition_point(|open| open + length_ms <= time_ms).checked_sub(1)?;
                (candles.close_time_ms(i) + 1 > time_ms - length_ms).then(|| candles.closes()[i])
            };
            let (Some(first), Some(last)) = (close_at(day_ms), close_at(to_ms)) else { return Ok(None) };
            sum += last / first - 1.0;
        }
        Ok((!config.symbols.is_empty()).then(|| sum / config.symbols.len() as f64))
    }

    /// Opens, escalates, updates and closes alerts.
    async fn record_drift(&self, lease: &LeaseToken, live: &Live, at_ms: i64) -> anyhow::Result<()> {
        let store = &self.process.store;
        let id = live.detail.strategy.id;
        let open = store.drift_alerts_of(id).await?;
        let open: Vec<_> =
            open.iter().filter(|a| a.deployment_id == live.deployment.id && a.closed_at.is_none()).collect();
        let stat = |source| {
            let of = |s: &&store::StatRow| s.source == source;
            live.detail.stats.iter().rev().find(of).map(|s| s.performance.clone())
        };
        let expected = Expectation {
            backtest: stat(StatSource::Backtest),
            holdout: stat(StatSource::Holdout),
            shadow: stat(StatSource::Shadow),
            shadow_returns: live.shadow_days.iter().map(|d| d.1).collect(),
        };
        let kinds: Vec<_> = open.iter().map(|a| a.drift).collect();
        let found = drift_readings(&expected, &live.observed, &kinds, &self.rules.drift);
        let detail = json!({
            "days": live.observed.daily_returns.len(),
            "trades": live.observed.profits.len(),
            "staying": live.staying,
        });
        let reading = |r: DriftReading| store::DriftReading {
            deployment_id: live.deployment.id,
            strategy_id: id,
            drift: r.kind,
            expected: r.expected,
            observed: r.observed,
            warning_at: r.warning_at,
            critical_at: r.critical_at,
            recommended_action: DriftReading::action(r.kind, r.severity.unwrap_or(DriftSeverity::Warning)),
            detail: detail.clone(),
            at_market_ms: at_ms,
        };
        let readings: Vec<_> = found.into_iter().map(reading).collect();
        let outcomes = store.record_drift(Some(lease), &readings).await?;
        tracing::debug!(strategy = live.detail.strategy.name, ?outcomes, "drift");
        Ok(())
    }

    /// A message for each open alert and its severity. The key names the alert, so each is told of once, and one that
    /// was opened by a process that died before telling is told of by the next.
    async fn tell(&self, live: &[Live], alerts: &[DriftAlert]) -> anyhow::Result<()> {
        for alert in alerts {
            let Some(one) = live.iter().find(|l| l.deployment.id == alert.deployment_id) else { continue };
            let notice = Notice::Drift(Drifted {
                strategy_id: alert.strategy_id.to_string(),
                name: one.detail.strategy.name.clone(),
                alert: alert.id,
                figure: alert.drift.name().to_owned(),
                severity: alert.severity.name().to_owned(),
                expected: alert.expected,
                observed: alert.observed,
                action: alert.recommended_action.name().to_owned(),
                market_time_ms: alert.at_market_ms,
            });
            let key = format!("drift:{}:{}", alert.id, alert.severity.name());
            for event in notice.events(&key, &self.process.channels) {
                self.process.store.enqueue_event(&event).await?;
            }
        }
        Ok(())
    }

    async fn plan(&self, live: &[Live], alerts: &[DriftAlert], at_ms: i64) -> anyhow::Result<AllocationPlan> {
        let regimes = self.process.store.current_regimes().await?;
        let facts: Vec<DeploymentFacts> = live
            .iter()
            .map(|l| {
                let of = |a: &&DriftAlert| a.deployment_id == l.deployment.id;
                let rough =
                    regimes.iter().filter(|r| r.market == l.config.market && l.config.symbols.contains(&r.asset));
                let newest = l.days.last();
                let profits = &l.observed.profits;
                let mut daily_returns = l.shadow_days.clone();
                daily_returns.retain(|d| l.days.first().is_none_or(|first| d.0 < first.day_ms));
                daily_returns.extend(l.days.iter().map(|d| (d.day_ms, d.daily_return)));
                DeploymentFacts {
                    deployment_id: l.deployment.id,
                    strategy: l.detail.strategy.name.clone(),
                    phase: l.deployment.phase,
                    phase_from_ms: l.deployment.phase_market_ms,
                    status: l.deployment.status,
                    allocation_pct: l.deployment.allocation_pct,
                    paused_until_ms: l.deployment.paused_until.map(|until| until.timestamp_millis()),
                    days: u32::try_from(l.days.len()).unwrap_or(u32::MAX),
                    trades: u32::try_from(l.trades.len()).unwrap_or(u32::MAX),
                    profit_factor: engine::performance::profit_factor(profits),
                    staying: l.staying.as_ref().map(|s| s.level),
                    drift: alerts.iter().filter(of).map(|a| a.recommended_action).max(),
                    regime: rough.map(|r| r.regime).max(),
                    limits: l.deployment.risk_limits,
                    leverage: l.leverage,
                    last_return: newest.map(|d| d.daily_return),
                    drawdown: newest.map(|d| d.drawdown),
                    daily_returns,
                }
            })
            .collect();
        // A live book has its share first.
        let of_books = self.process.store.books_at_work_pct().await?;
        let max_total_pct = (self.rules.allocation.max_total_pct - of_books).max(0.0);
        let policy = AllocationPolicy { max_total_pct, ..self.rules.allocation.clone() };
        Ok(plan(&facts, &policy, at_ms))
    }

    /// Stores what the plan changes, each deployment with its audit entry in a transaction of its own.
    async fn carry_out(&self, token: &LeaseToken, live: &[Live], plan: &AllocationPlan) -> anyhow::Result<()> {
        let mut changes: Vec<_> = plan
            .deployments
            .iter()
            .filter(|d| d.changed)
            .filter_map(|planned| {
                let now = &live.iter().find(|l| l.deployment.id == planned.deployment_id)?.deployment;
                let will = if planned.status == DeploymentStatus::Active { planned.allocation_pct } else { 0.0 };
                let grows = will - now.at_work_pct();
                Some((grows, planned, now.risk_limits))
            })
            .collect();
        // Who gives first: the total holds after each of them, so also for a process that is killed half way.
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, planned, risk_limits) in changes {
            let until = planned.paused_until_ms.and_then(DateTime::<Utc>::from_timestamp_millis);
            let paused = planned.status == DeploymentStatus::Paused;
            let change = DeploymentChange {
                phase: planned.phase,
                allocation_pct: planned.allocation_pct,
                paused: paused.then_some(until),
                risk_limits,
                reason: planned.reasons.join("; "),
                actor: "deployment manager".to_owned(),
                at_market_ms: plan.at_ms,
                max_total_pct: self.rules.allocation.max_total_pct,
            };
            match self.process.store.change_deployment(Some(token), planned.deployment_id, &change).await {
                Ok(_) => tracing::info!(
                    strategy = planned.strategy,
                    phase = planned.phase.name(),
                    status = planned.status.name(),
                    allocation_pct = planned.allocation_pct,
                    at_market_ms = plan.at_ms,
                    reason = change.reason,
                    "deployment changes"
                ),
                // The gate has ended it meanwhile, or an operator has resumed another: the next look sees that.
                Err(store::StoreError::Conflict(why)) => {
                    tracing::info!(strategy = planned.strategy, why, "no change")
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
