//! Null markets: the same candles without what a strategy could exploit, and what a search that was run again on
//! them says about the real one.
//!
//! Two nulls, to be chosen on purpose. A shuffle keeps drift and the distribution of candles and destroys every
//! order in time, volatility clustering too. A sign flip mirrors candles at random: it keeps the path of
//! volatility and removes the drift. The search must be run again in full, with the same budget, on each.
//!
//! Assumes, for the p-values: under the null the real market is exchangeable with its null markets.
//!
//! Sources: Masters, Permutation and Randomization Tests for Trading System Development (2020); Besag and
//! Clifford, Sequential Monte Carlo p-values (1991); Westfall and Young (1993) for the maximum statistic; Hosking
//! (1990) for L-moments.

use rand::{Rng, RngExt, seq::SliceRandom};

/// Prices of consecutive candles, columns of one length.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Bars {
    pub open: Vec<f64>,
    pub high: Vec<f64>,
    pub low: Vec<f64>,
    pub close: Vec<f64>,
}

/// A candle in logarithms: where it opens from the close before, then high, low and close from its open.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Move {
    pub gap: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
}

impl Move {
    /// Up becomes down, high becomes low.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self { gap: -self.gap, high: -self.low, low: -self.high, close: -self.close }
    }
}

impl Bars {
    /// Of every candle but the first; `None` where a price has no logarithm or the columns are not of one length.
    #[must_use]
    pub fn moves(&self) -> Option<Vec<Move>> {
        let n = self.close.len();
        let columns = [&self.open, &self.high, &self.low, &self.close];
        let valid = columns.iter().all(|c| c.len() == n && c.iter().all(|p| *p > 0.0 && p.is_finite()));
        (valid && n > 0).then(|| {
            let one = |i: usize| {
                let open = self.open[i].ln();
                let from_open = |price: f64| price.ln() - open;
                Move {
                    gap: open - self.close[i - 1].ln(),
                    high: from_open(self.high[i]),
                    low: from_open(self.low[i]),
                    close: from_open(self.close[i]),
                }
            };
            (1..n).map(one).collect()
        })
    }

    /// The first candle as it is, then one for each move. There must be a first one.
    #[must_use]
    pub fn rebuilt(&self, moves: impl Iterator<Item = Move>) -> Self {
        let first = |column: &[f64]| vec![column[0]];
        let mut bars =
            Self { open: first(&self.open), high: first(&self.high), low: first(&self.low), close: first(&self.close) };
        let mut last_close = self.close[0].ln();
        for m in moves {
            let open = last_close + m.gap;
            last_close = open + m.close;
            bars.open.push(open.exp());
            bars.high.push((open + m.high).exp());
            bars.low.push((open + m.low).exp());
            bars.close.push(last_close.exp());
        }
        bars
    }

    /// The candles after the first in another order: what happens inside them by `within`, the gaps before them
    /// by `gaps`, both permutations of `0..len - 1`. Start and end stay. `None` when the arguments do not fit.
    ///
    /// The same permutations for several symbols keep their correlation.
    #[must_use]
    pub fn shuffled_by(&self, within: &[usize], gaps: &[usize]) -> Option<Self> {
        let moves = self.moves()?;
        let fits = |p: &[usize]| p.len() == moves.len() && p.iter().all(|&i| i < moves.len());
        (fits(within) && fits(gaps)).then(|| {
            let order = within.iter().zip(gaps);
            self.rebuilt(order.map(|(&inside, &gap)| Move { gap: moves[gap].gap, ..moves[inside] }))
        })
    }

    /// The candles after the first, sign-flipped where `flipped`: up becomes down, high becomes low. Volatility stays
    /// candle by candle. `None` when the arguments do not fit.
    ///
    /// The same flips for several symbols keep their correlation.
    #[must_use]
    pub fn sign_flipped_by(&self, flipped: &[bool]) -> Option<Self> {
        let moves = self.moves()?;
        (flipped.len() == moves.len()).then(|| {
            let sign_flipped = moves.iter().zip(flipped).map(|(&m, &flip)| match flip {
                true => m.mirrored(),
                false => m,
            });
            self.rebuilt(sign_flipped)
        })
    }
}

