//! The e-process: by hand, against the reference, and on simulated nulls of many kinds.

use super::*;
use genome::random::Seed;
use rand::RngExt;

fn bets(fractions: &[f64]) -> Bets {
    let weights = vec![1.0 / fractions.len() as f64; fractions.len()];
    Bets { fractions: fractions.to_vec(), weights }
}

/// A step of which nothing else is known.
fn bare(result: f64) -> Stake<'static> {
    Stake { result, ..Stake::default() }
}

/// Mean of E over paths, and its standard error.
fn mean_of_e(paths: u64, path: impl Fn(u64) -> Wealth) -> (f64, f64) {
    let values: Vec<f64> = (0..paths).map(|k| path(k).log_e().map_or(0.0, f64::exp)).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn by_hand() {
    let mut wealth = Wealth::new(bets(&[0.5, 1.0]));
    wealth.observe([bare(2.0)]);
    assert!((wealth.log_e().unwrap() - 2.5_f64.ln()).abs() < 1e-15);
    wealth.observe([bare(-1.0)]);
    // The bet of 1.0 lost everything, the other half of its 2.
    assert!((wealth.log_e().unwrap() - 0.5_f64.ln()).abs() < 1e-15);
    wealth.observe([bare(-2.0)]);
    assert_eq!(wealth.log_e(), None);
    for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let of_worst = Stake { worst: broken, ..bare(0.1) };
        let of_drift = Stake { drift: &[broken], ..bare(0.1) };
        for stake in [bare(broken), of_worst, of_drift] {
            let mut wealth = Wealth::new(bets(&[0.1]));
            wealth.observe([stake]);
            assert_eq!(wealth.log_e(), None);
        }
    }
}

#[test]
fn a_loss_beyond_a_bet_s_capital_is_paid_by_the_others() {
    let mut wealth = Wealth::new(bets(&[0.1, 0.8]));
    wealth.observe([bare(-5.0)]);
    // 0.5 x 0.5 is left of the first; the second had 0.5 and lost 2: it owes 1.5, which is more than all.
    assert_eq!(wealth.log_e(), None);
    let mut wealth = Wealth::new(bets(&[0.1, 0.3]));
    wealth.observe([bare(-4.0)]);
    // 0.5 x 0.6 less 0.5 x 0.2.
    assert!((wealth.log_e().unwrap() - 0.2_f64.ln()).abs() < 1e-12);
    wealth.observe([bare(1.0)]);
    assert!((wealth.log_e().unwrap() - 0.23_f64.ln()).abs() < 1e-12, "a debt neither grows nor goes");
    // Nothing brings back what is lost for good.
    wealth.observe([bare(-8.0), bare(5.0), bare(5.0)]);
    assert_eq!(wealth.log_e(), None);
    wealth.observe([bare(1_000.0)]);
    assert_eq!(wealth.log_e(), None);
    assert_eq!(wealth.succeeding().log_e(), None);
}

#[test]
fn no_step_costs_more_than_half_if_it_does_its_worst() {
    for (worst, expected) in [(1.0, 0.5_f64), (4.0, 0.5), (0.1, 0.92)] {
        let mut wealth = Wealth::new(bets(&[0.8]));
        wealth.observe([Stake { result: -worst, worst, drift: &[] }]);
        assert!((wealth.log_e().unwrap() - expected.ln()).abs() < 1e-12, "{worst}");
    }
}

#[test]
fn agrees_with_the_mixture_that_agrees_with_the_reference() {
    let fractions = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8];
    let mut other = crate::betting::MixtureBet::default();
    let mut wealth = Wealth::new(bets(&fractions));
    let mut rng = Seed(4).stream("results", 0);
    let results: Vec<f64> = (0..4_000).map(|_| if rng.random_bool(0.55) { 1.2 } else { -1.0 }).collect();
    results.iter().for_each(|&r| other.observe(r));
    wealth.observe(results[..1_234].iter().map(|&r| bare(r)));
    wealth.observe(results[1_234..].iter().map(|&r| bare(r)));
    let (ours, theirs) = (wealth.log_e().unwrap(), other.log_e().unwrap());
    assert!((ours - theirs).abs() < 1e-6 * theirs.abs().max(1.0), "{ours} {theirs}");
}

