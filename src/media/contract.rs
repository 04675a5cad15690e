//! The strategy that existing clients expect of a video, in their words. Its meaning is that of `POST /strategies`.

use crate::Features;
use serde::Serialize;

/// A strategy as clients of the service write it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientStrategy {
    /// `Video_Strategy_` and the item's number.
    pub name: String,
    /// Joined by `and`.
    pub entry_rules: Vec<&'static str>,
    /// Joined by `or`.
    pub exit_rules: Vec<&'static str>,
    /// Always the same.
    pub risk_management: ClientRisk,
}

/// How much is put in, and where it ends; all fractions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClientRisk {
    /// Share of the capital in a position.
    pub position_size: f64,
    /// Distance of the stop below the fill.
    pub stop_loss_pct: f64,
    /// Distance of the target above the fill.
    pub take_profit_pct: f64,
}

/// What clients put in and where they end.
pub(crate) const RISK: ClientRisk = ClientRisk { position_size: 0.1, stop_loss_pct: 0.02, take_profit_pct: 0.06 };

/// The strategy that these features mean to clients.
///
/// Without any entry it is `default_entry`; where there is no stop either, nothing was found, and `default_exit` stands
/// beside the exits that are always there.
#[must_use]
pub fn client_strategy(media_item_id: i32, features: &Features) -> ClientStrategy {
    let found = |rules: &[(u8, &'static str)]| -> Vec<&'static str> {
        rules.iter().filter(|(flag, _)| *flag == 1).map(|(_, rule)| *rule).collect()
    };
    let mut entry_rules = found(&[
        (features.has_rsi, "RSI < 30"),
        (features.has_macd, "MACD_histogram > 0"),
        (features.has_breakout, "close > resistance"),
    ]);
    let mut exit_rules = found(&[(features.has_stop_loss, "stop_loss_hit")]);
    let nothing = entry_rules.is_empty() && exit_rules.is_empty();
    exit_rules.extend(["take_profit_hit", "RSI > 70"]);
    if entry_rules.is_empty() {
        entry_rules.push("default_entry");
    }
    if nothing {
        exit_rules.push("default_exit");
    }
    ClientStrategy { name: format!("Video_Strategy_{media_item_id}"), entry_rules, exit_rules, risk_management: RISK }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_become_the_rules_that_clients_expect() {
        let all = Features { has_rsi: 1, has_macd: 1, has_breakout: 1, has_stop_loss: 1, ..Features::default() };
        let strategy = client_strategy(42, &all);
        assert_eq!(
            serde_json::to_value(&strategy).unwrap(),
            serde_json::json!({
                "name": "Video_Strategy_42",
                "entry_rules": ["RSI < 30", "MACD_histogram > 0", "close > resistance"],
                "exit_rules": ["stop_loss_hit", "take_profit_hit", "RSI > 70"],
                "risk_management": { "position_size": 0.1, "stop_loss_pct": 0.02, "take_profit_pct": 0.06 },
            })
        );
        let one = client_strategy(1, &Features { has_macd: 1, ..Features::default() });
        assert_eq!(
            (one.entry_rules, one.exit_rules),
            (vec!["MACD_histogram > 0"], vec!["take_profit_hit", "RSI > 70"])
        );
        let stop = client_strategy(1, &Features { has_stop_loss: 1, ..Features::default() });
        assert_eq!(stop.entry_rules, ["default_entry"]);
        assert_eq!(stop.exit_rules, ["stop_loss_hit", "take_profit_hit", "RSI > 70"]);
        // Support and resistance alone are no rule.
        let none = client_strategy(1, &Features { has_support_resistance: 1, ..Features::default() });
        assert_eq!(none.entry_rules, ["default_entry"]);
        assert_eq!(none.exit_rules, ["take_profit_hit", "RSI > 70", "default_exit"]);
    }
}
