//! Does a live strategy still do what it was promoted for? Three detectors over its results in units of risk.
//!
//! | detector | alarms when | what is promised |
//! |---|---|---|
//! | `cusum` | results lag behind half the expected mean for long enough | chance of a false alarm within the horizon |
//! | `drawdown` | the fall from the peak, in R, is beyond the 99th percentile of its own bootstrap | the same |
//! | `e_detector` | a Shiryaev-Roberts bet on "the mean is below 0" has grown to its control limit | while the mean is at least 0, it takes as many trades as the limit says or more on average, whatever the distribution |
//!
//! The control limits of the first two are found by simulation from the strategy's own trades. Where these are few, their mean
//! says little: a limit that takes it for the truth alarms falsely for a third of the strategies with 80 trades, not for
//! the stated 4 %. So each simulated path draws its own truth first (a resample of the trades, by blocks as long as
//! their memory; worlds without an edge are left out, for an alarm there is none too early) and then trades in it.
//!
//! Decides nothing: a gate demotes on an alarm, a warning halves the allocation.

use engine::{ExitReason, Trade};
use evidence::{
    bootstrap::{block_length, stationary_indices},
    drift::{Cusum, EDetector, Restart},
    monte_carlo::quantile,
};
use genome::random::Seed;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// Settings of the detectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeDecayConfig {
    /// Expected trades below which no control limit is calibrated and the e-detector is alone (count).
    pub min_expected_trades: u32,
    /// Trades within which the false-alarm rates hold (count).
    pub horizon_trades: u32,
    /// Simulated paths from which control limits are found (count).
    pub paths: u32,
    /// Chance that a healthy strategy's CUSUM alarms within the horizon (fraction).
    pub cusum_alarm_rate: f64,
    /// Chance that it warns (fraction).
    pub cusum_warning_rate: f64,
    /// Share of the expected mean that the CUSUM asks for (fraction).
    pub cusum_reference_share: f64,
    /// Slack taken off that (standard deviations of a trade's result).
    pub cusum_slack_deviations: f64,
    /// Chance that a healthy strategy's drawdown alarms within the horizon (fraction).
    pub drawdown_alarm_rate: f64,
    /// Chance that it warns (fraction).
    pub drawdown_warning_rate: f64,
    /// Mean number of trades between false alarms of the e-detector, at least (count).
    pub e_detector_alarm_trades: f64,
    /// The same for its warnings (count).
    pub e_detector_warning_trades: f64,
}

impl Default for EdgeDecayConfig {
    fn default() -> Self {
        Self {
            min_expected_trades: 20,
            horizon_trades: 1000,
            paths: 2000,
            cusum_alarm_rate: 0.04,
            cusum_warning_rate: 0.2,
            cusum_reference_share: 0.5,
            cusum_slack_deviations: 0.05,
            drawdown_alarm_rate: 0.01,
            drawdown_warning_rate: 0.05,
            e_detector_alarm_trades: 1000.0,
            e_detector_warning_trades: 250.0,
        }
    }
}

impl EdgeDecayConfig {
    /// Whether every setting is within its bounds, and each warning comes before its alarm.
    ///
    /// # Errors
    /// The first key at fault and what is wrong with it.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        for (key, value, min, max) in [
            ("min_expected_trades", f64::from(self.min_expected_trades), 2.0, 1e6),
            ("horizon_trades", f64::from(self.horizon_trades), 1.0, 1e5),
            ("paths", f64::from(self.paths), 100.0, 1e5),
            ("cusum_alarm_rate", self.cusum_alarm_rate, 0.0, self.cusum_warning_rate),
            ("cusum_warning_rate", self.cusum_warning_rate, 0.0, 1.0),
            ("cusum_reference_share", self.cusum_reference_share, 0.0, 1.0),
            ("cusum_slack_deviations", self.cusum_slack_deviations, 0.0, 10.0),
            ("drawdown_alarm_rate", self.drawdown_alarm_rate, 0.0, self.drawdown_warning_rate),
            ("drawdown_warning_rate", self.drawdown_warning_rate, 0.0, 1.0),
            ("e_detector_alarm_trades", self.e_detector_alarm_trades, self.e_detector_warning_trades, 1e9),
            ("e_detector_warning_trades", self.e_detector_warning_trades, 1.0, 1e9),
        ] {
            // Written so that NaN is refused too.
            if !(min..=max).contains(&value) {
                return Err((key, format!("must be {min} to {max}, not {value}")));
            }
        }
        Ok(())
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeDecayLevel {
    /// As expected.
    Calm,
    /// Halves the allocation, as long as it lasts.
    Warning,
    /// Demotes; stands once it was reached.
    Alarm,
}