/// A random permutation of `0..n`.
#[must_use]
pub fn permutation(n: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(rng);
    order
}

/// `n` fair coins.
#[must_use]
pub fn coins(n: usize, rng: &mut impl Rng) -> Vec<bool> {
    (0..n).map(|_| rng.random()).collect()
}

/// (1 + nulls whose champion is at least as good) / (1 + nulls). With a strategy that is not the champion it is
/// its p-value by the maximum statistic, so all strategies of one search may be tested at once.
#[must_use]
pub fn rank_p_value(statistic: f64, null_champions: &[f64]) -> f64 {
    let as_good = null_champions.iter().filter(|&&null| is_as_good(null, statistic)).count();
    (1 + as_good) as f64 / (1 + null_champions.len()) as f64
}

/// Where either is not a number, the null is as good: nothing is proven by what is undefined.
fn is_as_good(null: f64, statistic: f64) -> bool {
    null >= statistic || null.is_nan() || statistic.is_nan()
}

/// Besag and Clifford's sequential p-value: stops once `enough` nulls were as good, for then the rest cannot
/// make the p-value small.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SequentialP {
    statistic: f64,
    enough: u64,
    nulls: u64,
    as_good: u64,
}

impl SequentialP {
    /// Nothing drawn yet. `None` when `enough` is 0.
    #[must_use]
    pub fn new(statistic: f64, enough: u64) -> Option<Self> {
        (enough > 0).then_some(Self { statistic, enough, nulls: 0, as_good: 0 })
    }

    /// The champion of the next null market; ignored once stopped.
    pub fn observe(&mut self, null_champion: f64) {
        if !self.stopped() {
            self.nulls += 1;
            self.as_good += u64::from(is_as_good(null_champion, self.statistic));
        }
    }

    /// Whether more nulls are of no use.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.as_good >= self.enough
    }

    /// The nulls looked at.
    #[must_use]
    pub fn nulls(&self) -> u64 {
        self.nulls
    }

    /// `enough` / nulls when stopped, else (1 + as good) / (1 + nulls).
    #[must_use]
    pub fn p_value(&self) -> f64 {
        if self.stopped() {
            self.as_good as f64 / self.nulls as f64
        } else {
            (1 + self.as_good) as f64 / (1 + self.nulls) as f64
        }
    }
}

/// A Gumbel distribution fitted to null champions: extrapolates a tail that few nulls do not reach, so it ranks
/// candidates and is no p-value to decide by.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Gumbel {
    pub location: f64,
    pub scale: f64,
}

impl Gumbel {
    /// By L-moments: scale = l2 / ln 2, location = mean - gamma x scale. `None` below two values or without spread.
    #[must_use]
    pub fn fit(maxima: &[f64]) -> Option<Self> {
        const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
        let mut sorted = maxima.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / n;
        let weighted: f64 = sorted.iter().enumerate().map(|(i, x)| i as f64 / (n - 1.0) * x).sum();
        let scale = (2.0 * weighted / n - mean) / std::f64::consts::LN_2;
        let fitted = Self { location: mean - EULER_GAMMA * scale, scale };
        (scale > 0.0 && fitted.location.is_finite()).then_some(fitted)
    }

    /// Chance of a maximum above `x`: 1 - exp(-exp(-(x - location) / scale)).
    #[must_use]
    pub fn tail(&self, x: f64) -> f64 {
        -(-(-(x - self.location) / self.scale).exp()).exp_m1()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_all_close, assert_close, indices, numbers, read};
    use genome::random::Seed;
    use serde_json::Value;

    fn bars(v: &Value) -> Bars {
        let column = |key| numbers(&v[key]);
        Bars { open: column("open"), high: column("high"), low: column("low"), close: column("close") }
    }

    fn assert_bars(ours: &Bars, theirs: &Value) {
        for (column, key) in [(&ours.open, "open"), (&ours.high, "high"), (&ours.low, "low"), (&ours.close, "close")] {
            assert_all_close(column, &theirs[key]);
        }
    }

