//! The least and the most that each number of the configuration may be: what lies outside is a mistake, whoever made it.
//!
//! What numbers must be beside each other is checked by the types that own them.

use config::{Value, ValueKind};

/// Key of a number, of a list of numbers, or of a field of a table; least and most, both allowed.
const BOUNDS: &[(&str, f64, f64)] = &[
    ("store.pool_size", 1.0, 1000.0),
    ("store.statement_timeout_s", 0.0, 86_400.0),
    ("store.retention.backtests_days", 180.0, 36_500.0),
    ("store.retention.metrics_days", 180.0, 36_500.0),
    ("store.retention.scores_days", 180.0, 36_500.0),
    ("store.retention.drift_alerts_days", 180.0, 36_500.0),
    ("store.retention.regimes_days", 180.0, 36_500.0),
    ("store.retention.audit_days", 180.0, 36_500.0),
    ("store.retention.clients_days", 7.0, 36_500.0),
    ("market.timeout_s", 0.1, 600.0),
    ("market.weight_share", 0.01, 1.0),
    ("market.max_wait_s", 0.0, 3600.0),
    ("market.retries", 0.0, 100.0),
    ("market.retry_delay_ms", 0.0, 60_000.0),
    ("market.breaker_failures", 1.0, 10_000.0),
    ("market.breaker_cool_off_s", 0.0, 3600.0),
    ("market.requests_at_once", 1.0, 64.0),
    ("market.reread_candles", 0.0, 1000.0),
    ("market.cache_budget_mb", 0.0, 100_000_000.0),
    ("market.quality.max_missing_fraction", 0.0, 1.0),
    ("market.quality.max_zero_volume_fraction", 0.0, 1.0),
    ("market.quality.stale_run_candles", 2.0, 1_000_000.0),
    ("market.quality.jump_fraction", 0.001, 10.0),
    ("market.quality.jump_median_multiple", 1.0, 10_000.0),
    ("market.quality.max_open_ratio", 1.1, 1e6),
    ("market.quality.max_spike_ratio", 1.1, 1e6),
    ("market.quality.max_range_ratio", 1.1, 1e6),
    ("market.quality.open_gap_fraction", 0.0001, 10.0),
    ("market.quality.max_disagreeing_fraction", 0.0, 1.0),
    ("engine.cache_mb", 1.0, 1_000_000.0),
    ("engine.initial_capital", 1.0, 1e12),
    ("costs.spot_fee_fraction", 0.0, 0.1),
    ("costs.um_fee_fraction", 0.0, 0.1),
    ("costs.spot_borrow_rate_per_year", 0.0, 100.0),
    ("costs.slippage.bps", 0.0, 1000.0),
    ("costs.slippage.fraction", 0.0, 10.0),
    ("costs.slippage.coefficient", 0.0, 10.0),
    ("costs.maintenance_margin_fraction", 0.0, 0.5),
    ("costs.delisting_fraction", 0.0, 0.99),
    ("portfolio.execution.delay_candles", 0.0, 1000.0),
    ("portfolio.execution.retry_candles", 0.0, 10_000.0),
    ("portfolio.execution.least_notional", 0.0, 1e6),
    ("portfolio.execution.lot_notional", 0.0, 1e6),
    ("portfolio.execution.greatest_gross", 0.0, 100.0),
    ("portfolio.execution.greatest_one_sided_gross", 0.0, 100.0),
    ("portfolio.execution.maintenance_margin_fraction", 0.0, 0.99),
    ("portfolio.execution.borrow_rate_per_year", 0.0, 100.0),
    ("portfolio.execution.borrowable_members", 0.0, 10_000.0),
    ("portfolio.execution.frozen_exit_fraction", 0.0, 1.0),
    ("models.cache_budget_mb", 0.0, 100_000_000.0),
    ("models.cache_days", 1.0, 36_500.0),
    ("lifecycle.max_p_value", 0.000_001, 1.0),
    ("lifecycle.holdout_min_e_value", 0.0, 1e12),
    ("lifecycle.shadow_min_e_value", 0.0, 1e12),
    ("lifecycle.shadow_promise_fraction", 0.0, 1.0),
    ("lifecycle.shadow_waiver_e_value", 0.0, 1e12),
    ("lifecycle.candidate_min_profit_factor", 0.0, 1000.0),
    ("lifecycle.candidate_min_trades", 0.0, 1_000_000.0),
    ("lifecycle.min_sharpe_ratio", -100.0, 100.0),
    ("lifecycle.min_win_rate_percent", 0.0, 100.0),
    ("lifecycle.win_rate_waiver_profit_factor", 0.0, 1000.0),
    ("lifecycle.max_drawdown_percent", 0.0, 100.0),
    ("lifecycle.holdout_min_profit_factor", 0.0, 1000.0),
    ("lifecycle.holdout_min_trades", 0.0, 1_000_000.0),
    ("lifecycle.lossless_min_winning_trades", 0.0, 1_000_000.0),
    ("lifecycle.shadow_min_days", 0.0, 3650.0),
    ("lifecycle.shadow_min_closed_trades", 0.0, 1_000_000.0),
    ("lifecycle.shadow_min_profit_factor", 0.0, 1000.0),
    ("lifecycle.shadow_growth_days", 0.0, 3650.0),
    ("lifecycle.shadow_max_days", 0.0, 3650.0),
    ("lifecycle.shadow_fail_profit_factor", 0.0, 1000.0),
    ("lifecycle.shadow_fail_min_closed_trades", 0.0, 1_000_000.0),
    ("lifecycle.live_demote_drawdown_percent", 0.0, 100.0),
    ("lifecycle.live_max_drawdown_percent", 0.0, 100.0),
    ("lifecycle.live_recent_trades", 1.0, 1_000_000.0),
    ("lifecycle.live_min_recent_profit_factor", 0.0, 1000.0),
    ("lifecycle.max_demotions", 0.0, 1000.0),
    ("protocol.null_searches", 1.0, 10_000.0),
    ("protocol.null_exceedances", 1.0, 10_000.0),
    ("protocol.null_search_fraction", 0.001, 1.0),
    ("protocol.false_promotions_per_year", 0.000_001, 1.0),
    ("protocol.dead_promotions", 0.000_001, 1.0),
    ("protocol.placebo_every_sessions", 0.0, 1_000_000.0),
    ("deployment.max_total_pct", 0.0, 100.0),
    ("deployment.initial_pct", 0.0, 100.0),
    ("deployment.growth_pct", 0.0, 100.0),
    ("deployment.full_pct", 0.0, 100.0),
    ("deployment.growth_min_days", 0.0, 3650.0),
    ("deployment.growth_min_trades", 0.0, 1_000_000.0),
    ("deployment.full_min_days", 0.0, 3650.0),
    ("deployment.full_min_trades", 0.0, 1_000_000.0),
    ("deployment.min_profit_factor", 0.0, 1000.0),
    ("deployment.correlation_limit", 0.0, 1.0),
    ("deployment.correlation_min_days", 2.0, 3650.0),
    ("deployment.warning_fraction", 0.0, 1.0),
    ("deployment.high_volatility_fraction", 0.0, 1.0),
    ("deployment.pause_hours", 0.0, 8760.0),
    ("deployment.book_kelly_fraction", 0.0, 1.0),
    ("deployment.book_confidence", 0.5, 0.999),
    ("deployment.book_max_drawdown_pct", 0.1, 100.0),
    ("drift.min_days", 1.0, 3650.0),
    ("drift.min_trades", 1.0, 1_000_000.0),
    ("drift.warning_errors", 0.1, 100.0),
    ("drift.critical_errors", 0.1, 100.0),
    ("drift.warning_ratio", 1.0, 1000.0),
    ("drift.critical_ratio", 1.0, 1000.0),
    ("drift.close_fraction", 0.0, 1.0),
    ("regime.window_hours", 1.0, 8760.0),
    ("regime.history_days", 2.0, 3650.0),
    ("regime.min_history_days", 2.0, 3650.0),
    ("review.hour_utc", 0.0, 23.0),
    ("review.batch_size", 0.0, 1_000_000.0),
    ("review.audit_interval_s", 1.0, 31_536_000.0),
    ("staying.min_expected_trades", 2.0, 1_000_000.0),
    ("staying.horizon_trades", 1.0, 1_000_000.0),
    ("staying.paths", 10.0, 1_000_000.0),
    ("staying.cusum_alarm_rate", 0.0, 1.0),
    ("staying.cusum_warning_rate", 0.0, 1.0),
    ("staying.cusum_reference_share", 0.0, 1.0),
    ("staying.cusum_slack_deviations", 0.0, 10.0),
    ("staying.drawdown_alarm_rate", 0.0, 1.0),
    ("staying.drawdown_warning_rate", 0.0, 1.0),
    ("staying.e_detector_alarm_trades", 1.0, 1e9),
    ("staying.e_detector_warning_trades", 1.0, 1e9),
    ("search.population_size", 2.0, 1_000_000.0),
    ("search.generations", 1.0, 1_000_000.0),
    ("search.elites", 0.0, 1_000_000.0),
    ("search.immigrants_fraction", 0.0, 1.0),
    ("search.learner_fraction", 0.0, 1.0),
    ("search.refinement_fraction", 0.0, 1.0),
    ("search.crossover_fraction", 0.0, 1.0),
    ("search.selection.sample", 1.0, 1_000_000.0),
    ("search.selection.size", 1.0, 1_000_000.0),
    ("search.archive_parents_fraction", 0.0, 1.0),
    ("search.niche_capacity", 1.0, 1_000_000.0),
    ("search.archive_size", 0.0, 1_000_000.0),
    ("search.archive_max_correlation", 0.0, 1.0),
    ("search.min_trades", 0.0, 1_000_000.0),
    ("search.complexity_limit", 1.0, 10_000.0),
    ("search.remembered_hashes", 0.0, 100_000_000.0),
    ("search.variation.higher_timeframe_probability", 0.0, 1.0),
    ("search.variation.max_lookback_days", 1.0, 3650.0),
    ("search.variation.max_conditions", 1.0, 100.0),
    ("search.variation.stop_percent.min", 0.001, 100.0),
    ("search.variation.stop_percent.max", 0.001, 100.0),
    ("search.variation.stop_percent.step", 0.001, 100.0),
    ("search.variation.target_percent.min", 0.001, 1000.0),
    ("search.variation.target_percent.max", 0.001, 1000.0),
    ("search.variation.target_percent.step", 0.001, 1000.0),
    ("search.variation.atr_multiple.min", 0.001, 1000.0),
    ("search.variation.atr_multiple.max", 0.001, 1000.0),
    ("search.variation.atr_multiple.step", 0.001, 1000.0),
    ("search.variation.atr_probability", 0.0, 1.0),
    ("search.variation.time_exit_bars", 1.0, 1_000_000.0),
    ("search.variation.max_leverage", 1.0, 125.0),
    ("search.variation.recovery_probability", 0.0, 1.0),
    ("search.variation.free_probability", 0.0, 1.0),
    ("search.variation.mutation.parameter", 0.0, 1e6),
    ("search.variation.mutation.constant", 0.0, 1e6),
    ("search.variation.mutation.series", 0.0, 1e6),
    ("search.variation.mutation.add", 0.0, 1e6),
    ("search.variation.mutation.drop", 0.0, 1e6),
    ("search.variation.mutation.comparison", 0.0, 1e6),
    ("search.variation.mutation.logic", 0.0, 1e6),
    ("search.variation.mutation.risk", 0.0, 1e6),
    ("search.variation.mutation.filters", 0.0, 1e6),
    ("search.variation.mutation.timeframe", 0.0, 1e6),
    ("search.variation.mutation.side", 0.0, 1e6),
    ("search.ranking.universe_top", 2.0, 1000.0),
    ("search.ranking.universe_volume_days", 1.0, 3650.0),
    ("search.ranking.universe_listed_days", 0.0, 3650.0),
    ("search.ranking.lookback_days", 1.0, 3650.0),
    ("search.ranking.max_size", 4.0, 64.0),
    ("search.ranking.max_depth", 3.0, 16.0),
    ("search.ranking.max_smooth", 1.0, 365.0),
    ("search.ranking.long_only_probability", 0.0, 1.0),
    ("search.ranking.free_probability", 0.0, 1.0),
    ("book.search_days", 90.0, 36_500.0),
    ("book.least_days", 60.0, 36_500.0),
    ("book.population_size", 2.0, 100_000.0),
    ("book.generations", 1.0, 1000.0),
    ("book.null_searches", 1.0, 100.0),
    ("book.most_members", 1.0, 1000.0),
    ("book.most_of_niche", 1.0, 1000.0),
    ("book.max_correlation", 0.0, 1.0),
    ("book.max_turnover_per_day", 0.0, 1000.0),
    ("book.least_sharpe", 0.0, 1000.0),
    ("book.max_false_discovery", 0.0, 1.0),
    ("book.band", 0.0, 1.0),
    ("book.min_e_value", 1.0, 1e12),
    ("book.life_min_e_value", 1.0, 1e12),
    ("book.life_min_days", 1.0, 3650.0),
    ("daemon.generation_interval_s", 1.0, 1e9),
    ("daemon.shadow_interval_s", 1.0, 1e9),
    ("daemon.review_interval_s", 1.0, 1e9),
    ("daemon.backtest_days", 1.0, 36_500.0),
    ("daemon.ranking_backtest_days", 1.0, 36_500.0),
    ("daemon.ranking_share", 0.05, 0.95),
    ("daemon.rehearse_history", 0.0, 36_500.0),
    ("daemon.holdout_days", 1.0, 36_500.0),
    ("daemon.holdout_min_days", 1.0, 36_500.0),
    ("daemon.warmup_days", 0.0, 3650.0),
    ("daemon.shadow_lookback_days", 1.0, 3650.0),
    ("daemon.candidates_per_session", 1.0, 10_000.0),
    ("daemon.seed", 0.0, 9.3e18),
    ("daemon.threads", 0.0, 1024.0),
    ("daemon.max_memory_mb", 0.0, 100_000_000.0),
    ("daemon.step_attempts", 1.0, 1000.0),
    ("daemon.retry_min_ms", 1.0, 3_600_000.0),
    ("daemon.retry_max_ms", 1.0, 86_400_000.0),
    ("daemon.park_s", 1.0, 86_400.0),
    ("daemon.shutdown_grace_s", 1.0, 600.0),
    ("http.targets.live_strategies", 0.0, 1_000_000.0),
    ("http.targets.mean_fitness", 0.0, 100.0),
    ("http.targets.promotions_per_30_days", 0.0, 1_000_000.0),
    ("http.targets.demotions_per_30_days", 0.0, 1_000_000.0),
    ("http.targets.failed_backtests", 0.0, 1.0),
    ("work.lease_s", 1.0, 86_400.0),
    ("http.port", 0.0, 65_535.0),
    ("http.request_timeout_ms", 1.0, 3_600_000.0),
    ("http.health_timeout_ms", 1.0, 3_600_000.0),
    ("http.max_body_kb", 1.0, 1_000_000.0),
    ("http.max_media_kb", 1.0, 1_000_000.0),
    ("http.service_port", 0.0, 65_535.0),
    ("http.client_posts_per_minute", 0.0, 1_000_000.0),
    ("http.client_timeout_ms", 10.0, 3_600_000.0),
    ("http.max_client_strategies", 0.0, 1_000_000_000.0),
    ("http.max_connections", 1.0, 1_000_000.0),
    ("http.max_page_size", 1.0, 100_000.0),
    ("http.max_backtests", 0.0, 1000.0),
    ("http.max_backtest_candles", 1.0, 1e12),
    ("http.backtest_timeout_s", 1.0, 86_400.0),
    ("notify.poll_interval_ms", 10.0, 3_600_000.0),
    ("notify.request_timeout_ms", 10.0, 3_600_000.0),
    ("notify.max_attempts", 1.0, 10_000.0),
    ("notify.retry_min_s", 0.0, 86_400.0),
    ("notify.retry_max_s", 0.0, 604_800.0),
];

