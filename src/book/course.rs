//! What becomes of a book day by day: shadow, live by its proof, and out again when its edge goes. A function of its days
//! alone, so that whoever follows a book and whoever replays one come to the same.
//!
//! Live, its daily steps (hedged returns in units of the deviation before) are asked by the detectors that strategies have
//! ([`lifecycle::EdgeDecayDetectors`]); what they expect is what all steps before showed. An alarm is the end of a pipeline.
//!
//! Stores nothing, and knows no operator.

use crate::{BookConfig, DayFigures, Proof, requirements, wealth::IDLE_DAYS};
use candles::time::DAY_MS;
use genome::random::Seed;
use lifecycle::{EdgeDecayConfig, EdgeDecayDetectors, EdgeDecayLevel, EdgeDecayVerdict};

/// By what a course is decided.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// What going live needs.
    pub book: &'a BookConfig,
    /// What ends it.
    pub decay: &'a EdgeDecayConfig,
    /// Which pipeline of its daemon it is, from 1.
    pub pipeline: u32,
    /// When its life began, UTC ms: days before are history.
    pub began_ms: i64,
    /// Of the detectors' control limits.
    pub seed: Seed,
}

/// What became of a book.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Course {
    /// 00:00 UTC at the end of the day by which it went live, ms.
    pub live_ms: Option<i64>,
    /// The same of the day that ended it.
    pub left_ms: Option<i64>,
    /// What the detectors say, of the newest day or of the one that ended it; `None` before it is live.
    pub decay: Option<EdgeDecayVerdict>,
}

/// Follows a book over its days, in order. `placebo` are those of the same pipeline on a null market, as far as they are known;
/// `None` where none is walked.
#[must_use]
pub fn course(days: &[DayFigures], placebo: Option<&[DayFigures]>, rules: Rules<'_>) -> Course {
    let first = days.partition_point(|day| day.day_ms < rules.began_ms);
    let went_live = (first..days.len()).find(|&last| {
        let known = |of: &[DayFigures]| of.partition_point(|day| day.day_ms <= days[last].day_ms);
        let book = Proof::of(&days[..=last], rules.began_ms);
        let placebo = placebo.map(|placebo| Proof::of(&placebo[..known(placebo)], rules.began_ms));
        // Nothing is told apart from a placebo that is not walked so far.
        let whole = placebo.is_none_or(|placebo| placebo.days == book.days);
        whole && requirements(rules.book, rules.pipeline, &book, placebo.as_ref()).iter().all(|check| check.passed)
    });
    let Some(live) = went_live else { return Course::default() };
    let live_ms = days[live].day_ms + DAY_MS;
    let step = |day: &DayFigures| day.bet_step;
    let expected: Vec<f64> = days[..=live].iter().skip(IDLE_DAYS).map(step).collect();
    let detectors =
        EdgeDecayDetectors::calibrate(&expected, rules.decay, rules.seed.child("decay", live_ms.cast_unsigned()));
    let steps: Vec<f64> = days[live + 1..].iter().map(step).collect();
    let mut course = Course { live_ms: Some(live_ms), ..Course::default() };
    for known in 0..=steps.len() {
        let verdict = detectors.judge(&steps[..known]);
        let alarm = verdict.level == EdgeDecayLevel::Alarm;
        course.decay = Some(verdict);
        if alarm {
            course.left_ms = Some(days[live + known].day_ms + DAY_MS);
            break;
        }
    }
    course
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bets;

    fn days(returns: &[f64]) -> Vec<DayFigures> {
        DayFigures::of_hedged(returns, &bets(returns))
    }

    #[test]
    fn it_goes_live_and_leaves_and_a_longer_record_changes_nothing_of_it() {
        let (book, decay) = (
            BookConfig { life_min_days: 20, ..BookConfig::default() },
            EdgeDecayConfig { paths: 300, ..EdgeDecayConfig::default() },
        );
        let rules = Rules { book: &book, decay: &decay, pipeline: 1, began_ms: 300 * DAY_MS, seed: Seed(1) };
        let good = |n: u32| if n.wrapping_mul(2_654_435_761) >> 28 < 5 { -0.01 } else { 0.01 };
        let returns: Vec<f64> = (0..900).map(|n| if n < 500 { good(n) } else { -good(n) }).collect();
        let all = days(&returns);
        let whole = course(&all, None, rules);
        let (live, left) = (whole.live_ms.unwrap() / DAY_MS, whole.left_ms.unwrap() / DAY_MS);
        assert!((320..400).contains(&live) && (505..700).contains(&left), "{live} {left}");
        assert_eq!(whole.decay.as_ref().unwrap().level, EdgeDecayLevel::Alarm);
        for days in [live - 1, live, left - 1, left, left + 50] {
            let cut = course(&all[..days as usize], None, rules);
            assert_eq!(cut.live_ms.is_some(), days >= live, "{days}");
            assert_eq!(cut.left_ms.is_some(), days >= left, "{days}");
            assert!(cut.live_ms.is_none() || cut.live_ms == whole.live_ms);
        }
        // With a placebo that is as good, or that is not known yet, it never is.
        assert_eq!(course(&all, Some(&all), rules), Course::default());
        assert_eq!(course(&all, Some(&all[..10]), rules), Course::default());
        let nothing = days(&vec![0.0; 900]);
        assert_eq!(course(&all, Some(&nothing), rules), whole);
        assert_eq!(course(&[], None, rules), Course::default());
    }
}
