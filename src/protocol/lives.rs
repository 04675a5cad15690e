//! Whole lives of a daemon at the level of statistics: what its tests promote on markets without an edge, and how long an
//! edge waits, over thousands of market years in seconds.
//!
//! Tests are bought from the real [`Account`], bets are the real ones, and what is asked of hold-out and shadow is what
//! the gate asks. What a search finds is a model: candidates earn independent normal steps, a search knows a part
//! of an edge and shows more than that in its window, and beats its null searches when what it shows does. Never runs a
//! backtest: [`super::calibration`] does, and docs/EVIDENCE.md holds the two against each other.

use super::{Account, ProtocolConfig, TESTS_PER_SESSION};
use candles::time::DAY_MS;
use evidence::wealth::{Bets, Stake, Wealth};
use genome::random::Seed;
use lifecycle::{Thresholds, needed_of_shadow, promotion_level};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp, Poisson, StandardNormal};
use serde::{Deserialize, Serialize};

/// Part of an edge that a search knows (docs/SEARCH.md: champions earn 4.2 to 6.4 a year of an edge of 7).
const KNOWN: (f64, f64) = (0.65, 0.95);
/// What its window shows over what it knows.
const SHOWN: (f64, f64) = (1.2, 1.8);
/// t-statistic of a year that the best of null searches has, and its deviation.
const NULL_BEST: f64 = 4.4;
/// Lucky candidates on new ideas a market day: of one session, and of each further one, which shares its candles.
const LUCKY: (f64, f64) = (0.05, 0.005);
/// Days of the search window.
const SEARCH_DAYS: usize = 365;
/// Steps a day: so many that a single one decides nothing.
const STEPS: usize = 8;

/// What a market holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// No edge; candidates earn this annual Sharpe ratio (0 breaks even, below 0 pays costs).
    Noise(f64),
    /// One edge of this annual Sharpe ratio that is there from a day on, for ever.
    Lasting {
        /// For whoever knows it, after costs.
        sharpe: f64,
        /// Day of the life.
        from_day: u32,
    },
    /// Edges that are born twice a year and live one and a half years in the mean. Without its edge a strategy breaks
    /// even.
    Changing(f64),
}

/// One life.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Life<'a> {
    pub world: World,
    pub protocol: &'a ProtocolConfig,
    pub limits: &'a Thresholds,
    pub holdout_days: u32,
    pub sessions_per_day: u32,
    pub years: u32,
}

/// What became of it, by year of life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lived {
    /// Tests that were bought.
    pub tests: Vec<u32>,
    /// Tests bought in the year that promoted a strategy which never had an edge.
    pub false_promotions: Vec<u32>,
    /// That promoted a strategy whose edge had died.
    pub dead_promotions: Vec<u32>,
    /// That promoted a strategy whose edge lived.
    pub true_promotions: Vec<u32>,
    /// Days from the birth of each edge to its first test, where it was tested.
    pub days_to_test: Vec<f64>,
    /// Days from the birth of each edge until it was live, where it was.
    pub days_to_live: Vec<f64>,
    /// Edges that were there for at least a year of the life, and of them those that were live within one.
    pub edges: u32,
    /// As above.
    pub edges_live: u32,
}

/// An edge.
struct Edge {
    born: f64,
    dies: f64,
    sharpe: f64,
    /// Day from which it may be tested (again).
    next_test: f64,
    /// Day until which one of its strategies is in shadow or live.
    taken_until: f64,
    first_test: Option<f64>,
    live: Option<f64>,
}

/// What a tested strategy does after its test was bought.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tested {
    Refused,
    Promoted { after_days: u32, lives: bool },
}

