//! Probability of backtest overfitting, by combinatorially symmetric cross-validation.
//!
//! Time is cut into blocks; on each half of the blocks the best strategy is picked, and its rank on the other half
//! is looked at. PBO is the share of halves whose pick is in the worse half outside.
//!
//! Assumes that the columns are ALL strategies tried. After an adaptive search they are clones of a few, and what is
//! measured is rank noise: a reading for people, never a gate.
//!
//! Source: Bailey, Borwein, Lopez de Prado and Zhu, The probability of backtest overfitting (2015).

/// What the splits said.
#[derive(Clone, Debug, PartialEq)]
pub struct Overfitting {
    /// Share of splits with a logit of 0 or below.
    pub probability: f64,
    /// ln(w / (1 - w)) by split, w the relative rank of the pick outside.
    pub logits: Vec<f64>,
    /// The pick of each split.
    pub picks: Vec<usize>,
    /// Slope of performance outside on performance inside, over the picks.
    pub slope: Option<f64>,
    /// Share of picks that lose outside.
    pub probability_of_loss: f64,
    /// Mean Sharpe ratio per period of the picks inside.
    pub mean_inside: f64,
    /// Mean Sharpe ratio per period of the picks outside.
    pub mean_outside: f64,
}

/// Most blocks: 20 already make 184,756 splits.
pub const MAX_BLOCKS: usize = 20;

/// PBO of strategies given as columns of returns (each of one length), over an even number of time blocks; the
/// first rows that fill no block are left out.
///
/// `None` for fewer than two strategies, an odd number of blocks or more than [`MAX_BLOCKS`], blocks of fewer than
/// two periods together, or a strategy without variance in some half.
#[must_use]
pub fn overfitting(columns: &[Vec<f64>], blocks: usize) -> Option<Overfitting> {
    let periods = columns.first()?.len();
    let length = periods.checked_div(blocks)?;
    let even = blocks >= 2 && blocks.is_multiple_of(2) && blocks <= MAX_BLOCKS;
    if !even || columns.len() < 2 || length * blocks < 4 || columns.iter().any(|c| c.len() != periods) {
        return None;
    }
    let skip = periods % blocks;
    let (mut logits, mut picks, mut inside, mut outside) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for half in combinations(blocks, blocks / 2) {
        let ratio = |column: &Vec<f64>, chosen: bool| {
            let of_half = |b: &usize| half.contains(b) == chosen;
            let values = (0..blocks).filter(of_half).flat_map(|b| &column[skip + b * length..skip + (b + 1) * length]);
            sharpe(values.copied().collect())
        };
        let within: Vec<f64> = columns.iter().map(|c| ratio(c, true)).collect::<Option<_>>()?;
        let without: Vec<f64> = columns.iter().map(|c| ratio(c, false)).collect::<Option<_>>()?;
        // The first of equals.
        let pick = (0..within.len()).reduce(|a, b| if within[b] > within[a] { b } else { a })?;
        let below = without.iter().filter(|v| **v < without[pick]).count() as f64;
        let equal = without.iter().filter(|v| **v == without[pick]).count() as f64;
        let rank = below + f64::midpoint(1.0, equal);
        let w = rank / (columns.len() + 1) as f64;
        logits.push((w / (1.0 - w)).ln());
        inside.push(within[pick]);
        outside.push(without[pick]);
        picks.push(pick);
    }
    let n = logits.len() as f64;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let share = |hits: usize| hits as f64 / n;
    let (mean_inside, mean_outside) = (mean(&inside), mean(&outside));
    let spread: f64 = inside.iter().map(|x| (x - mean_inside).powi(2)).sum();
    let together: f64 = inside.iter().zip(&outside).map(|(x, y)| (x - mean_inside) * (y - mean_outside)).sum();
    Some(Overfitting {
        probability: share(logits.iter().filter(|l| **l <= 0.0).count()),
        probability_of_loss: share(outside.iter().filter(|r| **r < 0.0).count()),
        slope: (spread > 0.0).then(|| together / spread),
        logits,
        picks,
        mean_inside,
        mean_outside,
    })
}

fn sharpe(values: Vec<f64>) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let ratio = mean / deviation;
    ratio.is_finite().then_some(ratio)
}

/// All ways to choose `k` of `0..n`, in lexicographic order.
pub(super) fn combinations(n: usize, k: usize) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    let mut chosen: Vec<usize> = (0..k).collect();
    if k > n {
        return all;
    }
    loop {
        all.push(chosen.clone());
        let Some(place) = (0..k).rev().find(|&i| chosen[i] < n - k + i) else { return all };
        chosen[place] += 1;
        for i in place + 1..k {
            chosen[i] = chosen[i - 1] + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_all_close, assert_close, indices, read, rows};

    #[test]
    fn agrees_with_the_reference() {
        for text in [include_str!("vectors/04_pbo/noise.json"), include_str!("vectors/04_pbo/one_real_edge.json")] {
            let v = read(text);
            let by_time = rows(&v["inputs"]["M"]);
            let columns: Vec<Vec<f64>> =
                (0..by_time[0].len()).map(|s| by_time.iter().map(|row| row[s]).collect()).collect();
            let ours = overfitting(&columns, 8).unwrap();
            let theirs = &v["outputs"];
            assert_close(ours.probability, &theirs["pbo"]);
            assert_all_close(&ours.logits, &theirs["logits"]);
            assert_eq!(ours.picks, indices(&theirs["best_is"]));
            assert_close(ours.slope.unwrap(), &theirs["slope"]);
            assert_close(ours.probability_of_loss, &theirs["prob_oos_loss"]);
            assert_close(ours.mean_inside, &theirs["mean_is"]);
            assert_close(ours.mean_outside, &theirs["mean_oos"]);
        }
    }

    #[test]
    fn an_edge_in_every_block_is_never_overfitted() {
        let column = |shift: f64| (0..40).map(|i| f64::from(i % 3) - 1.0 + shift).collect::<Vec<f64>>();
        let found = overfitting(&[column(0.0), column(0.5), column(-0.5)], 4).unwrap();
        assert_eq!((found.probability, found.picks), (0.0, vec![1; 6]));
        assert_eq!(overfitting(&[column(0.0)], 4), None);
        assert_eq!(overfitting(&[column(0.0), vec![0.0; 40]], 4), None);
        assert_eq!(overfitting(&[column(0.0), column(0.1)], 3), None);
        assert_eq!(overfitting(&[column(0.0), column(0.1)], 0), None);
    }

    #[test]
    fn combinations_are_lexicographic() {
        assert_eq!(combinations(3, 2), [[0, 1], [0, 2], [1, 2]]);
        assert_eq!(combinations(2, 3), Vec::<Vec<usize>>::new());
        assert_eq!(combinations(8, 4).len(), 70);
    }
}
