//! Runs over made-up returns, so that what is true of them is known.

use genome::random::Seed;
use optimize::{Axis, Figures, Measured, Method, Objective, Point, Run, Settings, Space};
use rand::{Rng, RngExt};

/// Days of a made run.
pub(crate) const DAYS: usize = 240;

/// A standard normal number.
pub(crate) fn normal(rng: &mut impl Rng) -> f64 {
    let (a, b): (f64, f64) = (rng.random_range(f64::EPSILON..1.0), rng.random());
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

/// A square of `side` x `side` points.
pub(crate) fn square(side: usize) -> Space {
    let axis = |name: &str| Axis { names: vec![name.into()], values: (0..side).map(|i| i as f64).collect() };
    Space::new(vec![axis("x"), axis("y")]).expect("two axes of different names make a space")
}

/// Settings on a square.
pub(crate) fn settings(method: Method, side: usize, points: u32) -> Settings {
    Settings {
        method,
        objectives: vec![Objective::Sharpe],
        points,
        least_trades: 10,
        population: 20,
        seed: Seed(7),
        space: square(side),
    }
}

/// Figures of daily returns.
pub(crate) fn figures(returns: &[f64], trades: u32) -> Figures {
    let sharpe_ratio = optimize::daily_sharpe(returns).map(|s| s * 365_f64.sqrt());
    let (mut equity, mut peak, mut drawdown) = (1.0_f64, 1.0_f64, 0.0_f64);
    for r in returns {
        equity *= 1.0 + r;
        peak = peak.max(equity);
        drawdown = drawdown.min(equity / peak - 1.0);
    }
    Figures {
        total_return: Some(equity - 1.0),
        sharpe_ratio,
        max_drawdown: Some(drawdown),
        total_trades: trades,
        ..Figures::default()
    }
}

/// A market of `days` days that every point trades, with a true edge per day by point and an error of its own.
pub(crate) fn measured(point: &Point, edge: impl Fn(&Point) -> f64) -> Result<Measured, String> {
    let mut shared = Seed(1).stream("market", 0);
    let mut own = Seed(1).child("own", u64::from(point[0])).stream("point", u64::from(point[1]));
    let returns: Vec<f64> =
        (0..DAYS).map(|_| edge(point) + 0.006 * normal(&mut shared) + 0.008 * normal(&mut own)).collect();
    Ok(Measured { figures: figures(&returns, 2 * DAYS as u32), daily_returns: returns, trades_by_day: vec![2; DAYS] })
}

/// Goes on with a run to its end, so many points at a time.
pub(crate) fn finish(run: &mut Run, at_once: usize, edge: impl Fn(&Point) -> f64 + Copy) {
    while !run.is_finished() {
        let batch = run.propose(at_once);
        let results = batch.points.iter().map(|point| measured(point, edge)).collect();
        run.record(batch, results);
    }
}