impl Life<'_> {
    /// Lives it.
    #[must_use]
    pub fn live(&self, seed: Seed) -> Lived {
        let mut rng = seed.stream("life", 0);
        let years = self.years.max(1) as usize;
        let zeros = || vec![0; years];
        let mut found = Lived {
            tests: zeros(),
            false_promotions: zeros(),
            dead_promotions: zeros(),
            true_promotions: zeros(),
            ..Lived::default()
        };
        let mut edges = self.edges(&mut rng);
        let mut account = Account::open(self.protocol, 0);
        let noise = if let World::Noise(sharpe) = self.world { sharpe } else { 0.0 };
        let ideas = ideas_a_day(self.sessions_per_day);
        for day in 0..years * 365 {
            account = account.at(self.protocol, day as i64 * DAY_MS);
            let (year, today) = (day / 365, day as f64);
            let lucky = ideas_of(ideas, account.is_full(self.protocol), &mut rng);
            let edge_first = rng.random_bool(0.5);
            let luck_first = if edge_first { 0 } else { lucky };
            for _ in 0..luck_first.min(TESTS_PER_SESSION) {
                self.test_luck(&mut account, noise, (&mut found, year), &mut rng);
            }
            for edge in &mut edges {
                self.test_edge(&mut account, edge, today, (&mut found, year), &mut rng);
            }
            for _ in 0..(lucky - luck_first).min(TESTS_PER_SESSION) {
                self.test_luck(&mut account, noise, (&mut found, year), &mut rng);
            }
        }
        for edge in edges {
            let until = edge.dies.min((years * 365) as f64);
            found.days_to_test.extend(edge.first_test.map(|day| day - edge.born));
            found.days_to_live.extend(edge.live.map(|day| day - edge.born));
            if until - edge.born >= 365.0 {
                found.edges += 1;
                found.edges_live += u32::from(edge.live.is_some_and(|day| day - edge.born <= 365.0));
            }
        }
        found
    }

    /// Whether one candidate with an edge of this Sharpe ratio goes live, given that its test is bought of a full account.
    #[must_use]
    pub fn candidate_goes_live(&self, sharpe: f64, seed: Seed) -> bool {
        let mut rng = seed.stream("candidate", 0);
        let knows = rng.random_range(KNOWN.0..KNOWN.1);
        let dies = f64::INFINITY;
        matches!(self.outcome((sharpe * knows, dies), true, self.level(), &mut rng).0, Tested::Promoted { .. })
    }

    /// Whether a candidate gets live whose edge dies when shadow begins; from then on it earns `after`.
    #[must_use]
    pub fn dying_goes_live(&self, sharpe: f64, after: f64, seed: Seed) -> bool {
        let mut rng = seed.stream("dying", 0);
        let knows = rng.random_range(KNOWN.0..KNOWN.1);
        let life = Path { before: sharpe * knows, after, dies: 0.0, shown: sharpe * knows };
        matches!(self.walk(life, self.level(), &mut rng).0, Tested::Promoted { .. })
    }

    /// What a test of a full account costs.
    fn level(&self) -> f64 {
        Account::open(self.protocol, 0).price(self.protocol).unwrap_or(0.0)
    }

    fn edges(&self, rng: &mut impl Rng) -> Vec<Edge> {
        let edge = |born: f64, dies: f64, sharpe| Edge {
            born,
            dies,
            sharpe,
            next_test: born,
            taken_until: born,
            first_test: None,
            live: None,
        };
        match self.world {
            World::Noise(_) => Vec::new(),
            World::Lasting { sharpe, from_day } => vec![edge(f64::from(from_day), f64::INFINITY, sharpe)],
            World::Changing(sharpe) => {
                let days = f64::from(self.years * 365);
                let (mut all, mut day) = (Vec::new(), 0.0);
                // Means of both: constants above 0, for which the distributions exist.
                let (Ok(between), Ok(life)) = (Exp::new(2.0 / 365.0), Exp::new(1.0 / 547.5)) else { return all };
                loop {
                    day += between.sample(rng);
                    if day >= days {
                        return all;
                    }
                    all.push(edge(day, day + life.sample(rng), sharpe));
                }
            }
        }
    }

    fn test_luck(&self, account: &mut Account, sharpe: f64, (found, year): (&mut Lived, usize), rng: &mut impl Rng) {
        let Some((after, level)) = account.buy(self.protocol) else { return };
        *account = after;
        found.tests[year] += 1;
        let promoted = matches!(self.outcome((sharpe, f64::INFINITY), false, level, rng).0, Tested::Promoted { .. });
        found.false_promotions[year] += u32::from(promoted);
    }

    fn test_edge(
        &self,
        account: &mut Account,
        edge: &mut Edge,
        today: f64,
        (found, year): (&mut Lived, usize),
        rng: &mut impl Rng,
    ) {
        if today < edge.next_test || today >= edge.dies {
            return;
        }
        let knows = rng.random_range(KNOWN.0..KNOWN.1);
        let shown = edge.sharpe * knows * rng.random_range(SHOWN.0..SHOWN.1);
        let noise: f64 = StandardNormal.sample(rng);
        // Of the day's sessions the first alone: the others share its candles.
        if !account.is_full(self.protocol) && shown / SHOWN.0 + noise < NULL_BEST {
            return;
        }
        let Some((after, level)) = account.buy(self.protocol) else { return };
        *account = after;
        found.tests[year] += 1;
        edge.first_test.get_or_insert(today);
        edge.next_test = today + f64::from(super::REMEMBERED_DAYS);
        // While one of its strategies is in shadow or live, others are tested and refused.
        if today < edge.taken_until {
            return;
        }
        let (outcome, days) = self.outcome((edge.sharpe * knows, edge.dies - today), true, level, rng);
        edge.taken_until = today + f64::from(days);
        if let Tested::Promoted { after_days, lives } = outcome {
            if lives {
                found.true_promotions[year] += 1;
                edge.live = Some(today + f64::from(after_days));
            } else {
                found.dead_promotions[year] += 1;
            }
        }
    }

    /// Of a strategy with this true Sharpe ratio, whose edge dies after so many days of shadow; and for how many days it
    /// is in shadow or live.
    fn outcome(&self, (sharpe, dies): (f64, f64), has_edge: bool, level: f64, rng: &mut impl Rng) -> (Tested, u32) {
        // Luck shows in the search window what an edge would have to show to be selected.
        let shown = if has_edge { sharpe } else { NULL_BEST };
        self.walk(Path { before: sharpe, after: 0.0, dies, shown }, level, rng)
    }

    fn walk(&self, path: Path, level: f64, rng: &mut impl Rng) -> (Tested, u32) {
        let t = self.limits;
        let mean = |annual: f64| annual / (365.0 * STEPS as f64).sqrt();
        let shown = path.shown * rng.random_range(SHOWN.0..SHOWN.1);
        let step = |mean: f64, rng: &mut _| {
            let noise: f64 = StandardNormal.sample(rng);
            mean + noise
        };
        // Of such steps nothing is known to be the worst, and no market earns a part of them.
        let stake = |result| Stake { result, worst: 0.0, drift: &[] };
        let window: Vec<f64> = (0..SEARCH_DAYS * STEPS).map(|_| step(mean(shown), rng)).collect();
        let mut wealth = Wealth::new(Bets::suggested_by(&window));
        for _ in 0..self.holdout_days as usize * STEPS {
            wealth.observe([stake(step(mean(path.before), rng))]);
        }
        let Some(proved) = wealth.log_e().filter(|log| log.exp() >= t.holdout_min_e_value) else {
            return (Tested::Refused, 0);
        };
        let mut alone = wealth.succeeding();
        let total = -promotion_level(level, true).ln();
        let dead = Some(self.protocol.dead_promotions);
        let needed = needed_of_shadow(t, dead, Some(proved), f64::from(self.holdout_days));
        for day in 1..=t.shadow_max_days as u32 {
            let lives = f64::from(day) <= path.dies;
            for _ in 0..STEPS {
                let result = step(mean(if lives { path.before } else { path.after }), rng);
                wealth.observe([stake(result)]);
                alone.observe([stake(result)]);
            }
            let (Some(log), Some(shadow)) = (wealth.log_e(), alone.log_e()) else { return (Tested::Refused, day) };
            if f64::from(day) >= t.shadow_min_days && log >= total && shadow >= needed {
                // Live until the detectors see that its edge has gone: longer than any life that is looked at.
                let live_days = if path.dies.is_finite() { path.dies as u32 } else { u32::MAX / 2 };
                return (Tested::Promoted { after_days: day, lives }, live_days.max(day));
            }
            if f64::from(day) >= t.shadow_growth_days && shadow < 0.0 {
                return (Tested::Refused, day);
            }
        }
        (Tested::Refused, t.shadow_max_days as u32)
    }
}