impl EdgeDecayLevel {
    /// The name in Postgres and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Warning => "warning",
            Self::Alarm => "alarm",
        }
    }
}

/// Results of closed trades in units of their risk, in order of entry; those whose risk is not known are left out.
#[must_use]
pub fn results_in_risk(trades: &[Trade]) -> Vec<f64> {
    let mut closed: Vec<&Trade> = trades.iter().filter(|t| t.exit_reason != ExitReason::EndOfWindow).collect();
    closed.sort_by_key(|t| t.entry_time_ms);
    closed.iter().filter_map(|t| t.risk.filter(|risk| *risk > 0.0).map(|risk| t.profit / risk)).collect()
}

/// What one detector says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorReading {
    /// `cusum`, `drawdown` or `e_detector`.
    pub detector: String,
    /// Its value after the newest trade, or the largest one where that alarmed. In R; a plain number for `e_detector`.
    pub statistic: f64,
    /// Alarm above it (for `e_detector`: at it or above), in the same unit.
    #[serde(rename = "bar")]
    pub control_limit: f64,
    /// Chance of a false alarm within the configured horizon; `None` for `e_detector`, whose control limit is itself the mean
    /// number of trades between false alarms, at least.
    pub false_alarm_rate: Option<f64>,
    /// What follows.
    pub level: EdgeDecayLevel,
}

/// What the detectors say together: the worst of them counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeDecayVerdict {
    /// The worst level of all readings.
    pub level: EdgeDecayLevel,
    /// One a detector; without enough expected trades, or where these have no edge, the e-detector's alone.
    pub readings: Vec<DetectorReading>,
}

/// Control limits of a CUSUM and a drawdown for one strategy.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Calibrated {
    /// Mean result that the CUSUM asks for, R.
    reference: f64,
    /// Warning and alarm, R.
    cusum: [f64; 2],
    /// Warning and alarm, R.
    drawdown: [f64; 2],
}

/// The detectors of one strategy with their control limits. Dear to calibrate (as many draws as paths x horizon), cheap to ask:
/// keep it for as long as the expected trades stay the same.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeDecayDetectors {
    config: EdgeDecayConfig,
    calibrated: Option<Calibrated>,
}

/// Bets of the e-detector, in 1/R, and the largest win it is told of: 1 + 0.1 x (0 - 10) is still not negative.
const LAMBDAS: [f64; 3] = [0.02, 0.05, 0.1];
const LARGEST_WIN_R: f64 = 10.0;

/// Worlds drawn for one path before the trades are taken to have no edge.
const WORLDS: u32 = 50;

impl EdgeDecayDetectors {
    /// Finds the control limits. `expected_r` are the results, in units of risk and in order of entry, on which the edge was
    /// proven (those of hold-out and shadow; results that a search chose promise too much). The same arguments give
    /// the same limits.
    #[must_use]
    pub fn calibrate(expected_r: &[f64], config: &EdgeDecayConfig, seed: Seed) -> Self {
        let enough = expected_r.len() >= config.min_expected_trades as usize;
        let usable = enough && expected_r.iter().all(|r| r.is_finite());
        let calibrated = usable.then(|| simulate(expected_r, config, seed)).flatten();
        Self { config: config.clone(), calibrated }
    }

