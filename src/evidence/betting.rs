//! Betting e-processes over trades: evidence of an edge that may be looked at after every trade.
//!
//! A gambler with capital 1 bets a fraction on each coming trade. If the strategy has no edge, the capital is a
//! supermartingale from 1, so the chance that it ever reaches 1/alpha is at most alpha (Ville). The capital after
//! n trades is the e-value E_n.
//!
//! Assumes: results R in units of the risk taken, entered in order of ENTRY (in order of closing quick winners
//! come first and the bet is no longer fair); E[R_i | past] <= 0 without an edge; R_i >= -1/lambda, or the bet
//! lambda is lost for good. R is capped above, which can only lower the capital; losses are never capped.
//!
//! Source: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting (JRSS B, 2024).

use serde::{Deserialize, Serialize};

/// Bets at several fixed fractions at once: E_n = mean over j of prod over i of (1 + lambda_j R_i).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixtureBet {
    lambdas: Vec<f64>,
    cap: f64,
    /// Natural logarithm of each bet's capital; `None` once it lost everything.
    log_capital: Vec<Option<f64>>,
    trades: u64,
    max_log_e: f64,
}

impl Default for MixtureBet {
    /// The customary fractions, with results capped at 10 R.
    fn default() -> Self {
        Self::from_valid(&[0.02, 0.05, 0.1, 0.2, 0.4, 0.8], 10.0)
    }
}

impl MixtureBet {
    /// Bets of the given fractions (in 1/R), results capped above at `cap` R.
    ///
    /// `None` without a fraction, or with a fraction or cap that is not a positive finite number.
    #[must_use]
    pub fn new(lambdas: &[f64], cap: f64) -> Option<Self> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let valid = !lambdas.is_empty() && lambdas.iter().all(|&l| positive(l)) && positive(cap);
        valid.then(|| Self::from_valid(lambdas, cap))
    }

    fn from_valid(lambdas: &[f64], cap: f64) -> Self {
        let log_capital = vec![Some(0.0); lambdas.len()];
        Self { lambdas: lambdas.to_vec(), cap, log_capital, trades: 0, max_log_e: 0.0 }
    }

    /// The next trade's result in R, in order of entry. Anything but a finite number loses every bet, so that a
    /// broken input can never become evidence.
    pub fn observe(&mut self, result_r: f64) {
        let capped = if result_r.is_finite() { result_r.min(self.cap) } else { f64::NEG_INFINITY };
        for (log, lambda) in self.log_capital.iter_mut().zip(&self.lambdas) {
            let growth = 1.0 + lambda * capped;
            *log = log.filter(|_| growth > 0.0).map(|l| l + growth.ln());
        }
        self.trades += 1;
        if let Some(log_e) = self.log_e() {
            self.max_log_e = self.max_log_e.max(log_e);
        }
    }

    /// ln E_n; `None` once every bet lost everything (E_n = 0). 0 before the first trade.
    #[must_use]
    pub fn log_e(&self) -> Option<f64> {
        let most = self.log_capital.iter().flatten().copied().reduce(f64::max)?;
        let sum: f64 = self.log_capital.iter().flatten().map(|l| (l - most).exp()).sum();
        Some(most + (sum / self.lambdas.len() as f64).ln())
    }

    /// The largest ln E_k so far, at least 0.
    #[must_use]
    pub fn max_log_e(&self) -> f64 {
        self.max_log_e
    }

    /// min(1, 1 / max over k of E_k): a p-value that holds at any stopping time.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        (-self.max_log_e).exp()
    }

    /// Trades observed.
    #[must_use]
    pub fn trades(&self) -> u64 {
        self.trades
    }
}

/// Bets the Kelly fraction that the past suggests: lambda = clip(m / (v + m^2), 0, `max_lambda`).
///
/// m and v are mean and variance of past results, shrunk by `prior_trades` pseudo-trades of mean 0 and the given
/// variance. Faster than the mixture where the edge is steady; starts without a bet, so it never pays for noise
/// that it has not seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginBet {
    cap: f64,
    max_lambda: f64,
    count: f64,
    sum: f64,
    squares: f64,
    log_capital: Option<f64>,
}

impl PluginBet {
    /// A gambler that has seen nothing. `None` unless every argument is a positive finite number.
    #[must_use]
    pub fn new(prior_trades: f64, prior_variance: f64, max_lambda: f64, cap: f64) -> Option<Self> {
        let valid = [prior_trades, prior_variance, max_lambda, cap].iter().all(|v| v.is_finite() && *v > 0.0);
        let squares = prior_trades * prior_variance;
        valid.then_some(Self { cap, max_lambda, count: prior_trades, sum: 0.0, squares, log_capital: Some(0.0) })
    }

