//! What a walk comes to: days with their hedge and bets, and the figures that are told of them. Judges nothing.

use crate::{Bet, Day, Walk, bets, bets_at_risk, log_e};
use candles::time::DAY_MS;
use chrono::DateTime;
use engine::performance;
use portfolio::{Benchmark, hedge};
use serde::Serialize;
use std::fmt::Write as _;

/// A day as it is told, from which others can compute the rest again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DayFigures {
    /// 00:00 UTC at its beginning, ms.
    pub day_ms: i64,
    /// Return of the book after costs.
    pub net: f64,
    /// Of the market; `None` where it has none.
    pub benchmark: Option<f64>,
    /// `net` less beta x benchmark.
    pub hedged: f64,
    /// `hedged` over the deviation before.
    pub step: f64,
    /// Logarithm of the wealth at its end; `None` once all is lost.
    pub log_e: Option<f64>,
    /// Of the bet that decides what becomes of a book: `hedged` over the deviation of days before on which it held something;
    /// 0 on days on which it does not, and on the first 60 on which it does.
    pub bet_step: f64,
    /// Logarithm of its wealth at the day's end; `None` once all is lost.
    pub bet_log_e: Option<f64>,
}

/// What is told of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Annual Sharpe ratio of net daily returns.
    pub net_sharpe: Option<f64>,
    /// Of hedged ones.
    pub hedged_sharpe: Option<f64>,
    /// Logarithm of the wealth at the end; `None` once all is lost.
    pub log_e: Option<f64>,
    /// Its maximum.
    pub max_log_e: f64,
    /// (last equity / first)^(365 / days) - 1.
    pub cagr: Option<f64>,
    /// Most negative equity / running peak - 1 on candle closes.
    pub max_drawdown: Option<f64>,
    /// Sum of what was traded over equity, both sides, a day.
    pub turnover_per_day: Option<f64>,
    /// Blocks.
    pub blocks: usize,
    /// Mean number of members; a block in cash has none.
    pub members_mean: Option<f64>,
}

impl DayFigures {
    /// Of days one after another, with their hedge and bets.
    #[must_use]
    pub fn of(days: &[Day]) -> Vec<Self> {
        let net: Vec<f64> = days.iter().map(|day| day.net).collect();
        let benchmark = Benchmark { daily_returns: days.iter().map(|day| day.benchmark).collect() };
        let hedged = hedge(days.first().map_or(0, |day| day.day_ms), &net, &benchmark);
        let returns: Vec<f64> = hedged.iter().map(|day| day.hedged).collect();
        let at_risk: Vec<bool> = days.iter().map(|day| day.at_risk).collect();
        let told = |(day, (told, decides)): (&portfolio::Hedged, (Bet, Bet))| Self {
            day_ms: day.day_ms,
            net: day.net,
            benchmark: day.benchmark,
            hedged: day.hedged,
            step: told.step,
            log_e: told.log_e,
            bet_step: decides.step,
            bet_log_e: decides.log_e,
        };
        let decides = bets_at_risk(&returns, &at_risk);
        hedged.iter().zip(bets(&returns).into_iter().zip(decides)).map(told).collect()
    }

    /// Of hedged returns alone, at risk each day from the first of 1970 on, with their bets: a book that has no market beside it.
    pub(crate) fn of_hedged(returns: &[f64], bets: &[Bet]) -> Vec<Self> {
        let day = |(n, (hedged, bet)): (i64, (&f64, &Bet))| Self {
            day_ms: n * DAY_MS,
            net: *hedged,
            benchmark: Some(0.0),
            hedged: *hedged,
            step: bet.step,
            log_e: bet.log_e,
            bet_step: bet.step,
            bet_log_e: bet.log_e,
        };
        (0..).zip(returns.iter().zip(bets)).map(day).collect()
    }

    /// `date,net,benchmark,hedged,step,log_e`, a line a day; what is undefined is left empty.
    #[must_use]
    pub fn csv(days: &[Self]) -> String {
        let mut text = String::from("date,net,benchmark,hedged,step,log_e\n");
        let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        for day in days {
            let date = DateTime::from_timestamp_millis(day.day_ms).unwrap_or_default().date_naive();
            let (benchmark, log_e) = (number(day.benchmark), number(day.log_e));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{date},{},{benchmark},{},{},{log_e}", day.net, day.hedged, day.step);
        }
        text
    }
}

impl Walk {
    /// Its days so far.
    #[must_use]
    pub fn day_figures(&self) -> Vec<DayFigures> {
        DayFigures::of(&self.days().copied().collect::<Vec<_>>())
    }

    /// What it came to so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let days = self.day_figures();
        let (net, hedged): (Vec<f64>, Vec<f64>) = days.iter().map(|day| (day.net, day.hedged)).unzip();
        let (log_e, max_log_e) = log_e(&bets(&hedged));
        let last = net.iter().fold(1.0, |equity, net| equity * (1.0 + net));
        let count = net.len() as f64;
        let members: Vec<f64> = self.blocks().iter().map(|block| block.members.len() as f64).collect();
        let turnover: f64 = self.blocks().iter().map(|block| block.turnover).sum();
        Figures {
            net_sharpe: performance::sharpe_ratio(&net),
            hedged_sharpe: performance::sharpe_ratio(&hedged),
            log_e,
            max_log_e,
            cagr: if net.len() < 2 { None } else { performance::cagr(1.0, last, count) },
            max_drawdown: self.blocks().last().and_then(|block| block.max_drawdown),
            turnover_per_day: Some(turnover / count).filter(|turnover| turnover.is_finite()),
            blocks: self.blocks().len(),
            members_mean: performance::mean(&members),
        }
    }
}
