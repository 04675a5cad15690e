//! What is left of a portfolio's daily returns once the market's are taken off (definitions, section 8.2).
//!
//! The benchmark is the equal-weight mean of the day's returns, close to close, of the members of
//! [`Benchmark::UNIVERSE`] at the day's beginning that have both closes; without costs. The hedged return of a day is
//! the net return less beta x benchmark, where beta looks at days before it alone.

use crate::{Members, Panel, across, field::LANES};
use candles::time::DAY_MS;
use engine::indicator::rolling::{Eight, Values};
use engine::{Wide, widest};
use genome::Universe;
use serde::Serialize;

/// Days of which a beta is made, at most.
const BETA_DAYS: usize = 90;
/// With fewer there is none: it is 0.
const LEAST_BETA_DAYS: usize = 45;

/// Daily returns of the market.
#[derive(Clone, Debug, PartialEq)]
pub struct Benchmark {
    /// One a day; `None` where no member has both closes.
    pub daily_returns: Vec<Option<f64>>,
}

/// A day's returns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Hedged {
    /// 00:00 UTC at the day's beginning, ms.
    pub day_ms: i64,
    /// Of the portfolio, after costs.
    pub net: f64,
    /// Of the market; `None` where it has none.
    pub benchmark: Option<f64>,
    /// Of the portfolio on the market, from the days before.
    pub beta: f64,
    /// `net` less beta x benchmark.
    pub hedged: f64,
}

impl Benchmark {
    /// The universe whose mean the benchmark is.
    pub const UNIVERSE: Universe = Universe { top: 30, volume_days: 30, listed_days: 60 };

    /// Of `days` days from the midnight `first_ms` on.
    #[must_use]
    pub fn of(panel: &Panel, first_ms: i64, days: usize) -> Self {
        let opens = panel.opens_ms();
        let end_ms = first_ms + days as i64 * DAY_MS;
        let from = opens.partition_point(|&open| open < first_ms - DAY_MS);
        let members = Members::of(panel, Self::UNIVERSE, from..opens.partition_point(|&open| open < end_ms));
        let day_return = |day: usize| {
            let begin_ms = first_ms + day as i64 * DAY_MS;
            let (begin, end) = (panel.slot_closing_at(begin_ms)?, panel.slot_closing_at(begin_ms + DAY_MS)?);
            let of_member = |seat: &crate::Seat| {
                let instrument = &panel.instruments()[seat.instrument as usize];
                let closes = instrument.candles().closes();
                Some(closes[instrument.candle_in(end)?] / closes[seat.candle as usize] - 1.0)
            };
            let returns: Vec<f64> = members.at(begin).iter().filter_map(of_member).collect();
            if returns.is_empty() { None } else { Some(across::mean(&returns)) }
        };
        Self { daily_returns: (0..days).map(day_return).collect() }
    }
}

/// Hedged returns of daily net returns, the first of the day that begins at `first_ms`. A day without a benchmark is
/// not hedged, and no beta looks at it.
#[must_use]
pub fn hedge(first_ms: i64, net: &[f64], benchmark: &Benchmark) -> Vec<Hedged> {
    let days = || net.iter().zip(&benchmark.daily_returns);
    let (y, x): (Vec<f64>, Vec<f64>) = days().filter_map(|(net, benchmark)| Some((*net, (*benchmark)?))).unzip();
    let betas = betas(&x, &y);
    let mut before = 0;
    let of_day = |(day, (&net, &benchmark)): (usize, (&f64, &Option<f64>))| {
        let beta = betas[before];
        before += usize::from(benchmark.is_some());
        let hedged = net - beta * benchmark.unwrap_or(0.0);
        Hedged { day_ms: first_ms + day as i64 * DAY_MS, net, benchmark, beta, hedged }
    };
    days().enumerate().map(of_day).collect()
}

/// Before each day and after the last: covariance over variance of the days before it, at most so many; 0 of too few days
/// or a market that stood still.
fn betas(market: &[f64], net: &[f64]) -> Vec<f64> {
    let days = market.len() + 1;
    let mut betas = vec![0.0; days];
    let whole = BETA_DAYS + days.saturating_sub(BETA_DAYS) / LANES * LANES;
    for day in (LEAST_BETA_DAYS..BETA_DAYS.min(days)).chain(whole..days) {
        let window = day.saturating_sub(BETA_DAYS)..day;
        betas[day] = across::slope(&market[window.clone()], &net[window]).unwrap_or(0.0);
    }
    if whole > BETA_DAYS && days > BETA_DAYS {
        widest(Neighbours { market, net, betas: &mut betas[BETA_DAYS..whole] });
    }
    // Days that are all alike vary by nothing but rounding.
    let mut alike = 0;
    for (day, beta) in betas.iter_mut().enumerate() {
        alike = match day {
            0 => 0,
            1 => 1,
            _ if market[day - 1] == market[day - 2] => alike + 1,
            _ => 1,
        };
        if alike >= day.min(BETA_DAYS) {
            *beta = 0.0;
        }
    }
    betas
}