/// What is wrong with the value of a key, if a number in it is out of bounds, and at which key it is.
pub(super) fn problem(key: &str, value: &Value) -> Option<(String, String)> {
    let out_of = |number: f64| {
        let (_, least, most) = BOUNDS.iter().find(|(known, ..)| *known == key)?;
        // Not a number is in no bounds.
        let inside = (*least..=*most).contains(&number);
        (!inside).then(|| (key.to_owned(), format!("must be {} to {}, not {number}", Shown(*least), Shown(*most))))
    };
    match &value.kind {
        ValueKind::I64(whole) => out_of(*whole as f64),
        ValueKind::Float(number) => out_of(*number),
        ValueKind::Array(items) => items.iter().find_map(|item| problem(key, item)),
        ValueKind::Table(fields) => {
            let mut names: Vec<_> = fields.iter().collect();
            names.sort_unstable_by_key(|(name, _)| *name);
            names.into_iter().find_map(|(name, field)| problem(&format!("{key}.{name}"), field))
        }
        _ => None,
    }
}

/// Large and small bounds as people write them.
struct Shown(f64);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.abs() >= 1e9 { write!(f, "{:e}", self.0) } else { write!(f, "{}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    /// Numbers of the defaults by their keys.
    fn numbers(key: &str, value: &Value, found: &mut Vec<String>) {
        match &value.kind {
            ValueKind::I64(_) | ValueKind::Float(_) => found.push(key.to_owned()),
            ValueKind::Array(items) => items.iter().for_each(|item| numbers(key, item, found)),
            ValueKind::Table(fields) => {
                fields.iter().for_each(|(name, field)| numbers(&format!("{key}.{name}"), field, found));
            }
            _ => {}
        }
    }

    #[test]
    fn every_number_of_the_defaults_has_bounds_and_lies_in_them() {
        let settings = Settings::defaults().unwrap();
        let mut found = Vec::new();
        for key in settings.keys() {
            let value = settings.value(key).unwrap();
            assert_eq!(problem(key, value), None);
            numbers(key, value, &mut found);
        }
        assert!(found.len() > 150);
        let without: Vec<_> = found.iter().filter(|key| !BOUNDS.iter().any(|(known, ..)| known == *key)).collect();
        assert!(without.is_empty(), "give them bounds: {without:?}");
        // No bound is for a key that is gone; other forms of the two tables have other fields.
        let other_forms = ["costs.slippage.fraction", "costs.slippage.coefficient", "search.selection.size"];
        let gone = BOUNDS.iter().filter(|(key, ..)| !found.iter().any(|f| f == key) && !other_forms.contains(key));
        assert_eq!(gone.count(), 0);
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let wrong =
            |key: &str, kind: ValueKind| problem(key, &Value::from(kind)).map(|(key, why)| format!("{key} {why}"));
        let fee = |fee: f64| wrong("costs.spot_fee_fraction", ValueKind::Float(fee));
        assert_eq!(fee(4.0).unwrap(), "costs.spot_fee_fraction must be 0 to 0.1, not 4");
        assert!(fee(-0.001).is_some() && fee(f64::NAN).is_some() && fee(f64::INFINITY).is_some());
        assert_eq!(fee(0.1), None);
        let capital = |capital: f64| wrong("engine.initial_capital", ValueKind::Float(capital));
        assert!([-5.0, 0.0, f64::NAN, 1e300].map(capital).iter().all(Option::is_some));
        assert_eq!(capital(-5.0).unwrap(), "engine.initial_capital must be 1 to 1e12, not -5");
        let list = ValueKind::Array(vec![Value::from(1.0), Value::from(200.0)]);
        assert_eq!(wrong("deployment.initial_pct", list).unwrap(), "deployment.initial_pct must be 0 to 100, not 200");
    }
}
