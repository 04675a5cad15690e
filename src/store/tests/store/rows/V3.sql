-- The strategy goes live; one deployment has grown, one has ended, one rests.
update strategies set state = 'shadow' where id = '00000000-0000-0000-0000-00000000000a';
update strategies set state = 'live' where id = '00000000-0000-0000-0000-00000000000a';
insert into transitions (id, strategy_id, from_state, to_state, kind, reason, summary, decision, policy, actor,
    at_market_ms)
values
    ('00000000-0000-0000-0000-000000000011', '00000000-0000-0000-0000-00000000000a', 'candidate', 'shadow',
        'enter_shadow', null, 'good', '{"verdict": {"move": "enter_shadow"}, "summary": "good", "checks": [{"name":
        "holdout.profit_factor", "needed": ">= 1.3", "had": 1.7, "passed": true}]}', 'made/1', 'gate', 1700006400000),
    ('00000000-0000-0000-0000-000000000012', '00000000-0000-0000-0000-00000000000a', 'shadow', 'live', 'go_live', null,
        'better', '{"verdict": {"move": "go_live"}, "summary": "better", "checks": []}', 'made/1', 'gate',
        1700092800000),
    ('00000000-0000-0000-0000-000000000013', '00000000-0000-0000-0000-00000000000b', 'candidate', 'disabled', 'disable',
        'rejected', 'not good', null, null, 'somebody', 1700006400000);
insert into deployments (id, strategy_id, phase, status, promoted_by, started_market_ms, ended_market_ms, ended_at,
    paused_until, reason)
values
    ('00000000-0000-0000-0000-000000000021', '00000000-0000-0000-0000-00000000000a', 'growth', 'active', 'gate',
        1700092800000, null, null, null, null),
    ('00000000-0000-0000-0000-000000000022', '00000000-0000-0000-0000-00000000000b', 'full', 'deactivated', 'gate',
        1690000000000, 1700000000000, now(), null, 'drift'),
    ('00000000-0000-0000-0000-000000000023', '00000000-0000-0000-0000-00000000000b', 'initial', 'paused', 'gate',
        1700000000000, null, null, now(), 'drift');
insert into paper_runs (id, strategy_id, phase, warmup_from_ms, from_ms, to_ms, config, performance, closed_trades)
values ('00000000-0000-0000-0000-000000000031', '00000000-0000-0000-0000-00000000000a', 'live', 1699000000000,
    1700092800000, 1700179200000, '{"fee": 0.0004}', 'PERFORMANCE', 1);
insert into paper_trades (run_id, strategy_id, symbol, side, entry_time_ms, entry_price, exit_time_ms, exit_price,
    quantity, profit, return_fraction, fees, slippage, funding, exit_reason, bars)
values ('00000000-0000-0000-0000-000000000031', '00000000-0000-0000-0000-00000000000a', 'BTCUSDT', 'short',
    1700092800000, 100.1, 1700096400000, 99.9, 0.3, 0.04, 0.001, 0.02, 0, -0.001, 'stop_loss', 4);
