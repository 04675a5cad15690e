//! Many strategies over one window: what several of them look at is computed once, then each trades by itself.
//!
//! The same bits as [`crate::run`] for each, at any number of threads.

use crate::{
    Benchmark, Panel, PortfolioTerms, RunError, Track,
    brief::brief,
    prepared::{Ground, Ready},
    trading::Trader,
};
use candles::time::DAY_MS;
use engine::{Outcome, TradesDigest};
use genome::Ranking;
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};

/// Strategies that are prepared together: enough to share what they look at, few enough to hold it all in memory.
const TOGETHER: usize = 64;

/// A window of a panel on which populations are evaluated, and what earlier ones leave for later ones.
#[derive(Debug)]
pub struct Market<'a> {
    panel: &'a Panel,
    from_ms: i64,
    to_ms: i64,
    terms: PortfolioTerms,
    benchmark: Benchmark,
    ground: Mutex<Ground<'a>>,
}

impl<'a> Market<'a> {
    /// The slots that open in `[from_ms, to_ms)`; all of the panel's candles before warm up.
    ///
    /// # Errors
    /// When the window is empty, or the terms are impossible.
    pub fn new(panel: &'a Panel, from_ms: i64, to_ms: i64, terms: PortfolioTerms) -> Result<Self, RunError> {
        if from_ms >= to_ms {
            return Err(RunError::EmptyWindow);
        }
        terms.validate().map_err(RunError::Terms)?;
        let first_day_ms = from_ms.div_euclid(DAY_MS) * DAY_MS;
        let days = (to_ms.min(panel.end_ms()) - first_day_ms).div_euclid(DAY_MS).max(0) as usize;
        let benchmark = Benchmark::of(panel, first_day_ms, days);
        Ok(Self { panel, from_ms, to_ms, terms, benchmark, ground: Mutex::new(Ground::new(panel, from_ms, to_ms)) })
    }

    /// What each strategy comes to, in order. Daily returns are hedged and after all costs; `performance` is of the plain
    /// ones. No symbol has a result of its own.
    pub fn evaluate(&self, strategies: &[&Ranking]) -> Vec<Result<Outcome, RunError>> {
        strategies.chunks(TOGETHER).flat_map(|together| self.together(together)).collect()
    }

    fn together(&self, strategies: &[&Ranking]) -> Vec<Result<Outcome, RunError>> {
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
        all.into_par_iter().map(|(strategy, ready)| Ok(self.outcome(strategy, &ready?))).collect()
    }

    fn outcome(&self, strategy: &Ranking, ready: &Ready) -> Outcome {
        let trader = Trader { strategy, panel: self.panel, terms: &self.terms, ready };
        let track = trader.run(self.from_ms, self.to_ms);
        let window = (self.from_ms, self.to_ms);
        let (performance, days) = brief(&track, self.panel, window, self.terms.initial_capital, &self.benchmark);
        Outcome {
            performance,
            per_symbol: Vec::new(),
            daily_returns: days.iter().map(|day| day.hedged).collect(),
            stake: None,
            trades_digest: digest(&track),
            ledger: None,
        }
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
