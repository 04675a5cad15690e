//! What a calibration rests on as a value, so that a market may be tried on another machine, to the same bits.
//!
//! Knows no queue, and no other market.

use super::calibration::{Calibration, CalibrationError, Job, Strengths, Tried};
use super::strength::StrengthError;
use super::{Days, Plan, ProtocolConfig};
use candles::{Interval, Symbol};
use engine::{Costs, Engine, FillOn, Terms};
use genome::random::Seed;
use lifecycle::{EdgeDecayConfig, Thresholds};
use portfolio::PortfolioTerms;
use search::SearchConfig;
use serde::{Deserialize, Serialize};

/// How markets are made and tried: see [`Calibration`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct CalibrationSettings {
    pub seed: Seed,
    pub symbols: Vec<Symbol>,
    pub interval: Interval,
    pub search: SearchConfig,
    pub protocol: ProtocolConfig,
    pub candidates: usize,
    /// Quote units.
    pub initial_capital: f64,
    pub costs: Costs,
    pub fill_on: FillOn,
    pub portfolio: PortfolioTerms,
    pub coins: u32,
    pub limits: Thresholds,
    pub staying: EdgeDecayConfig,
    /// Measured once: see [`CalibrationSettings::measure`].
    pub strengths: Strengths,
    pub days: Days,
    pub warmup_days: u32,
    pub review_ms: i64,
    pub sessions: u32,
    pub age_ms: i64,
    pub sessions_per_day: u32,
}

impl CalibrationSettings {
    fn terms(&self) -> Terms {
        Terms { initial_capital: self.initial_capital, costs: self.costs, fill_on: self.fill_on }
    }

    /// Measures how strongly the edges of jobs are planted, which takes seconds for each kind and strength.
    ///
    /// # Errors
    /// When an edge cannot be planted as strongly as a job asks.
    pub fn measure(&mut self, jobs: &[Job], engine: &Engine) -> Result<(), StrengthError> {
        self.strengths = Strengths::of(jobs, &self.symbols, self.interval, &self.terms(), engine)?;
        Ok(())
    }

    /// Makes a market and tries it.
    ///
    /// # Errors
    /// When it cannot be made, its edge was not measured, or `stop` says so.
    pub fn run(&self, job: Job, engine: &Engine, stop: &dyn Fn() -> bool) -> Result<Tried, CalibrationError> {
        let gate = lifecycle::gate(&self.limits).map_err(|error| CalibrationError::Limits(error.to_string()))?;
        let session = Plan { search: &self.search, protocol: &self.protocol, candidates: self.candidates };
        let calibration = Calibration {
            seed: self.seed,
            symbols: &self.symbols,
            interval: self.interval,
            session,
            terms: &self.terms(),
            portfolio: &self.portfolio,
            coins: self.coins,
            gate: &*gate,
            staying: &self.staying,
            strengths: &self.strengths,
            limits: &self.limits,
            days: self.days,
            warmup_days: self.warmup_days,
            review_ms: self.review_ms,
            sessions: self.sessions,
            age_ms: self.age_ms,
            sessions_per_day: self.sessions_per_day,
        };
        calibration.run(job, engine, stop)
    }
}