#[test]
fn what_a_search_saw_sets_the_fractions_and_bounds_them() {
    let steps: Vec<f64> = (0..1_000).map(|i| if i % 5 < 3 { 0.1 } else { -0.1 }).collect();
    let suggested = Bets::suggested_by(&steps);
    // Mean 0.02, variance 0.0096: 2.08, cut at 0.8.
    assert!((suggested.fractions[4] - 0.8).abs() < 1e-12, "{suggested:?}");
    assert!((suggested.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    let mut shocked = steps.clone();
    shocked.push(-10.0);
    assert!(Bets::suggested_by(&shocked).fractions.iter().all(|f| *f <= 0.05 + 1e-12));
    assert_eq!(Bets::suggested_by(&[]).fractions, PLAIN);
    assert_eq!(Bets::suggested_by(&[f64::NAN]).fractions.len(), PLAIN.len());
}

/// Fair results on four correlated symbols at once, looked at after every step: at most a share of 0.05 may
/// ever reach 20, and with an edge most do.
#[test]
fn looking_does_not_raise_the_false_alarm_rate() {
    let reached = |win: f64| {
        let mut count = 0;
        for path in 0..300 {
            let mut rng = Seed(9).stream("fair", path);
            let mut wealth = Wealth::new(bets(&[0.02, 0.05, 0.1, 0.2]));
            let mut most = f64::MIN;
            for _ in 0..300 {
                let common = rng.random_bool(win);
                let one = |rng: &mut _| {
                    let own = if rand::Rng::next_u64(rng) & 1 == 0 { common } else { RngExt::random_bool(rng, win) };
                    if own { 1.0 } else { -1.0 }
                };
                let result: f64 = (0..4).map(|_| one(&mut rng)).sum();
                wealth.observe([Stake { result, worst: 4.0, drift: &[] }]);
                most = most.max(wealth.log_e().unwrap_or(f64::NEG_INFINITY));
            }
            count += u32::from(most >= 20.0_f64.ln());
        }
        count
    };
    assert!(reached(0.5) <= 15, "{} of 300", reached(0.5));
    assert!(reached(0.56) > 200, "{} of 300", reached(0.56));
}

/// Four symbols that all stop out in one candle, which the search window never showed; fair on the whole. Without
/// the structure's worst the bets that lose more than all would be forgiven the rest, and E would have a mean of 5.9.
#[test]
fn all_symbols_stopped_in_one_candle_are_no_windfall() {
    let searched: Vec<f64> = (0..1_000).map(|i| if i % 2 == 0 { 0.3 } else { -0.1 }).collect();
    let on_paths = |worst: f64| {
        mean_of_e(4_000, |path| {
            let mut rng = Seed(12).stream("stopped", path);
            let mut wealth = Wealth::new(Bets::suggested_by(&searched));
            let mut next = || if rng.random_bool(0.95) { 4.0 / 19.0 } else { -4.0 };
            let results: Vec<f64> = (0..30).map(|_| next()).collect();
            wealth.observe(results.iter().map(|&result| Stake { result, worst, drift: &[] }));
            wealth
        })
    };
    let (mean, error) = on_paths(4.0);
    assert!(mean < 1.0 + 3.0 * error && mean > 0.5, "{mean} {error}");
    // Gaps make them twice as bad as their worst: still all of it is paid.
    let (mean, error) = on_paths(2.0);
    assert!(mean < 1.0 + 3.0 * error && mean > 0.5, "{mean} {error}");
}

/// Markets without an edge: prices with a drift that nobody knows, common to the symbols in part, with fat tails and with
/// gaps through stops. Positions are taken at random, longer in rising markets or shorter, with stops; what the mean
/// exposure of another time would have earned is taken away of some symbols.
struct Null {
    symbols: usize,
    /// A year, by symbol in turn.
    drifts: [f64; 2],
    /// Chance that a flat symbol goes long, and short, in a step.
    sides: [f64; 2],
    hedge: f64,
    gaps: f64,
}

impl Null {
    const STEPS: usize = 400;
    /// A step is an hour.
    const YEARS: f64 = 1.0 / 8_760.0;
    /// Notional over risk: stops 2 % away.
    const EXPOSURE: f64 = 50.0;

    /// Means are exact: a price moves by +a or -b with chances that make the mean of the move its drift's.
    fn wealth(&self, path: u64, bets: Bets) -> Wealth {
        let mut rng = Seed(77).stream("null", path);
        let mut wealth = Wealth::new(bets);
        let mut positions = vec![0.0_f64; self.symbols];
        let mut gained = vec![0.0_f64; self.symbols];
        for _ in 0..Self::STEPS {
            let size = if rng.random_bool(0.05) { 0.02 } else { 0.004 };
            let common = rng.random::<f64>();
            let (mut result, mut worst, mut drift) = (0.0, 0.0, vec![0.0; self.symbols]);
            for s in 0..self.symbols {
                let mean = self.drifts[s % 2] * Self::YEARS;
                if positions[s] == 0.0 {
                    let chance = rng.random::<f64>();
                    positions[s] = if chance < self.sides[0] {
                        1.0
                    } else if chance < self.sides[0] + self.sides[1] {
                        -1.0
                    } else {
                        0.0
                    };
                    gained[s] = 0.0;
                }
                // A large fall now and then, paid for by many small rises; or the other way round.
                let up = if s % 2 == 0 { size } else { size / 4.0 };
                let down = if s % 2 == 0 { size / 4.0 } else { size };
                let chance_up = (down + mean) / (up + down);
                let chance = if rng.random_bool(0.7) { common } else { rng.random::<f64>() };
                let mut market = if chance < chance_up { up } else { -down };
                // A gap: four times the move, a quarter as often, so that the mean stays.
                if rng.random_bool(self.gaps) {
                    let is_gap = rng.random_bool(0.25);
                    market = mean + if is_gap { 4.0 * (market - mean) } else { 0.0 };
                }
                let exposure = positions[s] * Self::EXPOSURE;
                let worst_here = if exposure == 0.0 { 0.0 } else { (1.0 + gained[s]).max(0.0) };
                let earned = exposure * market;
                result += earned - self.hedge * market;
                worst += worst_here
                    + self.hedge.abs() * 0.02
                    + LARGEST_DRIFT * Self::YEARS * (exposure.abs() + self.hedge.abs());
                drift[s] = (exposure - self.hedge) * Self::YEARS;
                gained[s] += earned;
                // Stopped out, or it has had enough.
                if gained[s] <= -1.0 || gained[s] > 2.0 || rng.random_bool(0.05) {
                    positions[s] = 0.0;
                }
            }
            wealth.observe([Stake { result, worst, drift: &drift }]);
        }
        wealth
    }
}

#[test]
fn on_nulls_of_many_kinds_the_mean_of_e_is_at_most_one() {
    // What a search liked: small gains, hardly ever a loss.
    let searched: Vec<f64> = (0..1_000).map(|i| if i % 4 == 0 { -0.2 } else { 0.1 }).collect();
    let kinds = [
        ("no drift", Null { symbols: 2, drifts: [0.0, 0.0], sides: [0.2, 0.2], hedge: 0.0, gaps: 0.0 }),
        ("long in a rising market", Null { symbols: 3, drifts: [1.0, 1.0], sides: [0.5, 0.0], hedge: 0.0, gaps: 0.0 }),
        ("longer than it was", Null { symbols: 2, drifts: [1.0, 0.5], sides: [0.6, 0.0], hedge: 10.0, gaps: 0.0 }),
        ("one up, one down", Null { symbols: 4, drifts: [1.0, -1.0], sides: [0.2, 0.2], hedge: 5.0, gaps: 0.1 }),
        (
            "short in a falling one",
            Null { symbols: 2, drifts: [-1.0, -1.0], sides: [0.0, 0.5], hedge: -10.0, gaps: 0.1 },
        ),
        ("gaps through stops", Null { symbols: 4, drifts: [0.0, 0.0], sides: [0.3, 0.1], hedge: 0.0, gaps: 0.4 }),
    ];
    for (name, null) in kinds {
        for shares in [Bets::suggested_by(&searched), Bets::suggested_by(&[])] {
            let (mean, error) = mean_of_e(600, |path| null.wealth(path, shares.clone()));
            assert!(mean <= 1.0 + 3.0 * error, "{name}: {mean} +- {error}");
        }
    }
}

/// Whoever is long in a rising market and more so than it was in its search earns by that alone: with the drift left out of
/// account it would be evidence.
#[test]
fn a_drift_is_no_edge() {
    let (years, exposure) = (1.0 / 8_760.0, 50.0);
    let run = |told: bool| {
        mean_of_e(400, |path| {
            let mut rng = Seed(31).stream("drift", path);
            let mut wealth = Wealth::new(bets(&[0.2]));
            let drift = [if told { exposure * years } else { 0.0 }];
            for _ in 0..2_000 {
                let market = 0.9 * years + if rng.random_bool(0.5) { 0.003 } else { -0.003 };
                wealth.observe([Stake { result: exposure * market, worst: 1.0, drift: &drift }]);
            }
            wealth
        })
    };
    let ((blind, _), (told, error)) = (run(false), run(true));
    assert!(blind > 3.0, "{blind}");
    assert!(told <= 1.0 + 3.0 * error, "{told} {error}");
}

#[test]
fn the_least_over_all_drifts_is_no_more_than_at_any_of_them() {
    let mut rng = Seed(8).stream("least", 0);
    for _ in 0..50 {
        let steps: Vec<(f64, [f64; 2])> = (0..200)
            .map(|_| {
                let mut one = |scale: f64| scale * (rng.random::<f64>() - 0.5);
                (one(1.0), [one(0.02), one(0.02)])
            })
            .collect();
        let mut wealth = Wealth::new(bets(&[0.4]));
        wealth.observe(steps.iter().map(|(result, drift)| Stake { result: *result, worst: 1.0, drift }));
        let at = |m: [f64; 2]| -> f64 {
            steps.iter().map(|(x, d)| (1.0 + 0.4 * (x - d[0] * m[0] - d[1] * m[1])).ln()).sum()
        };
        let ours = wealth.log_e().unwrap();
        let grid = [-1.0, -0.5, 0.0, 0.5, 1.0].map(|m| m * LARGEST_DRIFT);
        let least = grid.iter().flat_map(|&a| grid.map(|b| at([a, b]))).fold(f64::INFINITY, f64::min);
        assert!(ours <= least + 1e-12 && ours > least - 0.02, "{ours} {least}");
    }
}

#[test]
fn what_comes_next_is_an_e_value_by_itself() {
    let mut wealth = Wealth::new(bets(&[0.1, 0.4]));
    let drift = [0.001];
    wealth.observe((0..50).map(|i| Stake { result: if i % 3 == 0 { -0.5 } else { 0.4 }, worst: 1.0, drift: &drift }));
    let next = wealth.succeeding();
    assert_eq!(next.log_e().map(|v| v.abs() < 1e-12), Some(true));
    // Without drifts both ways of looking at what follows agree.
    let mut plain = Wealth::new(bets(&[0.1, 0.4]));
    plain.observe((0..50).map(|i| bare(if i % 3 == 0 { -0.5 } else { 0.4 })));
    let (before, mut alone) = (plain.log_e().unwrap(), plain.succeeding());
    let after: Vec<Stake<'_>> = (0..30).map(|i| bare(if i % 2 == 0 { -0.5 } else { 0.7 })).collect();
    plain.observe(after.iter().copied());
    alone.observe(after.iter().copied());
    assert!((plain.log_e().unwrap() - before - alone.log_e().unwrap()).abs() < 1e-12);
    // What exposure in shadow gives back of what it took in the hold-out is no gain of shadow's.
    let back = [-0.05];
    let (mut whole, mut alone) = (wealth.clone(), wealth.succeeding());
    let flat = Stake { result: 0.0, worst: 1.0, drift: &back };
    whole.observe([flat]);
    alone.observe([flat]);
    assert!(whole.log_e() > wealth.log_e() && alone.log_e().unwrap() < 0.0);
}

#[test]
fn is_stored_to_the_bit_and_reads_what_was_stored_before_drifts_were() {
    let mut wealth = Wealth::new(bets(&[0.1, 0.8]));
    wealth.observe([Stake { result: 0.3, worst: 1.0, drift: &[0.01, -0.02] }, bare(-2.0)]);
    let text = serde_json::to_string(&wealth).unwrap();
    assert_eq!(serde_json::from_str::<Wealth>(&text).unwrap(), wealth);
    let before = r#"{"bets": {"fractions": [0.1], "weights": [1.0]}, "log_capital": [0.25]}"#;
    assert_eq!(serde_json::from_str::<Wealth>(before).unwrap().log_e(), Some(0.25));
}
