//! Many strategies over one window: what several of them look at is computed once, then each trades by itself.
//!
//! The same bits as [`crate::run`] for each, at any number of threads.

use crate::{
    Benchmark, Hedged, HedgedFigures, Panel, PortfolioTerms, Rebalance, Results, RunError, Track,
    brief::brief,
    prepared::{Ground, MOST_SLOPES, Ready},
    results::hedged_figures,
    state::Trader,
};
use candles::time::DAY_MS;
use engine::{Outcome, Performance, TradesDigest};
use genome::Ranking;
use rayon::prelude::*;
use std::{
    ops::Deref,
    sync::{Mutex, PoisonError},
};

/// Strategies that are prepared together: enough to share what they look at, few enough to hold it all in memory.
const TOGETHER: usize = 64;

/// Columns that populations leave for later ones, at most.
const LEFT_BYTES: usize = 256 << 20;

/// What a [`Market`] keeps for later populations at most, beside its panel, bytes.
pub const KEPT_BYTES: usize = LEFT_BYTES + MOST_SLOPES;

/// What a strategy comes to over a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// As for every strategy.
    pub performance: Performance,
    /// A day's returns each.
    pub days: Vec<Hedged>,
}

/// What a strategy came to, with what is told of its days.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// As [`Market::evaluate`] gives it.
    pub outcome: Outcome,
    /// Statistics of its hedged daily returns.
    pub hedged: HedgedFigures,
    /// Stays that began on each day that has a return.
    pub entered: Vec<u32>,
}

/// A window of a panel (borrowed or shared) on which populations are evaluated, and what earlier ones leave for later
/// ones.
#[derive(Debug)]
pub struct Market<P> {
    panel: P,
    from_ms: i64,
    to_ms: i64,
    terms: PortfolioTerms,
    benchmark: Benchmark,
    ground: Mutex<Ground<P>>,
}

impl<P: Deref<Target = Panel> + Clone + Send + Sync> Market<P> {
    /// The slots that open in `[from_ms, to_ms)`; all of the panel's candles before warm up.
    ///
    /// # Errors
    /// When the window is empty, or the terms are impossible.
    pub fn new(panel: P, from_ms: i64, to_ms: i64, terms: PortfolioTerms) -> Result<Self, RunError> {
        if from_ms >= to_ms {
            return Err(RunError::EmptyWindow);
        }
        terms.validate().map_err(RunError::Terms)?;
        let first_day_ms = from_ms.div_euclid(DAY_MS) * DAY_MS;
        let days = (to_ms.min(panel.end_ms()) - first_day_ms).div_euclid(DAY_MS).max(0) as usize;
        let benchmark = Benchmark::of(&panel, first_day_ms, days);
        Ok(Self {
            from_ms,
            to_ms,
            terms,
            benchmark,
            ground: Mutex::new(Ground::new(panel.clone(), from_ms, to_ms, LEFT_BYTES)),
            panel,
        })
    }

    /// On which candles.
    pub fn panel(&self) -> &P {
        &self.panel
    }

    /// First slot and end, exclusive, UTC ms.
    pub const fn span_ms(&self) -> (i64, i64) {
        (self.from_ms, self.to_ms)
    }

    /// On which terms.
    pub const fn terms(&self) -> PortfolioTerms {
        self.terms
    }

    /// What each strategy comes to, in order. Daily returns are hedged and after all costs; `performance` is of the plain
    /// ones. No symbol has a result of its own.
    pub fn evaluate(&self, strategies: &[&Ranking]) -> Vec<Result<Outcome, RunError>> {
        self.of_each(strategies, &|strategy, ready| self.outcome(strategy, ready).0)
    }

    /// The same, with what is told of each strategy's days.
    pub fn measure(&self, strategies: &[&Ranking]) -> Vec<Result<Measured, RunError>> {
        self.of_each(strategies, &|strategy, ready| {
            let (outcome, track, days) = self.outcome(strategy, ready);
            let mut entered = vec![0; days.len()];
            let first_ms = days.first().map_or(0, |day| day.day_ms);
            for stay in track.closed.iter().chain(&track.open) {
                // A last day that is not whole has no return, and its stays are on no day.
                let day = usize::try_from((stay.entry_ms - first_ms).div_euclid(DAY_MS)).ok();
                if let Some(count) = day.and_then(|day| entered.get_mut(day)) {
                    *count += 1;
                }
            }
            Measured { hedged: hedged_figures(&outcome.daily_returns, &days), outcome, entered }
        })
    }

