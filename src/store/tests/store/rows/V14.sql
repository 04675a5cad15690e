-- Two days of a deployment, an alert about it, two regimes of which the second follows the first, and an archive.
insert into archives (id, table_name, from_at, to_at, rows, path, bytes, sha256)
values ('00000000-0000-0000-0000-000000000061', 'drift_alerts', '2023-01-01T00:00:00Z', '2023-02-01T00:00:00Z', 1, 'drift_alerts.parquet',
    100, repeat('e', 64));
insert into performance_metrics (deployment_id, day, allocation_pct, daily_return, cumulative_return, drawdown, trades)
values
    ('00000000-0000-0000-0000-000000000021', '2023-11-16', 1, 0.5, 0.5, 0, 1),
    ('00000000-0000-0000-0000-000000000021', '2023-11-17', 1, -0.5, -0.25, -0.5, 2);
insert into market_regimes (market, asset, regime, volatility_percentile, realised_volatility, effective_from_ms)
values ('spot', 'BTCUSDT', 'normal', 50, 0.5, 1700000000000);
insert into market_regimes (market, asset, regime, volatility_percentile, realised_volatility, effective_from_ms)
values ('spot', 'BTCUSDT', 'extreme', 99, 1.5, 1700086400000);
insert into drift_alerts (deployment_id, strategy_id, type, severity, expected, observed, warning_at, critical_at,
    recommended_action, at_market_ms)
values ('00000000-0000-0000-0000-000000000021', '00000000-0000-0000-0000-00000000000a', 'return', 'warning', 0.1, -0.2,
    0.2, 0.5, 'monitor', 1700179200000);
