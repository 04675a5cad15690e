//! Single requirements on evidence: each function gives one check with its name, its limit and what there was.
//!
//! Never decides: a gate lists the checks that it wants and says what follows when one is not met.

use super::{Check, PaperEvidence, Thresholds};
use engine::Performance;

pub(super) fn at_least(name: impl Into<String>, least: f64, had: Option<f64>) -> Check {
    let passed = had.is_some_and(|value| value >= least);
    Check { name: name.into(), needed: format!(">= {least}"), had, passed }
}

pub(super) fn total_trades(window: &str, least: u32, p: &Performance) -> Check {
    at_least(format!("{window}.total_trades"), f64::from(least), Some(f64::from(p.total_trades)))
}

pub(super) fn sharpe_ratio(t: &Thresholds, window: &str, p: &Performance) -> Check {
    at_least(format!("{window}.sharpe_ratio"), t.min_sharpe_ratio, p.sharpe_ratio)
}

pub(super) fn profit_factor(t: &Thresholds, window: &str, least: f64, p: &Performance) -> Check {
    Check {
        name: format!("{window}.profit_factor"),
        needed: format!(">= {least}, or no loss in {} wins", t.lossless_min_winning_trades),
        had: p.profit_factor,
        passed: profit_factor_reaches(t, p, least),
    }
}

fn profit_factor_reaches(t: &Thresholds, p: &Performance, least: f64) -> bool {
    match p.profit_factor {
        Some(value) => value >= least,
        None => {
            let wins = (p.win_rate.unwrap_or(0.0) * f64::from(p.total_trades)).round();
            wins >= f64::from(t.lossless_min_winning_trades) && p.total_return.is_some_and(|r| r > 0.0)
        }
    }
}

pub(super) fn win_rate(t: &Thresholds, window: &str, p: &Performance) -> Check {
    let had = p.win_rate.map(|rate| 100.0 * rate);
    let waived = profit_factor_reaches(t, p, t.win_rate_waiver_profit_factor);
    Check {
        name: format!("{window}.win_rate_percent"),
        needed: format!(">= {}, or profit factor >= {}", t.min_win_rate_percent, t.win_rate_waiver_profit_factor),
        had,
        passed: waived || had.is_some_and(|rate| rate >= t.min_win_rate_percent),
    }
}

pub(super) fn drawdown(t: &Thresholds, window: &str, p: &Performance) -> Check {
    let had = drawdown_percent(p);
    Check {
        name: format!("{window}.max_drawdown_percent"),
        needed: format!("<= {}", t.max_drawdown_percent),
        had,
        passed: had.is_some_and(|value| value <= t.max_drawdown_percent),
    }
}

/// Drawdown as a positive percentage.
fn drawdown_percent(p: &Performance) -> Option<f64> {
    p.max_drawdown.map(|d| -100.0 * d + 0.0)
}

pub(super) fn shadow_days(t: &Thresholds, run: &PaperEvidence) -> Check {
    at_least("shadow.days", t.shadow_min_days, Some(run.days()))
}

pub(super) fn shadow_closed_trades(t: &Thresholds, run: &PaperEvidence) -> Check {
    at_least("shadow.closed_trades", f64::from(t.shadow_min_closed_trades), Some(f64::from(run.closed_trades)))
}

pub(super) fn shadow_profit_factor(t: &Thresholds, run: &PaperEvidence) -> Check {
    profit_factor(t, "shadow", t.shadow_min_profit_factor, &run.performance)
}

pub(super) fn shadow_drawdown(t: &Thresholds, run: &PaperEvidence) -> Check {
    drawdown(t, "shadow", &run.performance)
}

/// Whether a shadow run lost more than any may: by a drawdown that was measured.
pub(super) fn is_broken(t: &Thresholds, run: &PaperEvidence) -> bool {
    drawdown_percent(&run.performance).is_some_and(|d| d > t.max_drawdown_percent)
}

/// Not met by a run that loses on enough trades to be sure.
pub(super) fn shadow_profit_factor_floor(t: &Thresholds, run: &PaperEvidence) -> Check {
    let (had, enough) = (run.performance.profit_factor, run.closed_trades >= t.shadow_fail_min_closed_trades);
    Check {
        name: "shadow.profit_factor_floor".into(),
        needed: format!(">= {} from {} trades", t.shadow_fail_profit_factor, t.shadow_fail_min_closed_trades),
        had,
        passed: !(enough && had.is_some_and(|f| f < t.shadow_fail_profit_factor)),
    }
}

/// Not met by a run that has had its time; `proven` is whether the other requirements are met.
pub(super) fn shadow_days_left(t: &Thresholds, run: &PaperEvidence, proven: bool) -> Check {
    let (days, most) = (run.days(), t.shadow_max_days);
    Check {
        name: "shadow.days_left".into(),
        needed: format!("> 0 of {most} days, or all of the above"),
        had: Some(most - days),
        passed: proven || days < most,
    }
}

/// Not met by a run that has fallen so far that the strategy is disabled.
pub(super) fn live_max_drawdown(t: &Thresholds, run: &PaperEvidence) -> Check {
    let most = t.live_max_drawdown_percent;
    live_fall("live.max_drawdown_percent", format!("<= {most} to stay enabled"), most, run)
}

/// Not met by a run that has fallen so far that the strategy is demoted.
pub(super) fn live_drawdown(t: &Thresholds, run: &PaperEvidence) -> Check {
    let most = t.live_demote_drawdown_percent;
    live_fall("live.drawdown_percent", format!("<= {most} to stay live"), most, run)
}

fn live_fall(name: &str, needed: String, most_percent: f64, run: &PaperEvidence) -> Check {
    let had = drawdown_percent(&run.performance);
    Check { name: name.into(), needed, had, passed: !had.is_some_and(|d| d > most_percent) }
}

/// Not met by a run whose newest trades lose; not applied before there are enough of them.
pub(super) fn live_recent_profit_factor(t: &Thresholds, run: &PaperEvidence) -> Check {
    let recent = run.recent.as_ref().filter(|r| r.trades >= t.live_recent_trades);
    let had = recent.and_then(|r| r.profit_factor);
    Check {
        name: "live.recent_profit_factor".into(),
        needed: format!(">= {} over {} trades", t.live_min_recent_profit_factor, t.live_recent_trades),
        had,
        passed: !had.is_some_and(|f| f < t.live_min_recent_profit_factor),
    }
}

/// Not met by a strategy that has had its last chance.
pub(super) fn live_demotions(t: &Thresholds, demotions: u32) -> Check {
    Check {
        name: "live.demotions".into(),
        needed: format!("< {} to be demoted rather than disabled", t.max_demotions),
        had: Some(f64::from(demotions)),
        passed: demotions < t.max_demotions,
    }
}
