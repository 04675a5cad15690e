//! Target weights at one time, before they are smoothed.

use super::Plain;
use super::values::{across_now, average_rank, exact};
use genome::Form;

impl Plain<'_> {
    pub(super) fn weights(&self, t: i64) -> Vec<(usize, f64)> {
        let s = self.strategy;
        let members = self.members(t, s.universe.top);
        let at = |i: usize| self.closing_at(i, t).unwrap();
        let left: Vec<usize> = members
            .into_iter()
            .filter(|i| self.has_volatility(*i, at(*i)) && self.can_be(&s.score, *i, at(*i)))
            .collect();
        let scored: Vec<(usize, f64)> = left
            .iter()
            .filter_map(|i| {
                let across = across_now(&s.score);
                Some((*i, self.value(&s.score, *i, at(*i), across.then_some(&left[..]))?))
            })
            .collect();
        let n = scored.len();
        if n < 2 {
            return scored.iter().map(|(i, _)| (*i, 0.0)).collect();
        }
        let scores: Vec<f64> = scored.iter().map(|(_, v)| *v).collect();
        self.near_ties(&scores, exact(&s.score));
        let mut x: Vec<f64> = match s.weights.form {
            Form::Linear => scores.iter().map(|v| average_rank(&scores, *v) / (n - 1) as f64 - 0.5).collect(),
            Form::TopBottom { top_pct, bottom_pct } => {
                let mut order: Vec<usize> = (0..n).collect();
                order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
                let many = |pct: f64| ((pct * n as f64 / 100.0).floor() as usize).max(1);
                let mut x = vec![0.0; n];
                order.iter().take(many(top_pct.get())).for_each(|i| x[*i] = 1.0);
                if let Some(pct) = bottom_pct {
                    order.iter().rev().take(many(pct.get())).for_each(|i| x[*i] = -1.0);
                }
                x
            }
        };
        if let Some(k) = s.weights.inverse_volatility {
            for (x, (i, _)) in x.iter_mut().zip(&scored) {
                *x /= self.volatility(*i, at(*i), k as usize).unwrap();
            }
        }
        if s.weights.form == Form::Linear && !s.weights.long_only {
            let mean = x.iter().sum::<f64>() / n as f64;
            self.near_zero_after(&x, mean);
            x.iter_mut().for_each(|x| *x -= mean);
        }
        let gross = s.gross.get();
        let scale = |x: &mut Vec<f64>| {
            if s.weights.long_only {
                x.iter_mut().for_each(|x| *x = x.max(0.0));
            }
            let leg = if s.weights.long_only { gross } else { gross / 2.0 };
            let up: f64 = x.iter().filter(|x| **x > 0.0).sum();
            let down: f64 = -x.iter().filter(|x| **x < 0.0).sum::<f64>();
            for x in x {
                if *x > 0.0 {
                    *x *= leg / up;
                } else if *x < 0.0 {
                    *x *= leg / down;
                }
            }
        };
        scale(&mut x);
        if let Some(cap) = s.weights.cap {
            x = capped(&x, cap.get());
        }
        if let Some(k) = s.weights.beta_neutral {
            let b: Vec<Option<f64>> =
                scored.iter().map(|(i, _)| self.market_slope(*i, t, k as usize, &scored)).collect();
            let held: Vec<usize> = (0..n).filter(|i| x[*i] != 0.0 && b[*i].is_some()).collect();
            let wb: f64 = held.iter().map(|i| x[*i] * b[*i].unwrap()).sum();
            let bb: f64 = held.iter().map(|i| b[*i].unwrap().powi(2)).sum();
            if bb > 0.0 {
                for i in held {
                    let off = b[i].unwrap() * wb / bb;
                    self.nearly_nothing(x[i] - off, x[i]);
                    x[i] -= off;
                }
            }
            scale(&mut x);
        }
        scored.iter().map(|(i, _)| *i).zip(x).collect()
    }

    pub(super) fn near_zero_after(&self, x: &[f64], mean: f64) {
        for x in x {
            // Within rounding of the mean the sign, and so the leg, is open.
            if (x - mean).abs() <= 1e-9 * (x.abs() + mean.abs() + 1e-6) && (x - mean) != 0.0 {
                self.fragile.set(true);
            }
        }
    }

    /// Slope of the coin's last k returns on the mean return of the ranked members in the same slots.
    pub(super) fn market_slope(&self, coin: usize, t: i64, k: usize, ranked: &[(usize, f64)]) -> Option<f64> {
        let last = self.closing_at(coin, t)?;
        let first = (last + 1).checked_sub(k).filter(|f| *f >= 1)?;
        let own_return = |i: usize, j: usize| {
            let c = &self.coins[i].candles;
            c[j].close / c[j - 1].close - 1.0
        };
        let (mut x, mut y, mut largest) = (Vec::new(), Vec::new(), 0.0_f64);
        for j in first..=last {
            let open = self.coins[coin].candles[j].open_time_ms;
            let all: Vec<f64> = ranked
                .iter()
                .filter_map(|(i, _)| {
                    let at = self.coins[*i].candles.iter().position(|c| c.open_time_ms == open)?;
                    (at > 0).then(|| own_return(*i, at))
                })
                .collect();
            largest = all.iter().fold(largest, |most, r| most.max(r.abs()));
            x.push(all.iter().sum::<f64>() / all.len() as f64);
            y.push(own_return(coin, j));
        }
        self.slope(&x, &y, largest)
    }
}

pub(super) fn capped(x: &[f64], cap: f64) -> Vec<f64> {
    let mut x = x.to_vec();
    for sign in [1.0, -1.0] {
        let mut fixed: Vec<usize> = Vec::new();
        loop {
            let over: Vec<usize> = (0..x.len()).filter(|i| sign * x[*i] > cap).collect();
            if over.is_empty() {
                break;
            }
            let excess: f64 = over.iter().map(|i| sign * x[*i] - cap).sum();
            over.iter().for_each(|i| x[*i] = sign * cap);
            fixed.extend(&over);
            let rest: Vec<usize> = (0..x.len()).filter(|i| sign * x[*i] > 0.0 && !fixed.contains(i)).collect();
            let total: f64 = rest.iter().map(|i| sign * x[*i]).sum();
            if rest.is_empty() {
                break;
            }
            rest.iter().for_each(|i| x[*i] += x[*i] / total * excess);
        }
    }
    x
}