    /// The fraction bet on the next trade, in 1/R.
    #[must_use]
    pub fn next_lambda(&self) -> f64 {
        let mean = self.sum / self.count;
        let variance = (self.squares / self.count).max(1e-9);
        (mean / (variance + mean * mean)).clamp(0.0, self.max_lambda)
    }

    /// The next trade's result in R, in order of entry. Anything but a finite number loses the bet.
    pub fn observe(&mut self, result_r: f64) {
        if !result_r.is_finite() {
            self.log_capital = None;
            return;
        }
        let capped = result_r.min(self.cap);
        let growth = 1.0 + self.next_lambda() * capped;
        self.log_capital = self.log_capital.filter(|_| growth > 0.0).map(|l| l + growth.ln());
        self.sum += capped;
        self.count += 1.0;
        self.squares += (capped - self.sum / self.count).powi(2);
    }

    /// ln E_n; `None` once everything is lost.
    #[must_use]
    pub fn log_e(&self) -> Option<f64> {
        self.log_capital
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_all_close, number, numbers, read};
    use genome::random::Seed;
    use rand::RngExt;

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/09_anytime/betting_eprocess.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let mut mixture = MixtureBet::new(&numbers(&input["lambdas"]), number(&input["cap"])).unwrap();
        let prior = &input["plugin"];
        let mut plugin =
            PluginBet::new(number(&prior["n0"]), number(&prior["v0"]), number(&prior["lmax"]), number(&input["cap"]))
                .unwrap();
        let (mut logs, mut plugin_logs, mut bets) = (Vec::new(), Vec::new(), Vec::new());
        for r in numbers(&input["R"]) {
            bets.push(plugin.next_lambda());
            mixture.observe(r);
            plugin.observe(r);
            logs.push(mixture.log_e().unwrap());
            plugin_logs.push(plugin.log_e().unwrap());
        }
        assert_all_close(&logs, &output["log_e"]);
        assert_all_close(&plugin_logs, &output["plugin_log_e"]);
        assert_all_close(&bets, &output["plugin_bets"]);
        let first = |alpha: f64| logs.iter().position(|&l| l >= (1.0 / alpha).ln()).map(|i| i as u64 + 1);
        assert_eq!(first(0.05), output["first_n_alpha05"].as_u64());
        assert_eq!(first(0.01), output["first_n_alpha01"].as_u64());
        let last: Vec<f64> = mixture.log_capital.iter().map(|l| l.unwrap()).collect();
        assert_all_close(&last, &output["log_e_per_lambda_last"]);
        assert_eq!(mixture.trades(), 200);
    }

    #[test]
    fn by_hand() {
        let mut bet = MixtureBet::new(&[0.5, 1.0], 2.0).unwrap();
        bet.observe(5.0);
        // Capped at 2 R: (1 + 0.5 x 2 + 1 + 1 x 2) / 2.
        assert!((bet.log_e().unwrap() - 2.5_f64.ln()).abs() < 1e-15);
        bet.observe(-1.0);
        // The bet of 1.0 lost everything, the other half of its 2.
        assert!((bet.log_e().unwrap() - 0.5_f64.ln()).abs() < 1e-15);
        assert!((bet.p_value() - 0.4).abs() < 1e-15);
        bet.observe(-2.0);
        assert_eq!(bet.log_e(), None);
        assert!((bet.p_value() - 0.4).abs() < 1e-15);
    }

    #[test]
    fn survives_storage() {
        let mut bet = MixtureBet::default();
        for r in [1.5, -1.3, 0.1] {
            bet.observe(r);
        }
        let stored = serde_json::to_string(&bet).unwrap();
        assert_eq!(serde_json::from_str::<MixtureBet>(&stored).unwrap(), bet);
    }

    #[test]
    fn a_broken_result_is_never_evidence() {
        for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut bet = MixtureBet::default();
            bet.observe(broken);
            assert_eq!((bet.log_e(), bet.p_value()), (None, 1.0));
        }
        assert_eq!(MixtureBet::new(&[0.1, f64::NAN], 10.0), None);
        assert_eq!(MixtureBet::new(&[], 10.0), None);
        assert_eq!(PluginBet::new(10.0, 0.0, 0.5, 10.0), None);
    }

    /// Fair results, peeked at after every trade: at most a share of 0.05 may ever reach 20.
    #[test]
    fn peeking_does_not_raise_the_false_alarm_rate() {
        let mut alarms = 0;
        for path in 0..400 {
            let mut rng = Seed(9).stream("fair", path);
            let mut bet = MixtureBet::default();
            for _ in 0..300 {
                bet.observe(if rng.random_bool(0.4) { 1.5 } else { -1.0 });
            }
            alarms += u32::from(bet.p_value() <= 0.05);
        }
        assert!(alarms <= 20, "{alarms} of 400");
    }
}
