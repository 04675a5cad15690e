//! Resampling a series without tearing apart what hangs together in time.
//!
//! The stationary bootstrap strings together blocks of geometric length from random starts, the series taken as a
//! circle. Assumes weak dependence: blocks longer than the memory of the series. A length comes from the series
//! itself: b = (2 G^2 / D)^(1/3) n^(1/3), D = 2 g(0)^2, with G = sum of |k| R(k) and g(0) = sum of R(k) under a
//! flat-top window of bandwidth M.
//!
//! Sources: Politis and Romano, The stationary bootstrap (1994); Politis and White (2004) with the correction of
//! Patton, Politis and White (2009).

use engine::performance::sharpe_ratio;
use genome::random::Seed;
use rand::{Rng, RngExt};
use rayon::prelude::*;

/// Expected block length of the stationary bootstrap for the mean of `x`. `None` for fewer than 8 values or none
/// that vary. Use it rounded up, and at least 1.
#[must_use]
pub fn block_length(x: &[f64]) -> Option<f64> {
    Some(flat_top(x)?.stationary())
}

/// What the automatic length is computed from.
#[derive(Clone, Copy, Debug, PartialEq)]
struct FlatTop {
    n: f64,
    bandwidth: usize,
    /// Sum of |k| R(k), windowed.
    g: f64,
    /// Sum of R(k), windowed.
    spectrum: f64,
}

impl FlatTop {
    fn length(&self, denominator: f64) -> f64 {
        let most = (3.0 * self.n.sqrt()).min(self.n / 3.0).ceil();
        ((2.0 * self.g * self.g / denominator).cbrt() * self.n.cbrt()).min(most)
    }

    fn stationary(&self) -> f64 {
        self.length(2.0 * self.spectrum * self.spectrum)
    }
}

fn flat_top(x: &[f64]) -> Option<FlatTop> {
    let n = x.len();
    if n < 8 {
        return None;
    }
    let size = n as f64;
    let mean = x.iter().sum::<f64>() / size;
    let e: Vec<f64> = x.iter().map(|v| v - mean).collect();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // The first lag m after which `run` correlations in a row are insignificant; the bandwidth is twice that.
    let run = 5.max(size.log10() as usize);
    let most = ((size.sqrt().ceil() as usize) + run).min(n - 2);
    let significant = 2.0 * (size.log10() / size).sqrt();
    let covariances: Vec<f64> = (0..=most).map(|k| product(&e[k..], &e[..n - k]) / size).collect();
    let correlation = |k: usize| {
        // Over the values that take part one lag further on, as the reference implementations have it.
        let (late, early) = (&e[k + 1..], &e[..n - k - 1]);
        (covariances[k] * size).abs() / (product(late, late) * product(early, early)).sqrt()
    };
    let correlations: Vec<f64> = (0..=most).map(correlation).collect();
    let quiet = |m: usize| correlations[m + 1..=m + run].iter().all(|c| *c < significant);
    let lag = (0..=most.saturating_sub(run)).find(|&m| quiet(m));
    let bandwidth = lag.map_or(most, |m| 2 * m.max(1)).min(most);
    let (mut g, mut spectrum) = (0.0, covariances[0]);
    for (k, covariance) in covariances.iter().enumerate().take(bandwidth + 1).skip(1) {
        let part = k as f64 / bandwidth as f64;
        let weight = if part <= 0.5 { 1.0 } else { 2.0 * (1.0 - part) };
        g += 2.0 * weight * k as f64 * covariance;
        spectrum += 2.0 * weight * covariance;
    }
    let found = FlatTop { n: size, bandwidth, g, spectrum };
    (spectrum != 0.0 && (g / spectrum).is_finite()).then_some(found)
}

/// Indices of one stationary resample of `0..n`: at each place a new block starts with the chance 1 / `length`,
/// else the index after the last follows, on the circle. Empty for n = 0; a length below 1 counts as 1.
#[must_use]
pub fn stationary_indices(n: usize, length: f64, rng: &mut impl Rng) -> Vec<usize> {
    let chance = 1.0 / length.max(1.0);
    indices_from(n, chance, || (rng.random::<f64>(), rng.random_range(0..n)))
}

