//! Variation of strategies that rank the market: random ones, mutation, crossover, neighbours, and what does nothing
//! left out.
//!
//! Every result is valid, canonical, within the configured size and look-back, and without operators that do nothing.
//! What parts measure is kept, so that results are valid by how they are made. The same stream of randomness gives the
//! same results.

use crate::{Expression, Ranking, Series, Source, Timeframe, Weights};
use rand::Rng;

mod config;
mod crossover;
mod draw;
mod grow;
mod ideas;
mod mutate;
mod neighbours;
mod simplify;
mod tree;

use super::{ATTEMPTS, chance, pick};
pub use config::RankingVariation;
pub use crossover::crossover_ranking;
use draw::Maker;
pub use mutate::mutate_ranking;
pub use neighbours::ranking_neighbours;
pub use simplify::{ranking_complexity, simplify};

/// A new random strategy: a customary idea with random look-backs, or two of them joined, or a score grown freely; with
/// random universe, clock and weights.
#[must_use]
pub fn random_ranking(config: &RankingVariation, rng: &mut impl Rng) -> Ranking {
    for _ in 0..ATTEMPTS {
        let base = pick(&config.timeframes, rng).copied().unwrap_or(Timeframe::H4);
        let maker = Maker { config, base };
        let free = chance(config.free_probability, rng);
        let score = if free { maker.free(rng) } else { maker.customary(rng) };
        if let Some(ranking) = finish(drawn(&maker, score, rng), config) {
            return ranking;
        }
    }
    // A lone volatility fits into any size.
    let base = config.timeframes.first().copied().unwrap_or(Timeframe::H4);
    let maker = Maker { config, base };
    let score = Expression::Volatility { returns: maker.window(rng) };
    drawn(&maker, score, rng)
}

/// A strategy of this score, the rest by chance.
fn drawn(maker: &Maker<'_>, score: Expression, rng: &mut impl Rng) -> Ranking {
    Ranking {
        timeframe: maker.base,
        universe: maker.universe(rng),
        score,
        rebalance: maker.clock(rng),
        weights: maker.weights(rng),
        gross: crate::Number::int(1),
    }
}

/// Makes a draft fit: look-backs, clock, size, form. `None` where it cannot be made valid.
fn finish(draft: Ranking, config: &RankingVariation) -> Option<Ranking> {
    let base = draft.timeframe;
    let maker = Maker { config, base };
    let fit = |n: u32| if n < 2 { n } else { maker.fit(n) };
    let clocks = config.clocks(base);
    let clock_fits = base.is_multiple(draft.rebalance);
    let rebalance = if clock_fits { draft.rebalance } else { clocks.first().copied().unwrap_or(base) };
    let weights = Weights {
        inverse_volatility: draft.weights.inverse_volatility.map(fit),
        beta_neutral: draft.weights.beta_neutral.map(fit),
        ..draft.weights
    };
    let mut ranking = Ranking { rebalance, weights, ..draft };
    // Two look-backs made one may be too long, and what is cut may be simpler then. Every second round at least leaves
    // fewer parts, so that this ends.
    loop {
        let score = ranking.score.with_candles(&fit);
        let next = simplify(&Ranking { score, ..ranking.clone() }.canonical().ok()?);
        if next == ranking {
            break;
        }
        ranking = next;
    }
    let score = &ranking.score;
    let (size, depth) = config.room();
    let fits = score.size() <= size && score.depth() <= depth;
    let readable = config.readings || !has_readings(score);
    let offered = config.models_on(base);
    let asked = score.series().into_iter().filter(|series| series.source.model().is_some()).collect::<Vec<Series>>();
    (fits && readable && asked.iter().all(|series| offered.contains(series))).then_some(ranking)
}

/// Whether a score looks at what the futures market publishes beside the candles.
pub(crate) fn has_readings(score: &Expression) -> bool {
    score.series().iter().any(|s| matches!(s.source, Source::Indicator(i) if i.kind().is_of_market()))
}

/// The same strategy on other candles: look-backs stay what they are in days, single candles single ones.
fn on_timeframe(ranking: &Ranking, timeframe: Timeframe) -> Ranking {
    let length = |t: Timeframe| t.fixed_ms().map_or(30.0 * config::DAY_MS, |ms| ms as f64);
    let factor = length(ranking.timeframe) / length(timeframe);
    let mut changed = ranking.with_look_backs(factor);
    changed.timeframe = timeframe;
    if changed.timeframe != ranking.timeframe {
        let count = changed.score.series().len();
        for at in 0..count {
            if let Some(series) = changed.score.series().get(at).and_then(|series| scaled(*series, factor)) {
                changed.score = changed.score.with_series(at, series);
            }
        }
    }
    changed
}

/// An indicator with its counts of candles multiplied, within its bounds; `None` for what is no count of candles.
fn scaled(series: Series, factor: f64) -> Option<Series> {
    let Source::Indicator(indicator) = series.source else { return None };
    if indicator.kind().is_of_market() || series.timeframe.is_some() {
        return None;
    }
    let specs = indicator.kind().spec().params;
    let params: Vec<_> = specs
        .iter()
        .zip(indicator.params())
        .map(|(spec, p)| if spec.step < 1.0 { *p } else { spec.nearest(p.get() * factor) })
        .collect();
    let source = Source::Indicator(crate::Indicator::new(indicator.kind(), &params).ok()?);
    Some(Series { source, ..series })
}