    /// What they say of the results since the strategy went live, in units of risk and in order of entry.
    #[must_use]
    pub fn judge(&self, live_r: &[f64]) -> EdgeDecayVerdict {
        let c = &self.config;
        // Broken input is no reassurance: it counts as a loss beyond every limit, and stays finite when added up.
        let live_r = live_r.iter().map(|r| if r.is_finite() { *r } else { -1e290 });
        let mut readings = Vec::new();
        if let Some(found) = &self.calibrated {
            let mut cusum = Cusum::new(found.reference, 0.0, f64::INFINITY);
            let path = live_r.clone().map(|r| {
                cusum.observe(r);
                cusum.sum
            });
            readings.push(reading("cusum", path, found.cusum, Some(c.cusum_alarm_rate)));
            let mut fall = Fall::default();
            let path = live_r.clone().map(|r| fall.observe(r));
            readings.push(reading("drawdown", path, found.drawdown, Some(c.drawdown_alarm_rate)));
        }
        if let Some(mut bet) = EDetector::new(Restart::ShiryaevRoberts, 0.0, LARGEST_WIN_R, &LAMBDAS) {
            // The promise is "at the limit or above"; the readings say "above".
            let limits = [c.e_detector_warning_trades, c.e_detector_alarm_trades];
            let path = live_r.map(|r| bet.observe(r));
            let mut found = reading("e_detector", path, limits.map(f64::next_down), None);
            found.control_limit = c.e_detector_alarm_trades;
            readings.push(found);
        }
        let level = readings.iter().map(|r| r.level).max().unwrap_or(EdgeDecayLevel::Calm);
        EdgeDecayVerdict { level, readings }
    }
}

/// Calibrates and judges at once.
#[must_use]
pub fn staying(expected_r: &[f64], live_r: &[f64], config: &EdgeDecayConfig, seed: Seed) -> EdgeDecayVerdict {
    EdgeDecayDetectors::calibrate(expected_r, config, seed).judge(live_r)
}

fn reading(
    detector: &str,
    path: impl Iterator<Item = f64>,
    [warning, alarm]: [f64; 2],
    false_alarm_rate: Option<f64>,
) -> DetectorReading {
    let (mut now, mut most) = (0.0, 0.0_f64);
    for value in path {
        now = value;
        most = most.max(now);
    }
    let (statistic, level) = match () {
        () if most > alarm => (most, EdgeDecayLevel::Alarm),
        () if now > warning => (now, EdgeDecayLevel::Warning),
        () => (now, EdgeDecayLevel::Calm),
    };
    DetectorReading { detector: detector.to_owned(), statistic, control_limit: alarm, false_alarm_rate, level }
}

/// How far the sum of results is below its highest point; the start counts as one.
#[derive(Clone, Copy, Debug, Default)]
struct Fall {
    sum: f64,
    peak: f64,
}

impl Fall {
    fn observe(&mut self, r: f64) -> f64 {
        self.sum += r;
        self.peak = self.peak.max(self.sum);
        self.peak - self.sum
    }
}