    /// Performance and days of each strategy, in order.
    pub fn days(&self, strategies: &[&Ranking]) -> Vec<Result<Brief, RunError>> {
        self.of_each(strategies, &|strategy, ready| {
            let (outcome, _, days) = self.outcome(strategy, ready);
            Brief { performance: outcome.performance, days }
        })
    }

    /// What each strategy did and came to, in order: [`crate::run`] and [`Results::of`] of it.
    pub fn runs(&self, strategies: &[&Ranking]) -> Vec<Result<(Track, Results), RunError>> {
        self.of_each(strategies, &|strategy, ready| {
            let track = self.trader(strategy, ready).run(self.from_ms, self.to_ms, true);
            let results = Results::of(&track, &self.panel, self.from_ms, self.to_ms, &self.terms);
            (track, results)
        })
    }

    /// What each strategy wanted to hold and when, in order.
    pub fn targets(&self, strategies: &[&Ranking]) -> Vec<Result<Vec<Rebalance>, RunError>> {
        self.of_each(strategies, &|strategy, ready| {
            self.trader(strategy, ready).run(self.from_ms, self.to_ms, true).rebalances
        })
    }

    fn of_each<T: Send>(
        &self,
        strategies: &[&Ranking],
        one: &(dyn Fn(&Ranking, &Ready) -> T + Sync),
    ) -> Vec<Result<T, RunError>> {
        strategies.chunks(TOGETHER).flat_map(|together| self.together(together, one)).collect()
    }

    fn together<T: Send>(
        &self,
        strategies: &[&Ranking],
        one: &(dyn Fn(&Ranking, &Ready) -> T + Sync),
    ) -> Vec<Result<T, RunError>> {
        let panel = self.panel.interval();
        let fits = |s: &&Ranking| s.timeframe == panel;
        let fitting: Vec<&Ranking> = strategies.iter().copied().filter(fits).collect();
        // What is known of the ground is whole even if a thread panicked beside it.
        let mut ready =
            self.ground.lock().unwrap_or_else(PoisonError::into_inner).prepare(&fitting, &self.terms).into_iter();
        let all: Vec<(&Ranking, Result<Ready, RunError>)> = strategies
            .iter()
            .map(|strategy| {
                let unfit = RunError::Timeframe { strategy: strategy.timeframe, panel };
                (*strategy, if fits(strategy) { ready.next().unwrap_or(Err(unfit)) } else { Err(unfit) })
            })
            .collect();
        all.into_par_iter().map(|(strategy, ready)| Ok(one(strategy, &ready?))).collect()
    }

    fn trader<'a>(&'a self, strategy: &'a Ranking, ready: &'a Ready) -> Trader<'a> {
        Trader { strategy, panel: &self.panel, terms: &self.terms, ready, told: None }
    }

    fn outcome(&self, strategy: &Ranking, ready: &Ready) -> (Outcome, Track, Vec<Hedged>) {
        let track = self.trader(strategy, ready).run(self.from_ms, self.to_ms, false);
        let window = (self.from_ms, self.to_ms);
        let (performance, days) = brief(&track, &self.panel, window, self.terms.initial_capital, &self.benchmark);
        let outcome = Outcome {
            performance,
            per_symbol: Vec::new(),
            daily_returns: days.iter().map(|day| day.hedged).collect(),
            stake: None,
            trades_digest: digest(&track),
            ledger: None,
        };
        (outcome, track, days)
    }
}

/// Of all stays and the last equity: strategies that traded alike have one digest.
fn digest(track: &Track) -> u64 {
    let mut digest = TradesDigest::new(0);
    for stay in track.closed.iter().chain(&track.open) {
        digest.pair(u64::from(stay.instrument) << 1 | u64::from(stay.long), stay.profit.to_bits());
        digest.pair(stay.entry_ms.cast_unsigned(), stay.exit_ms.cast_unsigned());
    }
    digest.word(track.slots.last().map_or(0, |slot| slot.equity.to_bits()));
    digest.value()
}