/// The slopes of eight neighbouring days beside each other, each as [`across::slope`] has it.
struct Neighbours<'a> {
    market: &'a [f64],
    net: &'a [f64],
    /// From the first day on that has enough days before it, a multiple of eight.
    betas: &'a mut [f64],
}

impl Wide for Neighbours<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let count = Eight::of(BETA_DAYS as f64);
        // What a sum begins with changes nothing, not even the sign of a zero.
        let nothing = Eight::of(-0.0);
        for (number, betas) in self.betas.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let days = number * LANES..number * LANES + BETA_DAYS + LANES - 1;
            let (x, y) = (&self.market[days.clone()], &self.net[days]);
            let at = |all: &[f64], day: usize| Eight(std::array::from_fn(|lane| all[day + lane]));
            let (mut sum_x, mut sum_y) = (nothing, nothing);
            for day in 0..BETA_DAYS {
                (sum_x, sum_y) = (sum_x + at(x, day), sum_y + at(y, day));
            }
            let (mean_x, mean_y) = (sum_x / count, sum_y / count);
            let (mut square, mut product) = (nothing, nothing);
            for day in 0..BETA_DAYS {
                let off = at(x, day) - mean_x;
                (square, product) = (square + off * off, product + off * (at(y, day) - mean_y));
            }
            *betas = product.zip(square, |product, square| if square > 0.0 { product / square } else { 0.0 }).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_beta_looks_at_days_before_alone() {
        let market: Vec<f64> = (0..60).map(|i| f64::from(i % 7) / 100.0 - 0.03).collect();
        let mut net: Vec<f64> = market.iter().map(|m| 0.001 + 2.0 * m).collect();
        let benchmark = Benchmark { daily_returns: market.iter().copied().map(Some).collect() };
        let before = hedge(0, &net, &benchmark);
        assert!(before[..45].iter().all(|d| d.beta == 0.0 && d.hedged == d.net));
        assert!(before[45..].iter().all(|d| (d.beta - 2.0).abs() < 1e-12 && (d.hedged - 0.001).abs() < 1e-12));
        net[50] = 5.0;
        let after = hedge(0, &net, &benchmark);
        assert_eq!(after[..50], before[..50]);
        assert_eq!(after[50].beta, before[50].beta);
        assert_ne!(after[51].beta, before[51].beta);
    }

    #[test]
    fn a_market_that_moves_by_the_same_every_day_has_no_beta() {
        let benchmark = Benchmark { daily_returns: vec![Some(0.1); 120] };
        let net: Vec<f64> = (0..120).map(|day| f64::from(day % 5) / 100.0).collect();
        assert!(hedge(0, &net, &benchmark).iter().all(|d| d.beta == 0.0 && d.hedged == d.net));
    }

    #[test]
    fn a_day_without_a_market_is_not_hedged() {
        let benchmark = Benchmark { daily_returns: vec![None; 50] };
        assert!(hedge(0, &[0.01; 50], &benchmark).iter().all(|d| d.hedged == 0.01 && d.beta == 0.0));
    }

    proptest! {
        #[test]
        fn neighbouring_days_have_the_betas_that_each_has_alone(
            days in proptest::collection::vec((-0.2..0.2_f64, -0.2..0.2_f64), 0..400), still in 0..400_usize
        ) {
            let (mut market, net): (Vec<f64>, Vec<f64>) = days.iter().copied().unzip();
            let from = still.min(market.len());
            market[from..].fill(0.01);
            let found = betas(&market, &net);
            prop_assert_eq!(found.len(), market.len() + 1);
            for (day, beta) in found.iter().enumerate() {
                let window = day.saturating_sub(BETA_DAYS)..day;
                let plain = across::slope(&market[window.clone()], &net[window.clone()]).unwrap_or(0.0);
                let alike = market[window].windows(2).all(|pair| pair[0] == pair[1]);
                let plain = if day < LEAST_BETA_DAYS || alike { 0.0 } else { plain };
                prop_assert_eq!(beta.to_bits(), plain.to_bits());
            }
        }
    }
}