/// The control limits; `None` without variance or without an edge.
fn simulate(expected_r: &[f64], config: &EdgeDecayConfig, seed: Seed) -> Option<Calibrated> {
    let n = expected_r.len();
    let mean = expected_r.iter().sum::<f64>() / n as f64;
    let deviation = (expected_r.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0)).sqrt();
    // A deviation that is rounding alone is none.
    if mean <= 0.0 || deviation <= 1e-9 * mean {
        return None;
    }
    let reference = config.cusum_reference_share * mean - config.cusum_slack_deviations * deviation;
    let length = block_length(expected_r).map_or(1.0, |l| l.ceil().max(1.0));
    let mut highest = Vec::with_capacity(config.paths as usize);
    let mut deepest = Vec::with_capacity(config.paths as usize);
    for path in 0..u64::from(config.paths) {
        let mut rng = seed.stream("staying", path);
        let Some(world) =
            (0..WORLDS).map(|_| world(expected_r, length, &mut rng)).find(|w| w.iter().sum::<f64>() > 0.0)
        else {
            continue;
        };
        let (mut cusum, mut fall) = (Cusum::new(reference, 0.0, f64::INFINITY), Fall::default());
        let (mut worst, mut depth, mut place) = (0.0_f64, 0.0_f64, rng.random_range(0..n));
        for _ in 0..config.horizon_trades {
            cusum.observe(world[place]);
            worst = worst.max(cusum.sum);
            depth = depth.max(fall.observe(world[place]));
            let breaks = length <= 1.0 || rng.random::<f64>() * length < 1.0;
            place = if breaks { rng.random_range(0..n) } else { (place + 1) % n };
        }
        highest.push(worst);
        deepest.push(depth);
    }
    let limits = |values: &[f64], rates: [f64; 2]| {
        let [warning, alarm] = rates.map(|rate| quantile(values, 1.0 - rate));
        Some([warning?, alarm?])
    };
    Some(Calibrated {
        reference,
        cusum: limits(&highest, [config.cusum_warning_rate, config.cusum_alarm_rate])?,
        drawdown: limits(&deepest, [config.drawdown_warning_rate, config.drawdown_alarm_rate])?,
    })
}

