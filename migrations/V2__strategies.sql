-- Strategies with their lineage, their statistics by source, and backtest results.

create table strategies (
    id uuid primary key,
    name text not null check (name <> '' and length(name) <= 200),
    genome jsonb not null check (jsonb_typeof(genome) = 'object'),
    canonical text not null check (canonical <> ''),
    genome_hash text not null unique check (genome_hash ~ '^[0-9a-f]{64}$'),
    type text not null check (type <> ''),
    version text not null default '1.0.0' check (version ~ '^[0-9]+\.[0-9]+\.[0-9]+$'),
    -- Parents that are stored have ids; every parent has a hash.
    parent_ids uuid[] not null default '{}',
    parent_hashes text[] not null default '{}',
    generation integer not null default 0 check (generation >= 0),
    island text,
    session_id uuid references search_sessions (id) on delete set null,
    symbols text[] not null check (cardinality(symbols) >= 1),
    market text not null check (market in ('spot', 'um')),
    timeframe text not null check (timeframe <> ''),
    -- End of the candles that search or gate have seen; NULL when nobody searched.
    seen_until_ms bigint,
    state text not null default 'candidate' check (state in ('candidate', 'shadow', 'live', 'disabled')),
    disable_reason text
        check (disable_reason in ('failed', 'rejected', 'deactivated', 'deprecated', 'operator')),
    created_by text not null check (created_by <> ''),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    state_changed_at timestamptz not null default now(),
    check ((state = 'disabled') = (disable_reason is not null)),
    check (cardinality(parent_ids) <= cardinality(parent_hashes))
);
create index strategies_state on strategies (state, state_changed_at desc);
create index strategies_created_at on strategies (created_at desc);
create index strategies_session_id on strategies (session_id);
create index strategies_parent_ids on strategies using gin (parent_ids);
create index strategies_name on strategies (name);
create index strategies_id_text on strategies ((id::text) text_pattern_ops);
create index strategies_hash_prefix on strategies (genome_hash text_pattern_ops);

create function refuse_illegal_transition() returns trigger language plpgsql as $$
begin
    if new.state <> old.state and (old.state, new.state) not in (
        ('candidate', 'shadow'), ('shadow', 'live'), ('live', 'shadow'), ('candidate', 'disabled'),
        ('shadow', 'disabled'), ('live', 'disabled'), ('disabled', 'candidate')
    ) then
        raise exception 'strategy % cannot go from % to %', old.id, old.state, new.state
            using errcode = 'check_violation', constraint = 'strategies_legal_transition', table = 'strategies';
    end if;
    if new.genome <> old.genome or new.genome_hash <> old.genome_hash or new.canonical <> old.canonical then
        raise exception 'the genome of strategy % cannot change: another genome is another strategy', old.id
            using errcode = 'check_violation', constraint = 'strategies_genome_fixed', table = 'strategies';
    end if;
    new.updated_at := now();
    return new;
end $$;
create trigger strategies_legal_transition before update on strategies
    for each row execute function refuse_illegal_transition();

-- One row a strategy, source and window start. The columns are taken from `performance`, so that they cannot disagree.
create table strategy_stats (
    id bigint generated always as identity primary key,
    strategy_id uuid not null references strategies (id) on delete cascade,
    source text not null check (source in ('backtest', 'holdout', 'shadow', 'live')),
    window_from_ms bigint not null,
    window_to_ms bigint not null,
    data_version text,
    performance jsonb not null check (jsonb_typeof(performance) = 'object'),
    total_return finite_double generated always as ((performance ->> 'total_return')::double precision) stored,
    total_return_pct finite_double generated always as ((performance ->> 'total_return_pct')::double precision) stored,
    cagr finite_double generated always as ((performance ->> 'cagr')::double precision) stored,
    sharpe_ratio finite_double generated always as ((performance ->> 'sharpe_ratio')::double precision) stored,
    sortino_ratio finite_double generated always as ((performance ->> 'sortino_ratio')::double precision) stored,
    max_drawdown finite_double generated always as ((performance ->> 'max_drawdown')::double precision) stored
        check (max_drawdown <= 0),
    calmar_ratio finite_double generated always as ((performance ->> 'calmar_ratio')::double precision) stored,
    profit_factor finite_double generated always as ((performance ->> 'profit_factor')::double precision) stored
        check (profit_factor >= 0),
    win_rate finite_double generated always as ((performance ->> 'win_rate')::double precision) stored
        check (win_rate between 0 and 1),
    total_trades integer not null generated always as ((performance ->> 'total_trades')::integer) stored
        check (total_trades >= 0),
    end_of_window_trades integer generated always as ((performance ->> 'end_of_window_trades')::integer) stored,
    avg_trade_duration_hours finite_double
        generated always as ((performance ->> 'avg_trade_duration_hours')::double precision) stored,
    expectancy finite_double generated always as ((performance ->> 'expectancy')::double precision) stored,
    sqn finite_double generated always as ((performance ->> 'sqn')::double precision) stored,
    exposure finite_double generated always as ((performance ->> 'exposure')::double precision) stored
        check (exposure between 0 and 1),
    t_statistic finite_double generated always as ((performance ->> 't_statistic')::double precision) stored,
    days integer generated always as ((performance ->> 'days')::integer) stored,
    fees finite_double generated always as ((performance ->> 'fees')::double precision) stored,
    slippage finite_double generated always as ((performance ->> 'slippage')::double precision) stored,
    funding finite_double generated always as ((performance ->> 'funding')::double precision) stored,
    calculated_at timestamptz not null default now(),
    unique (strategy_id, source, window_from_ms),
    check (window_from_ms < window_to_ms)
);
create index strategy_stats_source on strategy_stats (source, calculated_at desc);

create function touch_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at := now();
    return new;
end $$;

-- Read by other systems: columns and indexes are a contract.
create table backtest_results (
    id serial primary key,
    strategy_id uuid not null references strategies (id) on delete cascade,
    backtest_id varchar(100),
    metrics jsonb not null default '{}',
    parameters jsonb not null default '{}',
    period_start timestamptz,
    period_end timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz default now()
);
create index idx_backtest_results_strategy_id on backtest_results (strategy_id);
create index idx_backtest_results_created_at on backtest_results (created_at desc);
create index idx_backtest_results_backtest_id on backtest_results (backtest_id);
create index idx_backtest_results_metrics on backtest_results using gin (metrics);
create index idx_backtest_results_high_sharpe on backtest_results (((metrics ->> 'sharpe_ratio')::double precision))
    where (metrics ->> 'sharpe_ratio')::double precision > 1.0;
create trigger backtest_results_updated_at before update on backtest_results
    for each row execute function touch_updated_at();
