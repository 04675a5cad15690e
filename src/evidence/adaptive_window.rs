//! ADWIN: has the mean changed? Keeps a window of recent results and cuts off its older part whenever two parts of it
//! differ by more than chance allows. Flags any change, an improvement too.
//!
//! Kept for comparison: on trades, whose results vary much more than their mean, it hardly ever fires (within 3,000
//! trades never, for a mean that falls by 0.2 R). The detectors that decide are in `drift`.
//!
//! The window is kept as buckets of 1, 2, 4, ... results, so that a look costs the logarithm of its length.
//!
//! Assumes: bounded, independent results. Source: Bifet and Gavaldà, Learning from time-changing data with adaptive
//! windowing (2007), in the form that the library river gave it (bound with the window's variance; a fresh start
//! after a change).

/// Settings of [`AdaptiveWindow`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveWindowConfig {
    /// Chance of a false alarm that the bound is made for.
    pub delta: f64,
    /// A look is taken at every so many results (count).
    pub clock: u32,
    /// Least results in either part (count).
    pub min_part: f64,
    /// No look before there are more results than this (count).
    pub grace: f64,
    /// Buckets of one size before two are merged (count).
    pub max_buckets: usize,
}

/// Results added up: total, and squared deviations from their mean.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    total: f64,
    squares: f64,
}

/// The window.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveWindow {
    config: AdaptiveWindowConfig,
    /// Row i holds buckets of 2^i results, oldest first; the last row is the oldest.
    rows: Vec<Vec<Bucket>>,
    width: f64,
    total: f64,
    squares: f64,
    seen: u32,
    changed: bool,
}

impl AdaptiveWindow {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(config: AdaptiveWindowConfig) -> Self {
        Self { config, rows: vec![Vec::new()], width: 0.0, total: 0.0, squares: 0.0, seen: 0, changed: false }
    }

    /// The next result; whether the mean has changed.
    pub fn observe(&mut self, x: f64) -> bool {
        if self.changed {
            *self = Self::new(self.config);
        }
        if self.width > 0.0 {
            self.squares += self.width * (x - self.total / self.width).powi(2) / (self.width + 1.0);
        }
        self.width += 1.0;
        self.total += x;
        self.rows[0].push(Bucket { total: x, squares: 0.0 });
        self.merge();
        self.seen += 1;
        if self.seen.is_multiple_of(self.config.clock.max(1)) && self.width > self.config.grace {
            while self.cut() {
                self.changed = true;
            }
        }
        self.changed
    }

    /// Results in the window.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width as usize
    }

    /// Their mean; `None` without any.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.width > 0.0).then(|| self.total / self.width)
    }

    fn merge(&mut self) {
        let mut row = 0;
        while row < self.rows.len() && self.rows[row].len() > self.config.max_buckets {
            if row + 1 == self.rows.len() {
                self.rows.push(Vec::new());
            }
            let size = size(row);
            let (a, b) = (self.rows[row].remove(0), self.rows[row].remove(0));
            let apart = size / 2.0 * (a.total / size - b.total / size).powi(2);
            self.rows[row + 1].push(Bucket { total: a.total + b.total, squares: a.squares + b.squares + apart });
            row += 1;
        }
    }

    /// Looks at every way to cut the window in two; drops the oldest bucket if one shows a difference.
    fn cut(&mut self) -> bool {
        let (mut old, mut old_total) = (0.0, 0.0);
        let buckets = self.rows.iter().enumerate().rev();
        for (size, bucket) in buckets.flat_map(|(row, buckets)| buckets.iter().map(move |b| (size(row), b))) {
            old += size;
            old_total += bucket.total;
            let (new, new_total) = (self.width - old, self.total - old_total);
            if old >= self.config.min_part && new >= self.config.min_part {
                let difference = old_total / old - new_total / new;
                if difference.abs() > self.bound(old, new) {
                    self.drop_oldest();
                    return true;
                }
            }
        }
        false
    }

    fn bound(&self, old: f64, new: f64) -> f64 {
        let least = self.config.min_part - 1.0;
        let reciprocal = 1.0 / (old - least) + 1.0 / (new - least);
        let confidence = (2.0 * self.width.ln() / self.config.delta).ln();
        let variance = self.squares / self.width;
        (2.0 * reciprocal * variance * confidence).sqrt() + 2.0 / 3.0 * confidence * reciprocal
    }

    fn drop_oldest(&mut self) {
        let size = size(self.rows.len() - 1);
        let Some(oldest) = self.rows.last_mut() else { return };
        let bucket = oldest.remove(0);
        if oldest.is_empty() {
            self.rows.pop();
        }
        self.width -= size;
        self.total -= bucket.total;
        let apart = (bucket.total / size - self.total / self.width).powi(2);
        self.squares -= bucket.squares + size * self.width * apart / (size + self.width);
    }
}

/// Results in a bucket of a row.
fn size(row: usize) -> f64 {
    (row as f64).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_close, indices, number, numbers, read};
    use serde_json::json;

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/08_drift/mean_drop_at_200.json"));
        let (x, a, output) = (numbers(&v["inputs"]["x"]), &v["inputs"]["adwin"], &v["outputs"]);
        let config = AdaptiveWindowConfig {
            delta: number(&a["delta"]),
            clock: 1,
            min_part: number(&a["min_window_length"]),
            grace: number(&a["grace_period"]),
            max_buckets: indices(&json!([a["max_buckets"]]))[0],
        };
        let mut window = AdaptiveWindow::new(config);
        let seen: Vec<(bool, usize)> = x.iter().map(|&x| (window.observe(x), window.width())).collect();
        let alarms = |seen: &[(bool, usize)]| (0..seen.len()).filter(|&i| seen[i].0).collect::<Vec<_>>();
        assert_eq!(alarms(&seen), indices(&output["adwin_alarms"]));
        assert_eq!(seen.iter().map(|s| s.1).collect::<Vec<_>>(), indices(&output["adwin_width"]));
        assert_close(window.mean().unwrap(), &output["adwin_final_mean"]);

        let mut seldom = AdaptiveWindow::new(AdaptiveWindowConfig { clock: 32, ..config });
        let seen: Vec<(bool, usize)> = x.iter().map(|&x| (seldom.observe(x), seldom.width())).collect();
        assert_eq!(alarms(&seen), indices(&output["adwin_default_clock32_alarms"]));
    }

    #[test]
    fn a_steady_mean_is_left_alone() {
        let config = AdaptiveWindowConfig { delta: 0.002, clock: 1, min_part: 5.0, grace: 10.0, max_buckets: 5 };
        let mut window = AdaptiveWindow::new(config);
        assert_eq!(window.mean(), None);
        assert!((0..2000).all(|i| !window.observe(f64::from(i % 7) - 3.0)));
        assert_eq!(window.width(), 2000);
    }
}