fn world(expected_r: &[f64], length: f64, rng: &mut impl Rng) -> Vec<f64> {
    stationary_indices(expected_r.len(), length, rng).into_iter().map(|i| expected_r[i]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Even chances of 1.3 R and -1 R: mean 0.15, deviation 1.15; spoiled: mean -0.05.
    fn results(count: usize, healthy: bool, rng: &mut impl Rng) -> Vec<f64> {
        let chance = if healthy { 0.5 } else { 0.5 - 0.2 / 2.3 };
        (0..count).map(|_| if rng.random_bool(chance) { 1.3 } else { -1.0 }).collect()
    }

    fn alarmed(verdict: &EdgeDecayVerdict, detector: &str) -> bool {
        verdict.readings.iter().any(|r| r.detector == detector && r.level == EdgeDecayLevel::Alarm)
    }

    /// The first trade after `before` at which the detector has alarmed; `None` where it never does.
    fn delay(detectors: &EdgeDecayDetectors, live_r: &[f64], before: usize, detector: &str) -> Option<usize> {
        // An alarm stands, so that the first one is found by halving.
        let stands = |n: usize| alarmed(&detectors.judge(&live_r[..n]), detector);
        stands(live_r.len()).then_some(())?;
        let (mut low, mut high) = (0, live_r.len());
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            if stands(middle) { high = middle } else { low = middle }
        }
        high.checked_sub(before)
    }

    /// What the promises are worth on strategies with 150 expected trades each, 1,000 trades while healthy, and
    /// after the edge is gone.
    #[test]
    fn false_alarms_and_delays() {
        const STRATEGIES: u64 = 120;
        let config = EdgeDecayConfig { paths: 300, ..EdgeDecayConfig::default() };
        let names = ["cusum", "drawdown", "e_detector"];
        let (mut false_alarms, mut delays) = ([0; 3], [const { Vec::new() }; 3]);
        for strategy in 0..STRATEGIES {
            let mut rng = Seed(11).stream("strategy", strategy);
            let expected = results(150, true, &mut rng);
            let detectors = EdgeDecayDetectors::calibrate(&expected, &config, Seed(strategy));
            let healthy = results(1000, true, &mut rng);
            let mut dying = healthy[..50].to_vec();
            dying.extend(results(2500, false, &mut rng));
            let verdict = detectors.judge(&healthy);
            for (i, name) in names.iter().enumerate() {
                false_alarms[i] += u32::from(alarmed(&verdict, name));
                delays[i].push(delay(&detectors, &dying, 50, name).unwrap_or(usize::MAX));
            }
        }
        let medians = delays.map(|mut d| {
            d.sort_unstable();
            d[d.len() / 2]
        });
        println!("of {STRATEGIES}: false alarms {false_alarms:?}, median delays {medians:?} trades");
        // Promised are 4 %, 1 % and one in 1,000 trades on average; what chance allows at 120 strategies.
        assert!(false_alarms[0] <= 12 && false_alarms[1] <= 6 && false_alarms[2] <= 8, "{false_alarms:?}");
        assert!(medians.iter().all(|d| (150..900).contains(d)), "{medians:?}");
    }

    #[test]
    fn an_alarm_stands_and_a_warning_passes() {
        let expected: Vec<f64> = results(200, true, &mut Seed(3).stream("expected", 0));
        let config = EdgeDecayConfig { paths: 200, ..EdgeDecayConfig::default() };
        let detectors = EdgeDecayDetectors::calibrate(&expected, &config, Seed(1));
        let level = |losses: usize, wins: usize| {
            let mut live = vec![-1.0; losses];
            live.extend(vec![1.3; wins]);
            detectors.judge(&live).level
        };
        assert_eq!(level(0, 0), EdgeDecayLevel::Calm);
        let warned = (1..400).find(|&n| level(n, 0) == EdgeDecayLevel::Warning).unwrap();
        let alarmed = (1..400).find(|&n| level(n, 0) == EdgeDecayLevel::Alarm).unwrap();
        assert!(warned < alarmed, "{warned} {alarmed}");
        assert_eq!((level(warned, 300), level(alarmed, 300)), (EdgeDecayLevel::Calm, EdgeDecayLevel::Alarm));
    }

    #[test]
    fn without_expectations_the_e_detector_is_alone() {
        let config = EdgeDecayConfig::default();
        for expected in [vec![], vec![0.4; 19], vec![-0.1; 40], vec![0.2; 40], vec![f64::NAN; 40]] {
            let verdict = staying(&expected, &[-1.0; 30], &config, Seed(1));
            let names: Vec<_> = verdict.readings.iter().map(|r| r.detector.as_str()).collect();
            assert_eq!(names, ["e_detector"], "{expected:?}");
            assert_eq!(verdict.readings[0].false_alarm_rate, None);
        }
        assert_eq!(staying(&[], &[-1.0; 200], &config, Seed(1)).level, EdgeDecayLevel::Alarm);
        let broken = staying(&[], &[0.5, f64::NAN, 0.5], &config, Seed(1));
        assert_eq!(broken.level, EdgeDecayLevel::Alarm);
        assert!(broken.readings[0].statistic.is_finite());
    }

    #[test]
    fn the_same_bits_each_time_and_after_storage() {
        let expected = results(60, true, &mut Seed(5).stream("expected", 0));
        let config = EdgeDecayConfig { paths: 100, ..EdgeDecayConfig::default() };
        let live = results(100, false, &mut Seed(5).stream("live", 0));
        let verdict = staying(&expected, &live, &config, Seed(9));
        assert_eq!(verdict, staying(&expected, &live, &config, Seed(9)));
        let stored = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<EdgeDecayVerdict>(&stored).unwrap(), verdict);
        assert_eq!(verdict.readings.len(), 3);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        assert_eq!(EdgeDecayConfig::default().validate(), Ok(()));
        let spoiled = EdgeDecayConfig { cusum_alarm_rate: 0.3, ..EdgeDecayConfig::default() };
        assert_eq!(spoiled.validate(), Err(("cusum_alarm_rate", "must be 0 to 0.2, not 0.3".to_owned())));
        let spoiled = EdgeDecayConfig { drawdown_warning_rate: f64::NAN, ..EdgeDecayConfig::default() };
        assert!(spoiled.validate().is_err());
    }
}
