//! How building blocks scored in sample, in searches of the real market and of null ones. Never draws, never ranks.
//!
//! A search of the real market finds what is there and what luck leaves; one of a null market what luck leaves. So a block
//! that scores better above its own search's mean on the real market than on null ones says something of the market.

use super::features::features;
use genome::AnyStrategy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Strategies with a block, and without it, below which a search says nothing of it.
const LEAST_STRATEGIES: u64 = 5;
/// Null searches below which nothing is compared with them.
pub const LEAST_NULLS: u64 = 10;

/// Count and sum of scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Total {
    count: u64,
    sum: f64,
}

impl Total {
    fn add(&mut self, score: f64) {
        self.count += 1;
        self.sum += score;
    }
}

/// What the strategies of one search scored in sample, by building block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scored {
    all: Total,
    blocks: BTreeMap<String, Total>,
}

impl Scored {
    /// Whether nothing was scored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.count == 0
    }

    /// Takes note of an evaluated strategy. What is not finite is left out.
    pub fn add(&mut self, strategy: &AnyStrategy, score: f64) {
        if !score.is_finite() {
            return;
        }
        self.all.add(score);
        for name in features(strategy) {
            self.blocks.entry(name).or_default().add(score);
        }
    }

    /// Of each block, the mean score of the search's strategies with it above that of those without it.
    fn contrasts(&self) -> impl Iterator<Item = (&str, f64)> {
        self.blocks.iter().filter_map(|(name, with)| {
            let without = Total { count: self.all.count - with.count, sum: self.all.sum - with.sum };
            let enough = with.count >= LEAST_STRATEGIES && without.count >= LEAST_STRATEGIES;
            let mean = |of: Total| of.sum / of.count as f64;
            enough.then(|| (name.as_str(), mean(*with) - mean(without)))
        })
    }
}

/// Searches that said something of a block: how many, and sum and sum of squares of what they said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moments {
    searches: u64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.join(Self { searches: 1, sum: value, squares: value * value });
    }

    fn join(&mut self, other: Self) {
        self.searches += other.searches;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    fn mean(self) -> f64 {
        self.sum / self.searches as f64
    }

    /// Of the sample; needs two searches.
    fn deviation(self) -> f64 {
        let (n, mean) = (self.searches as f64, self.mean());
        ((self.squares - n * mean * mean).max(0.0) / (n - 1.0)).sqrt()
    }
}

/// What many searches said of building blocks, those of the real market and of null ones apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    real: BTreeMap<String, Moments>,
    null: BTreeMap<String, Moments>,
}

/// How a block scored on the real market, against null ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Contrast {
    /// Mean over the searches of the real market of how much better strategies with it scored than those without it, points
    /// of fitness.
    pub real: f64,
    /// The same over null searches.
    pub null: f64,
    /// Standard deviation between null searches.
    pub null_sd: f64,
    /// Searches of the real market that said something of it.
    pub searches: u64,
    /// Null searches that did.
    pub null_searches: u64,
}

impl Contrast {
    /// How many standard deviations of *one* null search the real market is from null ones. Searches of the real market look
    /// at nearly the same candles, so that many of them count for no more than one.
    #[must_use]
    pub fn deviations(&self) -> f64 {
        (self.real - self.null) / (self.null_sd * (1.0 + 1.0 / self.null_searches as f64).sqrt())
    }
}

