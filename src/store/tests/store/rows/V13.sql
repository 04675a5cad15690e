-- A walk-forward backtest with its windows and trades, an optimisation, two scores of which one is superseded.
insert into backtest_runs (id, strategy_id, session_id, status, config, dataset_checksum, from_ms, to_ms, window_count,
    results, execution_time_ms, code_version, seed, started_at, completed_at)
values ('00000000-0000-0000-0000-000000000041', '00000000-0000-0000-0000-00000000000a',
    '00000000-0000-0000-0000-000000000001', 'completed', '{"fee": 0.0004}', repeat('d', 64), 1692230400000,
    1700006400000, 2, '{"profit_factor": 1.9}', 250, '0.1.0', '18446744073709551615', now(), now());
insert into walk_forward_windows (run_id, index, train_from_ms, train_to_ms, test_from_ms, test_to_ms, train_metrics,
    test_metrics)
values
    ('00000000-0000-0000-0000-000000000041', 0, 1692230400000, 1694000000000, 1694000000000, 1695000000000,
        '{"sharpe_ratio": 2}', '{"sharpe_ratio": 1}'),
    ('00000000-0000-0000-0000-000000000041', 1, 1692230400000, 1695000000000, 1695000000000, 1700006400000,
        '{"sharpe_ratio": 0}', '{}');
select ensure_month_partition('backtest_trades', now());
insert into backtest_trades (run_id, seq, window_index, segment, symbol, timeframe, side, entry_time_ms, entry_price,
    exit_time_ms, exit_price, quantity, profit, profit_fraction, fees, slippage, funding, exit_reason, bars)
values ('00000000-0000-0000-0000-000000000041', 0, 1, 'test', 'BTCUSDT', '15m', 'long', 1695000000000, 100.1,
    1695003600000, 101, 0.3, 0.2, 0.007, 0.02, 0.01, 0, 'take_profit', 4);
insert into optimization_runs (id, session_id, method, objective, status, trials, best_objective, best_strategy_id,
    code_version, seed, completed_at)
values ('00000000-0000-0000-0000-000000000051', '00000000-0000-0000-0000-000000000001', 'evolution', 'fitness',
    'completed', 100, 60.5, '00000000-0000-0000-0000-00000000000a', '0.1.0', '1', now());
insert into strategy_scores (strategy_id, overall, components, percentile)
values
    ('00000000-0000-0000-0000-00000000000a', 60, '{"drawdown": {"score": 60, "weight": 1}}', 50),
    ('00000000-0000-0000-0000-00000000000a', 70,
        '{"drawdown": {"score": 85, "weight": 0.4}, "significance": {"score": 60, "weight": 0.6}}', 75);
