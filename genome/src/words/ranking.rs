//! Ranking strategies in plain English.

use super::round;
use crate::{Form, Number, Ranking, Universe, Weights};
use std::fmt::Write;

/// Sentences that say what the strategy does, separated by newlines: what it looks at, what it holds, how it trades.
#[must_use]
pub fn describe_ranking(ranking: &Ranking) -> String {
    let Ranking { timeframe, universe, score, rebalance, weights, gross } = ranking;
    let clock = if timeframe == rebalance {
        format!("Decides at the close of every {timeframe} candle.")
    } else {
        format!("Decides at the close of every {rebalance} candle, on candles of {timeframe}.")
    };
    let mut out = format!("{clock}\nLooks at {}.\nRanks them by {score}, the greatest first.\n", members(universe));
    out.push_str(&holdings(weights, *gross));
    out
}

/// The instruments of a universe.
pub(super) fn members(universe: &Universe) -> String {
    let Universe { top, volume_days, listed_days } = universe;
    let days = |n: u32| if n == 1 { "day".to_owned() } else { format!("{n} days") };
    let mut out = format!("the {top} instruments with the greatest quote volume of the last {}", days(*volume_days));
    if *listed_days > 0 {
        let _ = write!(
            out,
            " among those listed for at least {} {}",
            listed_days,
            if *listed_days == 1 { "day" } else { "days" }
        );
    }
    out
}

fn percent(fraction: Number) -> f64 {
    round(fraction.get() * 100.0)
}

fn holdings(weights: &Weights, gross: Number) -> String {
    let long_only = weights.long_only;
    let mut out = match weights.form {
        Form::Linear if long_only => "Buys the better half, more of what ranks higher".to_owned(),
        Form::Linear => {
            "Buys the better half and sells the worse half short, more of what is farther from the middle".to_owned()
        }
        Form::TopBottom { top_pct, bottom_pct } => {
            let mut text = format!("Buys the best {top_pct}%");
            match bottom_pct {
                Some(share) if long_only => {
                    let _ = write!(text, " that are not among the worst {share}%");
                }
                Some(share) => {
                    let _ = write!(text, " and sells the worst {share}% short");
                }
                None => {}
            }
            text
        }
    };
    match weights.inverse_volatility {
        Some(returns) => {
            let _ = write!(out, ", each in inverse proportion to its realised volatility over {returns} returns.");
        }
        None if weights.form == Form::Linear => out.push('.'),
        None => out.push_str(", each with the same weight."),
    }
    if long_only {
        let _ = write!(out, " The weights add up to {gross} times equity, all long.");
    } else {
        let _ = write!(out, " The weights add up to {gross} times equity, half of it long and half short.");
    }
    if let Some(cap) = weights.cap {
        let _ = write!(out, " No weight is above {}% of equity.", percent(cap));
    }
    if let Some(returns) = weights.beta_neutral {
        let _ = write!(out, " The exposure to the mean return of the members, over {returns} returns, is taken off.");
    }
    if weights.smooth > 1 {
        let _ = write!(out, "\nHolds the mean of the weights of the last {} decisions.", weights.smooth);
    }
    if let Some(band) = weights.band {
        let _ = write!(out, "\nLeaves alone what is nearer to its weight than {}% of equity.", percent(band));
    }
    out
}
