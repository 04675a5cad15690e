//! Has the edge gone? Detectors over a strategy's results, one after the other.
//!
//! A CUSUM is fast where its control limit was calibrated on the strategy's own results; an e-detector is slower and holds
//! its false-alarm rate for any distribution. Page-Hinkley is kept for comparison: its customary settings are for
//! error rates and alarm far too often on trades.
//!
//! Sources: Page, Continuous inspection schemes (1954); Mouss and others (2004) for Page-Hinkley's form; Shin,
//! Ramdas and Rinaldo, E-detectors (2023).

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// One-sided CUSUM for a drop: S = max(0, S + (mean - slack) - x), alarm at S above the control limit.
///
/// Assumes a known mean while healthy; the false-alarm rate follows from the limit only by calibration.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cusum {
    /// Mean result while healthy less the slack: half the drop that matters.
    pub reference: f64,
    /// Alarm above it.
    pub limit: f64,
    /// The sum now.
    pub sum: f64,
}

impl Cusum {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new(healthy_mean: f64, slack: f64, limit: f64) -> Self {
        Self { reference: healthy_mean - slack, limit, sum: 0.0 }
    }

    /// The next result; whether it alarms.
    pub fn observe(&mut self, x: f64) -> bool {
        self.sum = (self.sum + self.reference - x).max(0.0);
        self.sum > self.limit
    }

    /// The limit that healthy results exceed within `horizon` trades with a chance of at most `false_alarms`, found
    /// by drawing `paths` paths from `results` with replacement. `None` without results or paths.
    ///
    /// Assumes that results are independent. The mean is that of `results`: pass those that an edge was proven on,
    /// not those that it was found on.
    #[must_use]
    pub fn calibrated_limit(
        results: &[f64],
        slack: f64,
        horizon: usize,
        false_alarms: f64,
        paths: usize,
        rng: &mut impl Rng,
    ) -> Option<f64> {
        if results.is_empty() || paths == 0 || !(0.0..1.0).contains(&false_alarms) {
            return None;
        }
        let mean = results.iter().sum::<f64>() / results.len() as f64;
        let mut highest: Vec<f64> = (0..paths)
            .map(|_| {
                let mut cusum = Self::new(mean, slack, f64::INFINITY);
                (0..horizon).fold(0.0, |most: f64, _| {
                    cusum.observe(results[rng.random_range(0..results.len())]);
                    most.max(cusum.sum)
                })
            })
            .collect();
        highest.sort_by(f64::total_cmp);
        let allowed = (false_alarms * paths as f64).floor() as usize;
        highest.get(paths - 1 - allowed.min(paths - 1)).copied()
    }
}

/// Page-Hinkley for a drop: fading sum of deviations from the running mean; alarm when it falls `threshold` below
/// its maximum, and a fresh start with the observation after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PageHinkley {
    delta: f64,
    threshold: f64,
    fading: f64,
    min_observations: u64,
    count: u64,
    mean: f64,
    sum: f64,
    highest: f64,
    alarmed: bool,
}

impl PageHinkley {
    /// Nothing seen yet. `delta` is the change that is tolerated, `fading` the sum's memory (just below 1).
    #[must_use]
    pub const fn new(delta: f64, threshold: f64, fading: f64, min_observations: u64) -> Self {
        let (count, mean, sum, highest, alarmed) = (0, 0.0, 0.0, 0.0, false);
        Self { delta, threshold, fading, min_observations, count, mean, sum, highest, alarmed }
    }

    /// The next result; whether it alarms.
    pub fn observe(&mut self, x: f64) -> bool {
        if self.alarmed {
            *self = Self::new(self.delta, self.threshold, self.fading, self.min_observations);
        }
        self.count += 1;
        self.mean += (x - self.mean) / self.count as f64;
        self.sum = self.fading * self.sum + (x - self.mean + self.delta);
        self.highest = self.highest.max(self.sum);
        self.alarmed = self.count >= self.min_observations && self.fall() > self.threshold;
        self.alarmed
    }

    /// How far the sum is below its maximum.
    #[must_use]
    pub fn fall(&self) -> f64 {
        self.highest - self.sum
    }
}

/// How an e-detector starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// M = (M + 1)(1 + lambda (m0 - x)): a bet starts at each result, and all are kept.
    ShiryaevRoberts,
    /// M = max(M, 1)(1 + lambda (m0 - x)): the best start is kept.
    Cusum,
}

/// E-detector for "the mean is below m0": alarms at M of A or more, and while the mean is at least m0 it takes A
/// results or more on average to do so, whatever their distribution.
///
/// Assumes results in order of entry, none above `cap`: a result that is cut there makes alarms likelier than
/// promised, so set the cap to what a trade can win at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EDetector {
    restart: Restart,
    healthy_mean: f64,
    cap: f64,
    lambdas: Vec<f64>,
    values: Vec<f64>,
}

