//! From scores to target weights at one candle (definitions, section 7.4), before they are smoothed. Pure numbers.

use crate::across;
use engine::{Wide, widest};
use genome::{Across, Form, Weights};
use std::cmp::Ordering;

/// Smaller than this share of the largest is nothing but rounding.
pub(crate) const ROUNDING: f64 = 1e-12;

/// What weights are made of: one value a name, names in byte order.
pub(crate) struct Ranked<'a> {
    /// Scores, all defined.
    pub(crate) scores: &'a [f64],
    /// Realised volatilities, all above 0, where they are needed.
    pub(crate) volatilities: Option<&'a [f64]>,
    /// Slopes on the members' mean return, where they are needed; NaN where a name has none.
    pub(crate) betas: Option<&'a [f64]>,
}

/// Room for the weights of one rebalance after another.
#[derive(Debug, Default)]
pub(crate) struct Weighing {
    x: Vec<f64>,
    capped: Vec<bool>,
}

/// The target weights: fractions of equity, negative for short. All 0 for fewer than two names.
pub(crate) fn target<'w>(weights: &Weights, gross: f64, ranked: &Ranked<'_>, room: &'w mut Weighing) -> &'w [f64] {
    let Weighing { x, capped } = room;
    x.clear();
    let n = ranked.scores.len();
    if n < 2 {
        x.resize(n, 0.0);
        return x;
    }
    match weights.form {
        Form::Linear => {
            x.extend_from_slice(ranked.scores);
            across::apply(Across::Rank, x);
            x.iter_mut().for_each(|rank| *rank -= 0.5);
        }
        Form::TopBottom { top_pct, bottom_pct } => {
            top_bottom(ranked.scores, top_pct.get(), bottom_pct.map(genome::Number::get), x);
        }
    }
    if let Some(volatilities) = ranked.volatilities {
        x.iter_mut().zip(volatilities).for_each(|(x, volatility)| *x /= volatility);
    }
    if weights.form == Form::Linear && !weights.long_only {
        let mean = across::mean(x);
        let least = ROUNDING * x.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        // A name in the middle holds nothing; what rounding leaves of it is no position.
        x.iter_mut().for_each(|x| *x = if (*x - mean).abs() <= least { 0.0 } else { *x - mean });
    }
    let leg = if weights.long_only { gross } else { gross / 2.0 };
    let scale = |x: &mut [f64]| {
        if weights.long_only {
            x.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        widest(Legs { x, leg });
    };
    scale(x);
    if let Some(cap) = weights.cap {
        for sign in [1.0, -1.0] {
            cap_leg(x, sign, cap.get(), capped);
        }
    }
    if let Some(betas) = ranked.betas {
        take_off_beta(x, betas);
        scale(x);
    }
    x
}

/// 1 for the best, -1 for the worst, 0 for the others; a name in both is at the bottom. Equal scores stay in the order of
/// names. 0 and -0 are equal, and all scores are defined.
fn top_bottom(scores: &[f64], top_pct: f64, bottom_pct: Option<f64>, x: &mut Vec<f64>) {
    let n = scores.len();
    let count = |pct: f64| ((pct * n as f64 / 100.0).floor() as usize).clamp(1, n);
    let (top, bottom) = (count(top_pct), bottom_pct.map_or(0, count));
    let of_place = |place: usize| match place {
        place if place >= n - bottom => -1.0,
        place if place < top => 1.0,
        _ => 0.0,
    };
    x.resize(n, 0.0);
    if let Some(places) = across::places(scores, &mut [0; across::MOST_COMPARED]) {
        x.iter_mut().zip(places).for_each(|(x, place)| *x = of_place(*place as usize));
        return;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| scores[*b].partial_cmp(&scores[*a]).unwrap_or(Ordering::Equal));
    order.iter().enumerate().for_each(|(place, i)| x[*i] = of_place(place));
}

/// Scales the positive and the negative weights each to a sum of `leg`. An empty leg stays empty.
struct Legs<'a> {
    x: &'a mut [f64],
    leg: f64,
}

impl Wide for Legs<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        // Without a branch a weight: which leg it is of no processor guesses.
        let (mut long, mut short) = (0.0, 0.0);
        for &x in &*self.x {
            let is_long = x > 0.0;
            long += if is_long { x } else { 0.0 };
            short -= if is_long { 0.0 } else { x };
        }
        for x in self.x {
            let sum = if *x > 0.0 { long } else { short };
            let scaled = *x / sum * self.leg;
            *x = if *x == 0.0 || sum == 0.0 { 0.0 } else { scaled };
        }
    }
}

/// What a weight of the leg has above `cap` goes to the rest of the leg in proportion, until none has more; if none is
/// left to take it, the leg is smaller.
fn cap_leg(x: &mut [f64], sign: f64, cap: f64, capped: &mut Vec<bool>) {
    capped.clear();
    capped.resize(x.len(), false);
    loop {
        let mut excess = 0.0;
        for (x, capped) in x.iter_mut().zip(&mut *capped) {
            if sign * *x > cap {
                excess += sign * *x - cap;
                (*x, *capped) = (sign * cap, true);
            }
        }
        let free = |x: f64, capped: bool| sign * x > 0.0 && !capped;
        let rest: f64 = x.iter().zip(&*capped).filter(|(x, c)| free(**x, **c)).map(|(x, _)| sign * x).sum();
        if excess == 0.0 || rest == 0.0 {
            return;
        }
        for (x, capped) in x.iter_mut().zip(&*capped) {
            if free(*x, *capped) {
                *x += *x / rest * excess;
            }
        }
    }
}

