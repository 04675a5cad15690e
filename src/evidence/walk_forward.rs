//! Walk-forward: how much of what was found in sample is left on the days that came after.
//!
//! Efficiency is a ratio of two noisy means; 0.5 is a convention, not a test. Source: Pardo, The Evaluation and
//! Optimization of Trading Strategies (2008).

/// One fold: found on some days, tried on the days after.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Fold {
    pub in_sample_profit: f64,
    pub in_sample_days: f64,
    pub out_of_sample_profit: f64,
    pub out_of_sample_days: f64,
}

/// Profit a day out of sample over profit a day in sample, each summed over all folds first. `None` without days,
/// or unless something was earned in sample.
#[must_use]
pub fn efficiency(folds: &[Fold]) -> Option<f64> {
    let sum = |of: fn(&Fold) -> f64| folds.iter().map(of).sum::<f64>();
    let inside = sum(|f| f.in_sample_profit) / sum(|f| f.in_sample_days);
    let outside = sum(|f| f.out_of_sample_profit) / sum(|f| f.out_of_sample_days);
    (inside > 0.0 && inside.is_finite() && outside.is_finite()).then(|| outside / inside)
}

/// Share of folds with a profit out of sample, 0 to 1. `None` without folds.
#[must_use]
pub fn profitable_folds(folds: &[Fold]) -> Option<f64> {
    let won = folds.iter().filter(|f| f.out_of_sample_profit > 0.0).count();
    (!folds.is_empty()).then(|| won as f64 / folds.len() as f64)
}

/// How the in-sample part moves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It always begins with the first day and grows.
    Anchored,
    /// It keeps its length.
    Rolling,
}

/// In-sample and out-of-sample days of each fold as `[from, to)` in days from the first.
pub type FoldDays = ([usize; 2], [usize; 2]);

/// The folds of `days` days: `inside` days, then `outside` days, moved on by `outside` days each time. Out-of-sample
/// days never overlap; a last part that is shorter is left out. Empty when there is no room for one fold.
#[must_use]
pub fn folds(days: usize, inside: usize, outside: usize, anchor: Anchor) -> Vec<FoldDays> {
    if inside == 0 || outside == 0 {
        return Vec::new();
    }
    (0..)
        .map(|i| inside + i * outside)
        .take_while(|split| split + outside <= days)
        .map(|split| {
            let from = if anchor == Anchor::Anchored { 0 } else { split - inside };
            ([from, split], [split, split + outside])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_close, numbers, read};

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/16_wfe_regime/wfe.json"));
        let column = |key| numbers(&v["inputs"][key]);
        let (profits, days) = (column("is_pnl"), column("is_days"));
        let (later, later_days) = (column("oos_pnl"), column("oos_days"));
        let folds: Vec<Fold> = (0..profits.len())
            .map(|i| Fold {
                in_sample_profit: profits[i],
                in_sample_days: days[i],
                out_of_sample_profit: later[i],
                out_of_sample_days: later_days[i],
            })
            .collect();
        assert_close(efficiency(&folds).unwrap(), &v["outputs"]["wfe"]);
        assert_close(profitable_folds(&folds).unwrap(), &v["outputs"]["profitable_folds"]);
    }

    #[test]
    fn by_hand() {
        let fold =
            Fold { in_sample_profit: 10.0, in_sample_days: 10.0, out_of_sample_profit: 2.0, out_of_sample_days: 4.0 };
        assert_eq!(efficiency(&[fold]), Some(0.5));
        assert_eq!(efficiency(&[Fold { in_sample_profit: -1.0, ..fold }]), None);
        assert_eq!((efficiency(&[]), profitable_folds(&[])), (None, None));
    }

    #[test]
    fn folds_never_look_ahead() {
        assert_eq!(folds(10, 4, 3, Anchor::Rolling), [([0, 4], [4, 7]), ([3, 7], [7, 10])]);
        assert_eq!(folds(10, 4, 3, Anchor::Anchored), [([0, 4], [4, 7]), ([0, 7], [7, 10])]);
        assert_eq!(folds(6, 4, 3, Anchor::Rolling), []);
        assert_eq!(folds(6, 0, 3, Anchor::Rolling), []);
    }
}
