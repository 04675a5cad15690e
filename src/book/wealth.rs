//! The one e-process of a book (definitions, sections 8.3 and 8.4): what a gambler has who bets on its daily hedged returns.
//!
//! - A **step** is a day's hedged return over the deviation of all before it; the first 60 days bet nothing, and their step
//!   is 0, as is one where all before it were alike.
//! - **Wealth** is the mean over fractions of the product of (1 + fraction x step). A factor below 0 is 0: all is lost.
//!
//! Under the hypothesis that no day's hedged return is expected to be above 0 given the days before, wealth is above 1/a
//! at any time with a chance of at most a (Ville). Looks at no day before it is over.

use serde::{Deserialize, Serialize};

/// Shares of the wealth that are bet.
pub const FRACTIONS: [f64; 6] = [0.02, 0.04, 0.06, 0.08, 0.12, 0.16];

/// Days that bet nothing.
pub(crate) const IDLE_DAYS: usize = 60;

/// A day's bet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bet {
    /// Hedged return over the deviation before.
    pub step: f64,
    /// Natural logarithm of the wealth at the day's end; `None` once all is lost.
    pub log_e: Option<f64>,
}

/// The bets on daily hedged returns, in order.
#[must_use]
pub fn bets(hedged: &[f64]) -> Vec<Bet> {
    let step = |day: usize| if day < IDLE_DAYS { 0.0 } else { step(&hedged[..day], hedged[day]) };
    wealth(&(0..hedged.len()).map(step).collect::<Vec<_>>())
}

/// The same where a book may hold cash: nothing is bet on days that are not `at_risk`, and they tell no deviation. A book that
/// held nothing for months would else bet its all on its first days. Where every day is at risk these are [`bets`].
#[must_use]
pub fn bets_at_risk(hedged: &[f64], at_risk: &[bool]) -> Vec<Bet> {
    let mut before: Vec<f64> = Vec::with_capacity(hedged.len());
    let one = |(&today, &at_risk): (&f64, &bool)| {
        let bets = at_risk && before.len() >= IDLE_DAYS;
        let found = if bets { step(&before, today) } else { 0.0 };
        before.extend(at_risk.then_some(today));
        found
    };
    wealth(&hedged.iter().zip(at_risk).map(one).collect::<Vec<_>>())
}

/// Wealth after each of these steps, begun anew before the first.
#[must_use]
pub fn wealth(steps: &[f64]) -> Vec<Bet> {
    let mut wealth = [1.0; FRACTIONS.len()];
    let one = |&step: &f64| {
        for (wealth, fraction) in wealth.iter_mut().zip(FRACTIONS) {
            *wealth *= (1.0 + fraction * step).max(0.0);
        }
        let log_e = (wealth.iter().sum::<f64>() / FRACTIONS.len() as f64).ln();
        Bet { step, log_e: log_e.is_finite().then_some(log_e) }
    };
    steps.iter().map(one).collect()
}

fn step(before: &[f64], today: f64) -> f64 {
    let n = before.len() as f64;
    let mean = before.iter().sum::<f64>() / n;
    let deviation = (before.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let step = today / deviation;
    // Days that are all alike have a deviation of nothing but rounding.
    let alike = before.iter().all(|r| *r == before[0]);
    if alike || !step.is_finite() { 0.0 } else { step }
}

/// The logarithm of the wealth at the end, and its maximum; both 0 before the first day. The first is `None` once all is
/// lost.
#[must_use]
pub fn log_e(bets: &[Bet]) -> (Option<f64>, f64) {
    let last = bets.last().map_or(Some(0.0), |bet| bet.log_e);
    (last, bets.iter().filter_map(|bet| bet.log_e).fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        let mut hedged: Vec<f64> = (0..60).map(|day| if day % 2 == 0 { 0.01 } else { -0.01 }).collect();
        hedged.extend([0.02, -0.03]);
        let bets = bets(&hedged);
        assert!(bets[..60].iter().all(|bet| *bet == Bet { step: 0.0, log_e: Some(0.0) }));
        let deviation = 0.01 * (60.0_f64 / 59.0).sqrt();
        let first = 0.02 / deviation;
        assert!((bets[60].step - first).abs() < 1e-12);
        let wealth: f64 = FRACTIONS.iter().map(|f| (1.0 + f * first) * (1.0 + f * bets[61].step)).sum::<f64>() / 6.0;
        assert!((bets[61].log_e.unwrap() - wealth.ln()).abs() < 1e-12);
        let (last, most) = log_e(&bets);
        assert_eq!((last, most), (bets[61].log_e, bets[60].log_e.unwrap()));
        assert_eq!(log_e(&[]), (Some(0.0), 0.0));
    }

    #[test]
    fn all_can_be_lost_and_nothing_comes_of_nothing() {
        let mut hedged: Vec<f64> = (0..60).map(|day| if day % 2 == 0 { 0.01 } else { -0.01 }).collect();
        hedged.extend([-1.0, 0.5]);
        let lost = bets(&hedged);
        assert_eq!((lost[60].log_e, lost[61].log_e), (None, None));
        assert!(bets(&[0.0; 100]).iter().all(|bet| *bet == Bet { step: 0.0, log_e: Some(0.0) }));
        assert!(bets(&[0.1; 100]).iter().all(|bet| bet.step == 0.0));
    }

    #[test]
    fn cash_is_no_bet_and_tells_no_deviation() {
        let day = |n: u32| if n.is_multiple_of(3) { -0.01 } else { 0.01 + f64::from(n) * 1e-5 };
        let traded: Vec<f64> = (0..150).map(day).collect();
        assert_eq!(bets_at_risk(&traded, &[true; 150]), bets(&traded));
        // A year of cash before, and a month of it within, change nothing of what is bet on the other days.
        let mut with_cash = vec![(0.0, false); 365];
        with_cash.extend(traded[..100].iter().map(|r| (*r, true)));
        with_cash.extend([(0.003, false); 30]);
        with_cash.extend(traded[100..].iter().map(|r| (*r, true)));
        let (hedged, at_risk): (Vec<f64>, Vec<bool>) = with_cash.into_iter().unzip();
        let found = bets_at_risk(&hedged, &at_risk);
        assert_eq!(found.last(), bets(&traded).last());
        assert!(found.iter().zip(&at_risk).all(|(bet, at_risk)| *at_risk || bet.step == 0.0));
        // The plain one bets many times as much on the first days after it.
        let most = |bets: &[Bet]| bets.iter().map(|bet| bet.step.abs()).fold(0.0, f64::max);
        assert!(most(&bets(&hedged)) > 5.0 * most(&found));
    }

    proptest! {
        #[test]
        fn a_day_is_bet_on_before_it_is_known(returns in prop::collection::vec(-0.2..0.2_f64, 62..200), last in -0.2..0.2_f64) {
            let whole = bets(&returns);
            let cut = returns.len() - 1;
            prop_assert_eq!(&whole[..cut], &bets(&returns[..cut])[..]);
            let mut other = returns.clone();
            other[cut] = last;
            prop_assert_eq!(&whole[..cut], &bets(&other)[..cut]);
            // The size of a book is nothing that it is paid for.
            let scaled: Vec<f64> = returns.iter().map(|r| r * 8.0).collect();
            for (a, b) in whole.iter().zip(bets(&scaled)) {
                prop_assert!((a.step - b.step).abs() < 1e-9);
            }
        }
    }
}
