-- The protocol's counts, what a session's null searches said, and where the strategy stands.
update trial_ledger set t_count = 90, t_sum = 12.5, t_sum_of_squares = 80, null_searches = 19;
update online_procedure set sessions = 1, selected = 1;
insert into protocol_sessions (session_id, placebo, island, at_market_ms, session_number, selected_number, promotions,
    p_value, null_searches, as_good, candidates, entered, promoted)
values
    ('00000000-0000-0000-0000-000000000001', false, 'main', 1700006400000, 1, 1, 0, 0.05, 19, 0, 3, 1, null),
    ('00000000-0000-0000-0000-000000000001', true, 'placebo', 1700006400000, 1, 1, 0, 0.5, 19, 9, null, null, null);
insert into strategy_standings (strategy_id, session_id, p_value, null_searches, level, seen_until_ms, holdout_log_e,
    standing)
values ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-000000000001', 0.05, 19, 0.01, 1700006400000,
    0.7, '{}');