/// w - b (w.b) / (b.b) over the names held. A name without a slope counts as 0.
fn take_off_beta(x: &mut [f64], betas: &[f64]) {
    let (mut exposure, mut square) = (0.0, 0.0);
    for (x, b) in x.iter().zip(betas).filter(|(x, b)| **x != 0.0 && !b.is_nan()) {
        exposure += x * b;
        square += b * b;
    }
    if square > 0.0 {
        for (x, b) in x.iter_mut().zip(betas).filter(|(x, b)| **x != 0.0 && !b.is_nan()) {
            *x -= b * exposure / square;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genome::Number;
    use proptest::prelude::*;

    fn of(weights: &Weights, scores: &[f64]) -> Vec<f64> {
        target(weights, 1.0, &Ranked { scores, volatilities: None, betas: None }, &mut Weighing::default()).to_vec()
    }

    fn same(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-12, "{found:?} instead of {expected:?}");
        }
    }

    fn shares(top: f64, bottom: Option<f64>) -> Weights {
        let form = Form::TopBottom { top_pct: Number::literal(top), bottom_pct: bottom.map(Number::literal) };
        Weights { long_only: bottom.is_none(), ..Weights::of(form) }
    }

    #[test]
    fn linear_weights_by_hand() {
        let linear = Weights::of(Form::Linear);
        same(&of(&linear, &[3.0, 1.0, 2.0]), &[0.5, -0.5, 0.0]);
        same(&of(&linear, &[1.0]), &[0.0]);
        same(&of(&linear, &[2.0, 2.0]), &[0.0, 0.0]);
        let long = Weights { long_only: true, ..linear };
        same(&of(&long, &[3.0, 1.0, 2.0]), &[1.0, 0.0, 0.0]);
        // Divided by volatility, the mean taken off, each leg scaled: x = 0.5, -0.25, 0; mean 1/12.
        let ranked = Ranked { scores: &[3.0, 1.0, 2.0], volatilities: Some(&[1.0, 2.0, 1.0]), betas: None };
        same(target(&linear, 1.0, &ranked, &mut Weighing::default()), &[0.5, -0.4, -0.1]);
    }

    #[test]
    fn shares_round_down_but_not_to_none_and_the_bottom_wins() {
        same(&of(&shares(34.0, Some(34.0)), &[1.0, 2.0, 3.0]), &[-0.5, 0.0, 0.5]);
        same(&of(&shares(1.0, Some(50.0)), &[4.0, 3.0, 2.0, 1.0]), &[0.5, 0.0, -0.25, -0.25]);
        same(&of(&shares(100.0, Some(50.0)), &[2.0, 1.0]), &[0.5, -0.5]);
        same(&of(&shares(50.0, None), &[5.0, 5.0, 5.0]), &[1.0, 0.0, 0.0]);
        same(&of(&shares(50.0, None), &[-0.0, 0.0]), &[1.0, 0.0]);
    }

    #[test]
    fn a_cap_moves_weight_within_its_leg() {
        let capped = |cap: f64, x: &[f64]| {
            let mut x = x.to_vec();
            cap_leg(&mut x, 1.0, cap, &mut Vec::new());
            x
        };
        // 0.2 of excess goes 3 to 1 to the rest, which lifts the second above the cap in turn.
        same(&capped(0.3, &[0.5, 0.15, 0.05, -0.7]), &[0.3, 0.3, 0.1, -0.7]);
        same(&capped(0.3, &[0.5, 0.24, 0.06]), &[0.3, 0.3, 0.2]);
        same(&capped(0.1, &[0.5, 0.5]), &[0.1, 0.1]);
    }

    #[test]
    fn a_neutral_portfolio_has_no_beta_before_its_legs_are_scaled() {
        let mut x = [0.5, -0.25, -0.25, 0.0];
        take_off_beta(&mut x, &[2.0, 1.0, f64::NAN, 5.0]);
        // w.b = 0.75, b.b = 5.
        same(&x, &[0.5 - 0.3, -0.25 - 0.15, -0.25, 0.0]);
    }

    proptest! {
        #[test]
        fn legs_scale_as_one_after_another_would(
            weights in proptest::collection::vec(prop_oneof![-1.0..1.0_f64, Just(0.0), Just(-0.0), Just(f64::INFINITY)], 0..70)
        ) {
            let mut found = weights.clone();
            widest(Legs { x: &mut found, leg: 0.7 });
            let (mut long, mut short) = (0.0, 0.0);
            for x in &weights {
                if *x > 0.0 { long += x } else { short -= x }
            }
            for (found, x) in found.iter().zip(&weights) {
                let sum = if *x > 0.0 { long } else { short };
                let plain = if *x == 0.0 || sum == 0.0 { 0.0 } else { x / sum * 0.7 };
                prop_assert!(found.to_bits() == plain.to_bits() || (found.is_nan() && plain.is_nan()));
            }
        }
    }
}
