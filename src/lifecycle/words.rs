//! Names of requirements and figures in the field's standard terms, for pages, messages, reports and commands alike.
//!
//! Names in stored checks stay as they are. Knows no check.

/// Names that are not a period and a figure.
const WHOLE: [(&str, &str); 17] = [
    ("protocol.test", "Test bought (level)"),
    ("protocol.e_value", "Out-of-sample E (hold-out and shadow)"),
    ("search.p_value", "Search p-value"),
    ("shadow.growth", "Shadow E after growth time"),
    ("shadow.days_left", "Days of shadow left"),
    ("live.max_drawdown_percent", "Live drawdown before disabling, %"),
    ("live.drawdown_percent", "Live drawdown before demotion, %"),
    ("live.demotions", "Demotions so far"),
    ("placebo.p_value", "Placebo control p-value"),
    ("staying.cusum", "CUSUM decay detector"),
    ("staying.drawdown", "Drawdown decay detector"),
    ("staying.e_detector", "E-detector of decay"),
    ("book.log_e", "ln E, history and life"),
    ("book.life_days", "Days of its life"),
    ("book.life_log_e", "ln E of its life alone"),
    ("book.log_e_above_placebo", "ln E above the placebo's"),
    ("placebo.max_log_e", "ln E of the placebo at its highest"),
];

/// Periods of a strategy's record.
const PERIODS: [(&str, &str); 5] = [
    ("backtest", "Backtest"),
    ("holdout", "Hold-out"),
    ("shadow", "Shadow"),
    ("live", "Live"),
    ("protocol", "Evidence"),
];

/// Figures that are not called what their words say.
const FIGURES: [(&str, &str); 7] = [
    ("e_value", "E"),
    ("total_trades", "trades"),
    ("sharpe_ratio", "Sharpe ratio"),
    ("win_rate_percent", "win rate, %"),
    ("max_drawdown_percent", "max drawdown, %"),
    ("profit_factor_floor", "profit factor (floor)"),
    ("closed_trades", "closed trades"),
];

fn word(table: &[(&str, &'static str)], key: &str) -> Option<&'static str> {
    table.iter().find(|(name, _)| *name == key).map(|(_, word)| *word)
}

/// What people call a requirement: `holdout.profit_factor` is `Hold-out profit factor`.
#[must_use]
pub fn requirement(name: &str) -> String {
    if let Some(words) = word(&WHOLE, name) {
        return words.to_owned();
    }
    let (period, figure) = name.split_once('.').unwrap_or((name, ""));
    let period = word(&PERIODS, period).map_or_else(|| period.replace('_', " "), str::to_owned);
    let figure = word(&FIGURES, figure).map_or_else(|| figure.replace('_', " "), str::to_owned);
    format!("{period} {figure}").trim_end().to_owned()
}

/// A figure for people: three digits that matter, none after the point that say nothing.
#[must_use]
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 {
        return format!("{value:.1e}");
    }
    let digits = if size >= 100.0 {
        0
    } else if size >= 10.0 {
        1
    } else if size >= 0.01 || size == 0.0 {
        2
    } else {
        4
    };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { text.as_str() };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// What a requirement asks for, with numbers as short as those beside it: `>= 21018.87627646658` is `>= 21019`.
#[must_use]
pub fn needed(text: &str) -> String {
    let short = |word: &str| {
        let is_long = word.split_once('.').is_some_and(|(_, decimals)| decimals.len() > 3);
        match word.parse::<f64>() {
            Ok(value) if is_long => figure(value),
            _ => word.to_owned(),
        }
    };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_have_names_that_people_know() {
        for (name, words) in [
            ("protocol.e_value", "Out-of-sample E (hold-out and shadow)"),
            ("holdout.e_value", "Hold-out E"),
            ("backtest.total_trades", "Backtest trades"),
            ("shadow.profit_factor", "Shadow profit factor"),
            ("holdout.max_drawdown_percent", "Hold-out max drawdown, %"),
            ("live.recent_profit_factor", "Live recent profit factor"),
            ("shadow", "Shadow"),
            ("of_later.some_thing", "of later some thing"),
        ] {
            assert_eq!(requirement(name), words);
        }
    }

    #[test]
    fn what_is_needed_is_short() {
        assert_eq!(needed(">= 21018.87627646658"), ">= 21019");
        assert_eq!(needed(">= 1.3, or > 1 with a shadow e-value >= 10"), ">= 1.3, or > 1 with a shadow e-value >= 10");
    }

    #[test]
    fn figures_are_short() {
        let told: Vec<String> =
            [0.0, -0.0, 0.0503, 0.0012, 5.8, 14.04, 118.4, 2.5e9, -26.13].map(figure).into_iter().collect();
        assert_eq!(told, ["0", "0", "0.05", "0.0012", "5.8", "14", "118", "2.5e9", "-26.1"]);
    }
}