impl EDetector {
    /// Nothing seen yet; the value is the mean over bets of the given fractions. `None` when a fraction is not
    /// positive or so large that a result at the cap would lose more than everything.
    #[must_use]
    pub fn new(restart: Restart, healthy_mean: f64, cap: f64, lambdas: &[f64]) -> Option<Self> {
        let valid = !lambdas.is_empty() && healthy_mean.is_finite() && cap.is_finite() && healthy_mean < cap;
        let fits = |&l: &f64| l > 0.0 && 1.0 + l * (healthy_mean - cap) >= 0.0;
        let detector = Self { restart, healthy_mean, cap, lambdas: lambdas.to_vec(), values: vec![0.0; lambdas.len()] };
        (valid && lambdas.iter().all(fits)).then_some(detector)
    }

    /// The next result; the value after it. Alarm at the run length that one wants to hold.
    pub fn observe(&mut self, x: f64) -> f64 {
        for (value, lambda) in self.values.iter_mut().zip(&self.lambdas) {
            let growth = (1.0 + lambda * (self.healthy_mean - x.min(self.cap))).max(0.0);
            let stake = match self.restart {
                Restart::ShiryaevRoberts => *value + 1.0,
                Restart::Cusum => value.max(1.0),
            };
            // Kept finite, so that it can be stored: far beyond any limit it makes no difference.
            *value = (stake * growth).min(f64::MAX / 1e10);
        }
        self.value()
    }

    /// The value now.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_all_close, indices, number, numbers, read};
    use genome::random::Seed;

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/08_drift/mean_drop_at_200.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let x = numbers(&input["x"]);

        let c = &input["cusum"];
        let mut cusum = Cusum::new(number(&c["mu0"]), number(&c["k"]), number(&c["h"]));
        let alarms: Vec<(bool, f64)> = x.iter().map(|&x| (cusum.observe(x), cusum.sum)).collect();
        assert_all_close(&alarms.iter().map(|a| a.1).collect::<Vec<_>>(), &output["cusum_path"]);
        assert_eq!(alarms.iter().position(|a| a.0).map(|i| i as u64), output["cusum_first_alarm"].as_u64());

        let p = &input["ph"];
        let min = p["min_instances"].as_u64().unwrap();
        let mut hinkley = PageHinkley::new(number(&p["delta"]), number(&p["threshold"]), number(&p["alpha"]), min);
        let alarms: Vec<(bool, f64)> = x.iter().map(|&x| (hinkley.observe(x), hinkley.fall())).collect();
        let at: Vec<usize> = (0..x.len()).filter(|&i| alarms[i].0).collect();
        assert_eq!(at, indices(&output["ph_alarms"]));
        assert_all_close(&alarms.iter().map(|a| a.1).collect::<Vec<_>>(), &output["ph_trace_own"]);

        let e = &input["edet"];
        for (restart, path, first) in
            [(Restart::ShiryaevRoberts, "e_sr", "e_sr_first_alarm"), (Restart::Cusum, "e_cusum", "e_cusum_first_alarm")]
        {
            let lambdas: Vec<f64> = numbers(&e["lambdas"]);
            // The reference cuts products at 0 where our constructor refuses the fraction: 1 + 0.4 (0.1 - 4) < 0.
            let mut detector = EDetector {
                restart,
                healthy_mean: number(&e["m0"]),
                cap: number(&e["upper"]),
                values: vec![0.0; lambdas.len()],
                lambdas,
            };
            let values: Vec<f64> = x.iter().map(|&x| detector.observe(x)).collect();
            assert_all_close(&values, &output[path]);
            let threshold = number(&e["threshold"]);
            assert_eq!(values.iter().position(|&v| v >= threshold).map(|i| i as u64), output[first].as_u64());
        }
    }

    #[test]
    fn a_calibrated_limit_keeps_its_promise_on_fresh_paths() {
        let results: Vec<f64> = (0..200).map(|i| if i % 20 < 9 { 1.5 } else { -1.0 }).collect();
        let limit = Cusum::calibrated_limit(&results, 0.1, 300, 0.05, 1000, &mut Seed(1).stream("bar", 0)).unwrap();
        let mean = results.iter().sum::<f64>() / 200.0;
        let alarmed = |path| {
            let (mut rng, mut cusum) = (Seed(2).stream("fresh", path), Cusum::new(mean, 0.1, limit));
            (0..300).any(|_| cusum.observe(results[rng.random_range(0..200)]))
        };
        let rate = (0..1000).filter(|&path| alarmed(path)).count();
        assert!((20..=90).contains(&rate), "{rate} of 1000, should be about 50");
        assert_eq!(Cusum::calibrated_limit(&[], 0.1, 300, 0.05, 10, &mut Seed(1).stream("bar", 0)), None);
    }

    #[test]
    fn an_e_detector_holds_its_run_length() {
        let lambdas = [0.05, 0.1, 0.2];
        let run = |path| {
            let mut rng = Seed(3).stream("healthy", path);
            let mut detector = EDetector::new(Restart::ShiryaevRoberts, 0.0, 1.5, &lambdas).unwrap();
            (1..=5000).find(|_| detector.observe(if rng.random_bool(0.4) { 1.5 } else { -1.0 }) >= 200.0)
        };
        let mean = (0..200).map(|p| f64::from(run(p).unwrap_or(5000))).sum::<f64>() / 200.0;
        assert!(mean >= 200.0, "{mean}");
        assert_eq!(EDetector::new(Restart::Cusum, 0.1, 4.0, &[0.4]), None);
        assert_eq!(EDetector::new(Restart::Cusum, 0.1, 4.0, &[]), None);
    }
}
