//! When evidence that grows may reach what is needed: an expectation with a band, for people. Decides nothing.
//!
//! **Model.** ln E gained g in D days. It goes on as a Brownian motion of drift m = g / D and variance 2 m a day: what the
//! logarithm of a growth-optimal bettor's capital does, whatever the bets (Kelly, 1956: a drift of half the variance). The
//! drift itself is known from D days alone, so that after T more days the gain has mean m T and variance 2 m T (1 + T / D).
//!
//! **Assumption.** The edge stays what it was on average. One that fades takes longer than any band says.

/// Longest time that is told of, days: beyond it nothing can be said.
const LONGEST_DAYS: f64 = 3_650.0;
/// Standard normal quantile of 0.9: the band holds 8 of 10.
const Z: f64 = 1.281_551_565_544_600_4;

/// Days until something is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// By mean growth; `None` where it does not grow, or not within ten years.
    pub expected_days: Option<f64>,
    /// Before it in one case of ten.
    pub early_days: Option<f64>,
    /// After it in one case of ten; `None` where it may never be.
    pub late_days: Option<f64>,
}

/// How long ln E takes to grow by `missing` when it grew by `gained` in `days`. Nothing is missing: 0.
#[must_use]
pub fn forecast(missing: f64, gained: f64, days: f64) -> Forecast {
    let of = |days: Option<f64>| days.filter(|d| *d <= LONGEST_DAYS);
    if missing <= 0.0 {
        return Forecast { expected_days: Some(0.0), early_days: Some(0.0), late_days: Some(0.0) };
    }
    let drift = gained / days;
    if !(drift > 0.0 && drift.is_finite() && missing.is_finite()) {
        return Forecast { expected_days: None, early_days: None, late_days: None };
    }
    // What is reached after so many days with the quantile z: increasing for z above 0, convex from 0 for z below it, so
    // that each crosses `missing` once.
    let reached = |z: f64, t: f64| drift * t + z * (2.0 * drift * t * (1.0 + t / days)).sqrt();
    let crossing = |z: f64| {
        let (mut low, mut high) = (0.0, LONGEST_DAYS);
        if reached(z, high) < missing {
            return None;
        }
        for _ in 0..64 {
            let middle = 0.5 * (low + high);
            if reached(z, middle) < missing { low = middle } else { high = middle }
        }
        Some(high)
    };
    Forecast { expected_days: of(Some(missing / drift)), early_days: crossing(Z), late_days: crossing(-Z) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genome::random::Seed;
    use rand::RngExt as _;
    use rand_distr::StandardNormal;

    #[test]
    fn the_band_holds_what_the_model_does() {
        // 2.4 of ln E in 60 days, 2.0 to go: the mean says 50 days.
        let told = forecast(2.0, 2.4, 60.0);
        assert_eq!(told.expected_days, Some(50.0));
        let (early, late) = (told.early_days.unwrap(), told.late_days);
        assert!(early < 50.0, "{early}");
        assert!(late.is_none_or(|late| late > 50.0), "{late:?}");
        // At the early day one path of ten is there, drifts being drawn from what 60 days say of them.
        let mut rng = Seed(5).stream("forecast", 0);
        let (drift, n) = (0.04, 20_000);
        let there = (0..n).filter(|_| {
            let (a, b): (f64, f64) = (rng.sample(StandardNormal), rng.sample(StandardNormal));
            let own = drift + a * (2.0 * drift / 60.0_f64).sqrt();
            own * early + b * (2.0 * drift * early).sqrt() >= 2.0
        });
        let share = there.count() as f64 / f64::from(n);
        assert!((share - 0.1).abs() < 0.01, "{share}");
    }

    #[test]
    fn a_strong_edge_has_a_late_day_and_a_weak_one_may_never_get_there() {
        let strong = forecast(3.0, 40.0, 90.0);
        assert!(strong.early_days.unwrap() < strong.expected_days.unwrap());
        assert!(strong.expected_days.unwrap() < strong.late_days.unwrap());
        assert_eq!(forecast(3.0, 0.5, 90.0).late_days, None);
        assert_eq!(forecast(3.0, -0.5, 90.0), Forecast { expected_days: None, early_days: None, late_days: None });
        assert_eq!(forecast(3.0, 0.5, 0.0).expected_days, None, "nothing was seen yet");
        assert_eq!(forecast(-1.0, -0.5, 90.0).expected_days, Some(0.0));
        assert_eq!(forecast(1e6, 1.0, 90.0).expected_days, None, "beyond ten years nothing is told");
    }
}