/// What a tested strategy earns a year: before and after its edge dies, so many days after shadow began.
#[derive(Clone, Copy)]
struct Path {
    before: f64,
    after: f64,
    dies: f64,
    /// What it earned in the search window before luck and selection added to it.
    shown: f64,
}

/// The account of a daemon of this age on a market without an edge: it bought a test for every lucky idea, and for every
/// one that came while it was full.
#[must_use]
pub fn account_of_age(config: &ProtocolConfig, age_ms: i64, sessions_per_day: u32, seed: Seed) -> Account {
    let mut rng = seed.stream("age", 0);
    let mut account = Account::open(config, 0);
    let ideas = ideas_a_day(sessions_per_day);
    for day in 0..(age_ms / DAY_MS) {
        account = account.at(config, day * DAY_MS);
        for _ in 0..ideas_of(ideas, account.is_full(config), &mut rng).min(TESTS_PER_SESSION) {
            account = account.buy(config).map_or(account, |(after, _)| after);
        }
    }
    account.at(config, age_ms)
}

/// Lucky searches on new ideas a market day, in the mean.
fn ideas_a_day(sessions_per_day: u32) -> f64 {
    LUCKY.0 + LUCKY.1 * f64::from(sessions_per_day.saturating_sub(1))
}

/// How many there are on one day: at least one is tested where the account would lose what it earns.
fn ideas_of(mean: f64, is_full: bool, rng: &mut impl Rng) -> usize {
    let lucky = Poisson::new(mean).map_or(0, |p| p.sample(rng) as usize);
    if is_full { lucky.max(1) } else { lucky }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::YEAR_MS;

    fn life<'a>(world: World, protocol: &'a ProtocolConfig, limits: &'a Thresholds) -> Life<'a> {
        Life { world, protocol, limits, holdout_days: 365, sessions_per_day: 24, years: 3 }
    }

    #[test]
    fn what_is_promoted_without_an_edge_keeps_within_the_bound() {
        // A budget so large that its bound can be told from nothing, and nothing asked of shadow.
        let protocol =
            ProtocolConfig { false_promotions_per_year: 1.0, dead_promotions: 1.0, ..ProtocolConfig::default() };
        let limits = Thresholds { shadow_min_e_value: 0.0, shadow_promise_fraction: 0.0, ..Thresholds::default() };
        let lived: Vec<Lived> =
            (0..150).map(|n| life(World::Noise(0.0), &protocol, &limits).live(Seed(5).child("n", n))).collect();
        for year in 0..3 {
            let mean = lived.iter().map(|l| f64::from(l.false_promotions[year])).sum::<f64>() / 150.0;
            assert!(mean > 0.02 && mean <= 1.0, "year {year}: {mean}");
        }
        assert_eq!(lived[0], life(World::Noise(0.0), &protocol, &limits).live(Seed(5).child("n", 0)));
    }

    #[test]
    fn an_edge_is_found_as_well_in_the_third_year_as_in_the_first() {
        let (protocol, limits) = (ProtocolConfig::default(), Thresholds::default());
        let live = |from_day: u32| {
            let lives = (0..60).map(|n| {
                let world = World::Lasting { sharpe: 7.0, from_day };
                life(world, &protocol, &limits).live(Seed(6).child("n", n)).edges_live
            });
            lives.sum::<u32>()
        };
        let (first, third) = (live(0), live(730));
        assert!(first >= 45 && third >= 45, "{first} and {third} of 60");
        let wait: Vec<f64> = (0..60)
            .flat_map(|n| {
                let world = World::Lasting { sharpe: 7.0, from_day: 730 };
                life(world, &protocol, &limits).live(Seed(6).child("n", n)).days_to_test
            })
            .collect();
        assert!(wait.iter().sum::<f64>() / (wait.len() as f64) < 40.0, "{wait:?}");
    }

    #[test]
    fn an_account_does_not_wear_out() {
        let c = ProtocolConfig::default();
        let mean = |age_ms: i64| -> f64 {
            (0..200).map(|n| account_of_age(&c, age_ms, 24, Seed(8).child("n", n)).balance).sum::<f64>() / 200.0
        };
        assert!(account_of_age(&c, 0, 24, Seed(8)).is_full(&c));
        let (year, later) = (mean(YEAR_MS), mean(10 * YEAR_MS));
        assert!((year / later - 1.0).abs() < 0.1, "{year} {later}");
    }
}
