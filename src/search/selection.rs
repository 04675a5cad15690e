//! Choosing parents: operators that take values and return indices. Never sees a strategy.
//!
//! Why lexicase: a parent is whoever is best on a random ordering of the cases (blocks of time, symbols), so a
//! strategy that alone does well on one hard stretch gets children, while one lucky week never carries a strategy
//! through all orderings. It runs within a random sample of the population, which bounds the cost of one choice
//! by the sample's size whatever the population's.

use rand::{Rng, RngExt, seq::SliceRandom};

/// Who takes part in a choice: fitness, and results case by case (all of one length, `None` undefined).
#[derive(Clone, Copy, Debug)]
pub(super) struct Contestant<'a> {
    /// 0 to 100.
    pub(super) fitness: f64,
    /// Results, more is better.
    pub(super) cases: &'a [Option<f64>],
}

/// The fittest of `size` drawn with replacement; of equals the first drawn. `None` when there is nobody.
#[must_use]
pub(super) fn tournament(contestants: &[Contestant<'_>], size: usize, rng: &mut impl Rng) -> Option<usize> {
    let mut best: Option<usize> = None;
    for _ in 0..size.max(1).min(contestants.len()) {
        let drawn = rng.random_range(0..contestants.len());
        if best.is_none_or(|b| contestants[drawn].fitness > contestants[b].fitness) {
            best = Some(drawn);
        }
    }
    best
}

/// Median absolute deviation of each case over all contestants: what counts as equal in [`lexicase`].
#[must_use]
pub(super) fn epsilons(contestants: &[Contestant<'_>]) -> Vec<f64> {
    let cases = contestants.first().map_or(0, |c| c.cases.len());
    (0..cases)
        .map(|case| {
            let mut values: Vec<f64> = contestants.iter().filter_map(|c| c.cases[case]).collect();
            let centre = median(&mut values);
            let mut deviations: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
            median(&mut deviations)
        })
        .collect()
}

fn median(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n == 0 {
        return 0.0;
    }
    values.sort_unstable_by(f64::total_cmp);
    if n % 2 == 1 { values[n / 2] } else { (values[n / 2 - 1] + values[n / 2]) / 2.0 }
}

/// Those left of `pool` after going through the cases in `order`: at each, whoever is within epsilon of the
/// pool's best stays. Epsilons are fixed for the population, the best is the current pool's ("semi-dynamic";
/// La Cava, Spector, Danai 2016). A case undefined for everybody is skipped.
#[must_use]
pub(super) fn lexicase_pool(
    contestants: &[Contestant<'_>],
    pool: Vec<usize>,
    order: &[usize],
    epsilons: &[f64],
) -> Vec<usize> {
    let mut pool = pool;
    for &case in order {
        if pool.len() <= 1 {
            break;
        }
        let best = pool.iter().filter_map(|&i| contestants[i].cases[case]).max_by(f64::total_cmp);
        if let Some(best) = best {
            let bar = best - epsilons[case];
            pool.retain(|&i| contestants[i].cases[case].is_some_and(|v| v >= bar));
        }
    }
    pool
}

/// Epsilon-lexicase within `sample` contestants drawn with replacement; among those left, the fittest.
#[must_use]
pub(super) fn lexicase(
    contestants: &[Contestant<'_>],
    sample: usize,
    epsilons: &[f64],
    rng: &mut impl Rng,
) -> Option<usize> {
    if contestants.is_empty() {
        return None;
    }
    let drawn = (0..sample.max(1)).map(|_| rng.random_range(0..contestants.len()));
    let mut pool: Vec<usize> = drawn.collect();
    pool.sort_unstable();
    pool.dedup();
    let mut order: Vec<usize> = (0..epsilons.len()).collect();
    order.shuffle(rng);
    let left = lexicase_pool(contestants, pool, &order, epsilons);
    // Ascending indices and a strict comparison: ties go to the lower index.
    left.into_iter().reduce(|a, b| if contestants[b].fitness > contestants[a].fitness { b } else { a })
}
