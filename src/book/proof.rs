//! What a book has shown, and what it needs to go live.
//!
//! A pipeline is one hypothesis: *this book earns nothing beyond its exposures*. Its wealth E (that of definitions, section
//! 8.4, but for days in cash: [`crate::bets_at_risk`]) runs over all days that it has traded, those of history and those since its life began, and reaches `min_e_value` by luck
//! with a chance of at most 1 / `min_e_value`, ever (Ville). Three more things are asked, which make that no greater:
//!
//! - **Life does not contradict**: wealth of the days since its life began alone is at least `life_min_e_value`, after at
//!   least `life_min_days`. Who chose the defaults knew the years before. For a book whose edge died as its life began that
//!   has a chance of at most 1 / `life_min_e_value`.
//! - **A placebo is worse**: wealth of the same pipeline on a null market of the same candles is below that of the book, and
//!   never reached what the book must reach.
//!
//! Another pipeline (other settings, another version of the program that may change a number) is another hypothesis: the
//! n-th of a daemon must reach n^2 times as much, so that all that ever follow go live by luck with a chance of at most
//! pi^2 / 6 / `min_e_value`.
//!
//! Decides about no state: the lifecycle does, by these checks.

use crate::{BookConfig, DayFigures, wealth};
use lifecycle::Check;
use serde::{Deserialize, Serialize};

/// Evidence at the end of a day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Days that were traded.
    pub days: u32,
    /// ln E of all of them; `None` once all is lost.
    pub log_e: Option<f64>,
    /// Its maximum.
    pub max_log_e: f64,
    /// ln E when life began.
    pub history_log_e: Option<f64>,
    /// Days since life began.
    pub life_days: u32,
    /// ln E of these alone.
    pub life_log_e: Option<f64>,
}

impl Proof {
    /// Of all days of a walk whose life began at a time, UTC ms.
    #[must_use]
    pub fn of(days: &[DayFigures], began_ms: i64) -> Self {
        let history = days.partition_point(|day| day.day_ms < began_ms);
        let steps: Vec<f64> = days[history..].iter().map(|day| day.bet_step).collect();
        let end = |days: &[DayFigures]| days.last().map_or(Some(0.0), |day| day.bet_log_e);
        let count = |days: usize| u32::try_from(days).unwrap_or(u32::MAX);
        Self {
            days: count(days.len()),
            log_e: end(days),
            max_log_e: days.iter().filter_map(|day| day.bet_log_e).fold(0.0, f64::max),
            history_log_e: end(&days[..history]),
            life_days: count(days.len() - history),
            life_log_e: wealth(&steps).last().map_or(Some(0.0), |bet| bet.log_e),
        }
    }
}

/// ln E that the n-th pipeline of a daemon must reach, n from 1.
#[must_use]
pub fn needed_log_e(config: &BookConfig, pipeline: u32) -> f64 {
    (config.min_e_value * f64::from(pipeline.max(1)).powi(2)).ln()
}

/// What the n-th pipeline needs to go live, and what there is. `placebo` is `None` where none is walked.
#[must_use]
pub fn requirements(config: &BookConfig, pipeline: u32, book: &Proof, placebo: Option<&Proof>) -> Vec<Check> {
    let needed = needed_log_e(config, pipeline);
    let at_least = |name: &str, least: f64, had: Option<f64>| Check {
        name: name.to_owned(),
        needed: format!(">= {least:.2}"),
        had,
        passed: had.is_some_and(|had| had >= least),
    };
    let mut checks = vec![
        at_least("book.log_e", needed, book.log_e),
        at_least("book.life_days", f64::from(config.life_min_days), Some(f64::from(book.life_days))),
        at_least("book.life_log_e", config.life_min_e_value.ln(), book.life_log_e),
    ];
    if let Some(placebo) = placebo {
        // A placebo that has lost all is as bad as can be.
        let ahead = book.log_e.map(|log_e| log_e - placebo.log_e.unwrap_or(f64::MIN));
        checks.push(Check {
            name: "book.log_e_above_placebo".to_owned(),
            needed: "> 0".to_owned(),
            had: ahead,
            passed: ahead.is_some_and(|ahead| ahead > 0.0),
        });
        checks.push(Check {
            name: "placebo.max_log_e".to_owned(),
            needed: format!("< {needed:.2}"),
            had: Some(placebo.max_log_e),
            passed: placebo.max_log_e < needed,
        });
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bets;
    use candles::time::DAY_MS;

    fn days(returns: &[f64]) -> Vec<DayFigures> {
        DayFigures::of_hedged(returns, &bets(returns))
    }

    /// 200 days of which most are good, then 60 that are as `later` says.
    fn book(later: f64) -> Proof {
        let day = |n: usize| if n.is_multiple_of(3) { -0.01 } else { 0.01 };
        let returns: Vec<f64> = (0..260).map(|n| if n < 200 { day(n) } else { later * day(n) }).collect();
        Proof::of(&days(&returns), 200 * DAY_MS)
    }

    fn failed(checks: &[Check]) -> Vec<&str> {
        checks.iter().filter(|c| !c.passed).map(|c| c.name.as_str()).collect()
    }

    #[test]
    fn what_is_missing_is_named() {
        let config = BookConfig { min_e_value: 5.0, life_min_e_value: 2.0, life_min_days: 30, ..BookConfig::default() };
        let (good, gone) = (book(1.0), book(-1.0));
        assert_eq!((good.days, good.life_days), (260, 60));
        assert!(good.log_e > good.history_log_e && good.life_log_e > Some(2.0_f64.ln()), "{good:?}");
        assert!(failed(&requirements(&config, 1, &good, None)).is_empty());
        assert_eq!(failed(&requirements(&config, 1, &gone, None)), ["book.log_e", "book.life_log_e"]);
        let early = Proof { life_days: 29, ..good };
        assert_eq!(failed(&requirements(&config, 1, &early, None)), ["book.life_days"]);
        // The thousandth pipeline needs a million times as much, and a placebo as good as the book forbids it all.
        assert_eq!(failed(&requirements(&config, 1_000, &good, None)), ["book.log_e"]);
        assert_eq!(
            failed(&requirements(&config, 1, &good, Some(&good))),
            ["book.log_e_above_placebo", "placebo.max_log_e"]
        );
        let bad = Proof { log_e: None, max_log_e: 0.1, ..gone };
        assert!(failed(&requirements(&config, 1, &good, Some(&bad))).is_empty());
        assert_eq!(failed(&requirements(&config, 1, &bad, Some(&bad)))[0], "book.log_e");
    }

    #[test]
    fn wealth_of_all_steps_is_that_of_the_days() {
        let returns: Vec<f64> = (0..150_u32).map(|n| f64::from(n % 7) * 0.01 - 0.028).collect();
        let days = days(&returns);
        let steps: Vec<f64> = days.iter().map(|day| day.bet_step).collect();
        let found: Vec<Option<f64>> = wealth(&steps).iter().map(|bet| bet.log_e).collect();
        assert_eq!(found, days.iter().map(|day| day.bet_log_e).collect::<Vec<_>>());
        let whole = Proof::of(&days, 0);
        assert_eq!((whole.life_log_e, whole.history_log_e, whole.life_days), (whole.log_e, Some(0.0), 150));
        assert_eq!(Proof::of(&[], 0).log_e, Some(0.0));
    }
}