impl Scores {
    /// Whether no search said anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.real.is_empty() && self.null.is_empty()
    }

    /// Takes note of a finished search.
    pub fn add(&mut self, search: &Scored, is_null: bool) {
        let side = if is_null { &mut self.null } else { &mut self.real };
        for (name, contrast) in search.contrasts() {
            side.entry(name.to_owned()).or_default().add(contrast);
        }
    }

    /// Takes note of what other searches said.
    pub fn join(&mut self, other: &Self) {
        for (mine, theirs) in [(&mut self.real, &other.real), (&mut self.null, &other.null)] {
            for (name, moments) in theirs {
                mine.entry(name.clone()).or_default().join(*moments);
            }
        }
    }

    /// Of each block that enough null searches and one of the real market said something of, in order of name.
    #[must_use]
    pub fn contrasts(&self) -> BTreeMap<&str, Contrast> {
        let of = |(name, real): (&'_ String, &Moments)| {
            let null = self.null.get(name).filter(|null| null.searches >= LEAST_NULLS)?;
            let contrast = Contrast {
                real: real.mean(),
                null: null.mean(),
                null_sd: null.deviation(),
                searches: real.searches,
                null_searches: null.searches,
            };
            (contrast.null_sd > 0.0).then_some(contrast)
        };
        self.real.iter().filter_map(|found| Some((found.0.as_str(), of(found)?))).collect()
    }

    /// The `count` blocks that scored best and those that scored worst against null markets, furthest first.
    #[must_use]
    pub fn furthest(&self, count: usize) -> [Vec<(&str, Contrast)>; 2] {
        let of = |sign: f64| {
            let mut found: Vec<_> = self.contrasts().into_iter().filter(|(_, c)| sign * c.deviations() > 0.0).collect();
            found.sort_by(|a, b| (sign * b.1.deviations()).total_cmp(&(sign * a.1.deviations())).then(a.0.cmp(b.0)));
            found.truncate(count);
            found
        };
        [of(1.0), of(-1.0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genome::{random::Seed, variation};
    use rand::RngExt as _;

    fn strategies(count: usize, seed: u64) -> Vec<AnyStrategy> {
        let rng = &mut Seed(seed).stream("scores", 0);
        (0..count).map(|_| variation::random(&variation::VariationConfig::default(), rng).into()).collect()
    }

    /// The same from the raw scores: two passes, no running sums.
    fn by_hand(searches: &[Vec<(AnyStrategy, f64)>], name: &str) -> Vec<f64> {
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let of = |search: &Vec<(AnyStrategy, f64)>| {
            let has = |strategy: &AnyStrategy| features(strategy).iter().any(|block| block == name);
            let (with, without): (Vec<_>, Vec<_>) = search.iter().partition(|(strategy, _)| has(strategy));
            let scores = |of: Vec<&(AnyStrategy, f64)>| of.into_iter().map(|(_, score)| *score).collect::<Vec<f64>>();
            let (with, without) = (scores(with), scores(without));
            (with.len() >= 5 && without.len() >= 5).then(|| mean(&with) - mean(&without))
        };
        searches.iter().filter_map(of).collect()
    }

    #[test]
    fn contrasts_are_those_of_the_raw_scores() {
        let rng = &mut Seed(4).stream("values", 0);
        let mut search = |seed| -> Vec<(AnyStrategy, f64)> {
            strategies(60, seed).into_iter().map(|strategy| (strategy, rng.random_range(-3.0..40.0))).collect()
        };
        let real: Vec<_> = (0..3).map(&mut search).collect();
        let null: Vec<_> = (100..114).map(&mut search).collect();
        let scored = |search: &Vec<(AnyStrategy, f64)>| {
            let mut scored = Scored::default();
            search.iter().for_each(|(strategy, score)| scored.add(strategy, *score));
            scored
        };
        // In two parts that are joined, one of which went through JSON.
        let (mut all, mut rest) = (Scores::default(), Scores::default());
        real.iter().for_each(|search| all.add(&scored(search), false));
        null[..6].iter().for_each(|search| all.add(&scored(search), true));
        null[6..].iter().for_each(|search| rest.add(&scored(search), true));
        let rest = serde_json::from_str(&serde_json::to_string(&rest).unwrap()).unwrap();
        all.join(&rest);
        let found = all.contrasts();
        assert!(found.len() > 20, "{}", found.len());
        for (name, contrast) in &found {
            let (real, null) = (by_hand(&real, name), by_hand(&null, name));
            let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
            let squares: f64 = null.iter().map(|c| (c - mean(&null)).powi(2)).sum();
            let expected = [mean(&real), mean(&null), (squares / (null.len() - 1) as f64).sqrt()];
            let got = [contrast.real, contrast.null, contrast.null_sd];
            assert!(expected.iter().zip(got).all(|(a, b)| (a - b).abs() < 1e-9), "{name}: {expected:?}, {contrast:?}");
            assert_eq!((contrast.searches, contrast.null_searches), (real.len() as u64, null.len() as u64), "{name}");
        }
        // None is left out that ten null searches and a real one speak of.
        let names: std::collections::BTreeSet<String> =
            real.iter().flatten().flat_map(|(strategy, _)| features(strategy)).collect();
        for name in names {
            let told = !by_hand(&real, &name).is_empty() && by_hand(&null, &name).len() >= 10;
            assert_eq!(told, found.contains_key(name.as_str()), "{name}");
        }
    }

    #[test]
    fn a_block_that_is_worth_something_on_the_real_market_alone_comes_first() {
        let mut all = Scores::default();
        for number in 0..24 {
            let is_null = number > 0;
            let mut search = Scored::default();
            for (i, strategy) in strategies(200, number).iter().enumerate() {
                let worth = features(strategy).contains(&"indicator rsi".to_owned()) && !is_null;
                search.add(strategy, ((i * 7919) % 101) as f64 / 10.0 + if worth { 15.0 } else { 0.0 });
            }
            search.add(&strategies(1, 1)[0], f64::NAN);
            all.add(&search, is_null);
        }
        let [good, _] = all.furthest(3);
        assert_eq!(good[0].0, "indicator rsi");
        assert!(good[0].1.deviations() > 4.0, "{:?}", good[0]);
    }

    #[test]
    fn without_null_searches_nothing_is_said() {
        let mut all = Scores::default();
        let mut search = Scored::default();
        strategies(100, 1).iter().for_each(|strategy| search.add(strategy, 1.0));
        all.add(&search, false);
        assert!(all.contrasts().is_empty() && !all.is_empty());
    }
}
