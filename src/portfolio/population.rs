//! Many strategies over one window: what several of them look at is computed once, then each trades by itself.
//!
//! The same bits as [`crate::run`] for each, at any number of threads.

use crate::{
    Benchmark, Hedged, Panel, PortfolioTerms, RunError, Track,
    brief::brief,
    prepared::{Ground, Ready},
    trading::Trader,
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

    /// What each strategy comes to, in order. Daily returns are hedged and after all costs; `performance` is of the plain
    /// ones. No symbol has a result of its own.
    pub fn evaluate(&self, strategies: &[&Ranking]) -> Vec<Result<Outcome, RunError>> {
        let outcome = |(brief, digest): (Brief, u64)| Outcome {
            performance: brief.performance,
            per_symbol: Vec::new(),
            daily_returns: brief.days.iter().map(|day| day.hedged).collect(),
            stake: None,
            trades_digest: digest,
            ledger: None,
        };
        let together = |together| self.together(together, &|track| digest(track));
        strategies.chunks(TOGETHER).flat_map(together).map(|found| found.map(outcome)).collect()
    }

    /// Performance and days of each strategy, in order.
    pub fn days(&self, strategies: &[&Ranking]) -> Vec<Result<Brief, RunError>> {
        let together = |together| self.together(together, &|_| 0);
        strategies.chunks(TOGETHER).flat_map(together).map(|found| found.map(|(brief, _)| brief)).collect()
    }

    fn together(
        &self,
        strategies: &[&Ranking],
        digest: &(dyn Fn(&Track) -> u64 + Sync),
    ) -> Vec<Result<(Brief, u64), RunError>> {
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
        let window = (self.from_ms, self.to_ms);
        let one = |(strategy, ready): (&Ranking, Result<Ready, RunError>)| {
            let ready = ready?;
            let trader = Trader { strategy, panel: &self.panel, terms: &self.terms, ready: &ready };
            let track = trader.run(self.from_ms, self.to_ms);
            let (performance, days) = brief(&track, &self.panel, window, self.terms.initial_capital, &self.benchmark);
            Ok((Brief { performance, days }, digest(&track)))
        };
        all.into_par_iter().map(one).collect()
    }
}

/// What a strategy comes to over a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// As for every strategy.
    pub performance: Performance,
    /// A day's returns each.
    pub days: Vec<Hedged>,
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
