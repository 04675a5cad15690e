-- An optimisation with a point that was evaluated and one that could not be.
insert into optimizations (id, genome_hash, name, canonical, settings, report, method, objectives, parameters, from_ms,
    to_ms, data_version, status, budget, points, evaluations, best_objective, best_point, code_version, seed, completed_at)
values ('00000000-0000-0000-0000-000000000061', 'abc', 'cross', '15m; long entry close > 1', '{"space": []}', '{}', 'grid',
    '{sharpe}', '{}', 1692230400000, 1700006400000, 'abc', 'completed', 2, 2, 1, 1.5, 0, '0.1.0', '7', now());
insert into optimization_runs (id, optimization_id, point, method, objective, parameters, figures, status, trials,
    best_objective, error_message, code_version, seed, completed_at)
values
    ('00000000-0000-0000-0000-000000000062', '00000000-0000-0000-0000-000000000061', 0, 'grid', 'sharpe',
        '{"values": [5]}', '{"sharpe_ratio": 1.5}', 'completed', 1, 1.5, null, '0.1.0', '7', now()),
    ('00000000-0000-0000-0000-000000000063', '00000000-0000-0000-0000-000000000061', 1, 'grid', 'sharpe',
        '{"values": [6]}', null, 'failed', 0, null, 'fast must be below slow', '0.1.0', '7', now());