/// Annual Sharpe ratios of `paths` stationary resamples of daily returns, ascending, those that are defined; blocks of the
/// length that the series itself asks for, which is given back beside them.
#[must_use]
pub fn resampled_sharpe_ratios(daily_returns: &[f64], paths: u64, seed: Seed) -> (f64, Vec<f64>) {
    let length = block_length(daily_returns).map_or(1.0, |length| length.ceil().max(1.0));
    let of_path = |path: u64| {
        let mut rng = seed.stream("resampled daily returns", path);
        let indices = stationary_indices(daily_returns.len(), length, &mut rng);
        sharpe_ratio(&indices.into_iter().map(|i| daily_returns[i]).collect::<Vec<_>>())
    };
    let mut ratios: Vec<f64> = (0..paths).into_par_iter().filter_map(of_path).collect();
    ratios.sort_by(f64::total_cmp);
    (length, ratios)
}

/// The recursion itself: `draw` gives a uniform and a start for each place.
fn indices_from(n: usize, chance: f64, mut draw: impl FnMut() -> (f64, usize)) -> Vec<usize> {
    let mut indices = Vec::with_capacity(n);
    for place in 0..n {
        let (uniform, start) = draw();
        let next = match indices.last() {
            Some(last) if place > 0 && uniform >= chance => (last + 1) % n,
            _ => start,
        };
        indices.push(next);
    }
    indices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_close, indices, number, numbers, read, rows};

    /// The vectors give the paper's own choice of m beside that of a well-known library, which is one lag larger.
    #[test]
    fn lengths_agree_with_the_paper() {
        for text in [
            include_str!("vectors/06_block_bootstrap/block_length_white.json"),
            include_str!("vectors/06_block_bootstrap/block_length_ar05.json"),
            include_str!("vectors/06_block_bootstrap/block_length_ar09.json"),
            include_str!("vectors/06_block_bootstrap/block_length_squared_clustered.json"),
        ] {
            let v = read(text);
            let x = numbers(&v["inputs"]["x"]);
            assert_close(block_length(&x).unwrap(), &v["outputs"]["paper_stationary"]);
            let found = flat_top(&x).unwrap();
            assert_close(found.bandwidth as f64, &v["outputs"]["paper_bandwidth_M"]);
            let circular = found.length(4.0 / 3.0 * found.spectrum * found.spectrum);
            assert_close(circular, &v["outputs"]["paper_circular"]);
        }
    }

    #[test]
    fn the_recursion_agrees_with_the_reference() {
        let v = read(include_str!("vectors/06_block_bootstrap/stationary_replay.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let n = indices(&serde_json::json!([input["n"]]))[0];
        let uniforms = rows(&input["u"]);
        for (path, uniforms) in uniforms.iter().enumerate() {
            let mut draws = uniforms.iter().copied().zip(indices(&input["s"][path]));
            let ours = indices_from(n, 1.0 / number(&input["L"]), || draws.next().unwrap());
            assert_eq!(ours, indices(&output["indices"][path]));
        }
    }

    #[test]
    fn blocks_have_the_length_asked_for() {
        let mut rng = Seed(4).stream("bootstrap", 0);
        let indices = stationary_indices(10_000, 8.0, &mut rng);
        let breaks = indices.windows(2).filter(|w| w[1] != (w[0] + 1) % 10_000).count();
        assert!((1100..1400).contains(&breaks), "{breaks}, should be about 1250");
        assert_eq!(stationary_indices(0, 8.0, &mut rng), Vec::<usize>::new());
    }

    #[test]
    fn resampled_ratios_lie_about_that_of_the_series() {
        let returns: Vec<f64> = (0..400).map(|i| 0.001 + 0.02 * f64::from(i * 37 % 101 - 50) / 50.0).collect();
        let own = sharpe_ratio(&returns).unwrap();
        let (length, ratios) = resampled_sharpe_ratios(&returns, 500, Seed(3));
        assert!(length >= 1.0 && ratios.len() == 500 && ratios.is_sorted());
        assert!(ratios[25] < own && own < ratios[475] && (ratios[250] - own).abs() < 0.5);
        assert_eq!(resampled_sharpe_ratios(&returns, 500, Seed(3)).1, ratios);
        assert!(resampled_sharpe_ratios(&[], 10, Seed(1)).1.is_empty());
    }

    #[test]
    fn undefined_lengths() {
        assert_eq!(block_length(&[1.0; 100]), None);
        assert_eq!(block_length(&[1.0, 2.0]), None);
        assert_eq!(block_length(&[f64::NAN; 20]), None);
        let noise: Vec<f64> = (0..9).map(|i| f64::from(i * i % 7)).collect();
        assert!(block_length(&noise).is_some_and(|b| b >= 0.0));
    }
}