    #[test]
    fn null_markets_agree_with_the_reference() {
        let v = read(include_str!("vectors/11_permutation/bars.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let real = bars(input);
        let (within, gaps) = (indices(&input["perm_intra"]), indices(&input["perm_gap"]));
        assert_bars(&real.shuffled_by(&within, &gaps).unwrap(), &output["shuffle"]);
        let flipped: Vec<bool> = indices(&input["flip"]).into_iter().map(|f| f == 1).collect();
        assert_bars(&real.sign_flipped_by(&flipped).unwrap(), &output["sign_flip"]);
    }

    #[test]
    fn p_values_agree_with_the_reference() {
        let v = read(include_str!("vectors/11_permutation/search_null_p.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let (nulls, candidates) = (numbers(&input["null_best"]), numbers(&input["candidates"]));
        let ranks: Vec<f64> = candidates.iter().map(|&c| rank_p_value(c, &nulls)).collect();
        assert_all_close(&ranks, &output["rank_p"]);
        let gumbel = Gumbel::fit(&nulls).unwrap();
        assert_close(gumbel.location, &output["gumbel_mu"]);
        assert_close(gumbel.scale, &output["gumbel_beta"]);
        assert_all_close(&candidates.iter().map(|&c| gumbel.tail(c)).collect::<Vec<_>>(), &output["gumbel_p"]);
        for (&candidate, theirs) in candidates.iter().zip(output["besag_clifford"].as_array().unwrap()) {
            let mut p = SequentialP::new(candidate, input["h"].as_u64().unwrap()).unwrap();
            nulls.iter().for_each(|&null| p.observe(null));
            assert_close(p.p_value(), &theirs[0]);
            assert_eq!(Some(p.nulls()), theirs[1].as_u64());
        }
    }

    fn small() -> Bars {
        Bars {
            open: vec![10.0, 10.5, 11.0, 9.0],
            high: vec![11.0, 12.0, 11.5, 9.5],
            low: vec![9.0, 10.0, 8.5, 8.0],
            close: vec![10.5, 11.0, 9.0, 9.5],
        }
    }

    #[test]
    fn every_null_candle_is_possible() {
        let mut rng = Seed(1).stream("null", 0);
        let (within, gaps) = (permutation(3, &mut rng), permutation(3, &mut rng));
        let shuffled = small().shuffled_by(&within, &gaps).unwrap();
        let sign_flipped = small().sign_flipped_by(&coins(3, &mut rng)).unwrap();
        assert!((shuffled.close[3] - 9.5).abs() < 1e-12, "a shuffle ends where the market ended");
        for bars in [shuffled, sign_flipped] {
            for i in 0..4 {
                assert!(bars.low[i] <= bars.open[i].min(bars.close[i]) + 1e-12);
                assert!(bars.high[i] >= bars.open[i].max(bars.close[i]) - 1e-12);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(small().shuffled_by(&[0, 1], &[0, 1, 2]), None);
        assert_eq!(small().shuffled_by(&[0, 1, 3], &[0, 1, 2]), None);
        assert_eq!(small().sign_flipped_by(&[true]), None);
        assert_eq!(Bars { low: vec![0.0; 4], ..small() }.sign_flipped_by(&[true; 3]), None);
        assert_eq!(Bars::default().sign_flipped_by(&[]), None);
        assert_eq!(Gumbel::fit(&[1.0]), None);
        assert_eq!(Gumbel::fit(&[2.0, 2.0, 2.0]), None);
    }

    #[test]
    fn a_statistic_that_is_not_a_number_proves_nothing() {
        assert_eq!(rank_p_value(f64::NAN, &[1.0, 2.0, 3.0]), 1.0);
        let mut p = SequentialP::new(f64::NAN, 2).unwrap();
        (0..5).for_each(|_| p.observe(0.0));
        assert_eq!((p.p_value(), p.nulls()), (1.0, 2));
    }
}
