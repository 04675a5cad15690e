-- Backtests as they were run: runs with their windows and trades, optimisations, and scores.

create table backtest_runs (
    id uuid primary key,
    strategy_id uuid not null references strategies (id) on delete cascade,
    session_id uuid references search_sessions (id) on delete set null,
    status text not null default 'pending' check (status in ('pending', 'running', 'completed', 'failed')),
    -- Costs, capital, symbols, warm-up: what a replay needs.
    config jsonb not null check (jsonb_typeof(config) = 'object'),
    -- SHA-256 of the candles.
    dataset_checksum text not null check (dataset_checksum ~ '^[0-9a-f]{64}$'),
    -- Candles of [from_ms, to_ms).
    from_ms bigint not null,
    to_ms bigint not null,
    window_count integer not null default 1 check (window_count >= 1),
    results jsonb check (jsonb_typeof(results) = 'object'),
    error_message text check (error_message <> ''),
    execution_time_ms bigint check (execution_time_ms >= 0),
    code_version text not null check (code_version <> ''),
    -- An unsigned 64-bit number, which bigint cannot hold.
    seed text not null check (seed ~ '^[0-9]{1,20}$'),
    created_at timestamptz not null default now(),
    started_at timestamptz,
    completed_at timestamptz,
    constraint backtest_runs_window check (from_ms < to_ms),
    constraint backtest_runs_started check ((status = 'pending') = (started_at is null)),
    constraint backtest_runs_ended
        check ((status in ('completed', 'failed')) = (completed_at is not null) and completed_at >= started_at),
    constraint backtest_runs_results_when_completed check ((status = 'completed') = (results is not null)),
    constraint backtest_runs_timed check (status <> 'completed' or execution_time_ms is not null),
    constraint backtest_runs_error_when_failed check ((status = 'failed') = (error_message is not null))
);
create index backtest_runs_strategy_id on backtest_runs (strategy_id, created_at desc);
create index backtest_runs_created_at on backtest_runs (created_at);
create index backtest_runs_session_id on backtest_runs (session_id);
create index backtest_runs_unfinished on backtest_runs (created_at) where status in ('pending', 'running');

create function refuse_illegal_run_change() returns trigger language plpgsql as $$
begin
    if new.status <> old.status and (old.status, new.status) not in (
        ('pending', 'running'), ('running', 'completed'), ('running', 'failed')
    ) then
        raise exception 'backtest run % cannot go from % to %', old.id, old.status, new.status
            using errcode = 'check_violation', constraint = 'backtest_runs_legal_status', table = 'backtest_runs';
    end if;
    return new;
end $$;
create trigger backtest_runs_legal_status before update on backtest_runs
    for each row execute function refuse_illegal_run_change();

-- Parts of a run: fitted on one stretch of time, tried on a later one. Times are UTC ms, ends exclusive.
create table walk_forward_windows (
    run_id uuid not null references backtest_runs (id) on delete cascade,
    index integer not null check (index >= 0),
    train_from_ms bigint not null,
    train_to_ms bigint not null,
    test_from_ms bigint not null,
    test_to_ms bigint not null,
    train_metrics jsonb not null check (jsonb_typeof(train_metrics) = 'object'),
    test_metrics jsonb not null check (jsonb_typeof(test_metrics) = 'object'),
    -- What of the Sharpe ratio was lost: 1 - test / train, NULL where the training one is not above zero.
    degradation finite_double generated always as (
        1 - (test_metrics ->> 'sharpe_ratio')::double precision
            / case when (train_metrics ->> 'sharpe_ratio')::double precision > 0
                then (train_metrics ->> 'sharpe_ratio')::double precision end
    ) stored,
    primary key (run_id, index),
    constraint walk_forward_windows_train check (train_from_ms < train_to_ms),
    constraint walk_forward_windows_test check (test_from_ms < test_to_ms),
    constraint walk_forward_windows_train_before_test check (train_to_ms <= test_from_ms)
);

-- Looks at the end of a transaction, so that windows may come in any order.
create function check_walk_forward_windows() returns trigger language plpgsql as $$
declare
    run uuid;
    problem text;
begin
    foreach run in array array_remove(array[old.run_id, new.run_id], null) loop
        select case when bool_or(w.index <> w.expected) then 'its indexes are not 0, 1, 2, ...'
                when bool_or(w.test_from_ms < w.before_ms) then 'its tests overlap'
                when count(*) > r.window_count then 'it has more windows than it says' end
            into problem
            from backtest_runs r cross join lateral (
                select v.index, v.test_from_ms, row_number() over (order by v.index) - 1 as expected,
                    lag(v.test_to_ms) over (order by v.index) as before_ms
                from walk_forward_windows v where v.run_id = r.id
            ) w where r.id = run group by r.id;
        if problem is not null then
            raise exception 'walk-forward windows of run %: %', run, problem using errcode = 'check_violation',
                constraint = 'walk_forward_windows_in_sequence', table = 'walk_forward_windows';
        end if;
    end loop;
    return null;
end $$;
create constraint trigger walk_forward_windows_in_sequence
    after insert or update or delete on walk_forward_windows deferrable initially deferred
    for each row execute function check_walk_forward_windows();

-- Trades of runs, by month: what is old goes as a whole.
create table backtest_trades (
    run_id uuid not null references backtest_runs (id) on delete cascade,
    -- Order within the run.
    seq integer not null check (seq >= 0),
    window_index integer not null default 0 check (window_index >= 0),
    segment text not null check (segment in ('train', 'test')),
    symbol text not null check (symbol <> ''),
    timeframe text not null check (timeframe <> ''),
    side text not null check (side in ('long', 'short')),
    entry_time_ms bigint not null,
    entry_price finite_double not null check (entry_price > 0),
    exit_time_ms bigint not null,
    exit_price finite_double not null check (exit_price > 0),
    quantity finite_double not null check (quantity > 0),
    -- Net of costs, quote units.
    profit finite_double not null,
    -- Profit / entry notional.
    profit_fraction finite_double not null,
    fees finite_double not null,
    slippage finite_double not null,
    funding finite_double not null,
    costs finite_double generated always as (
        fees::double precision + slippage::double precision + funding::double precision
    ) stored,
    exit_reason text not null check (exit_reason <> ''),
    -- Loss in quote units had the initial stop filled, costs included; NULL without one.
    risk finite_double,
    bars integer not null check (bars >= 0),
    created_at timestamptz not null default now(),
    primary key (run_id, seq, created_at),
    constraint backtest_trades_times check (entry_time_ms <= exit_time_ms)
) partition by range (created_at);

-- Makes the partition of a month of a table that is partitioned by `created_at`, if there is none.
create function ensure_month_partition(parent text, at timestamptz) returns void language plpgsql as $$
declare
    month_start timestamp := date_trunc('month', at at time zone 'UTC');
    partition text := parent || '_' || to_char(month_start, 'YYYY_MM');
begin
    if to_regclass(format('public.%I', partition)) is not null then
        return;
    end if;
    execute format('create table public.%I (like public.%I including defaults including constraints including generated)',
        partition, parent);
    -- Attached rather than created in place: that lock lets readers be.
    execute format('alter table public.%I attach partition public.%I for values from (%L) to (%L)', parent, partition,
        month_start at time zone 'UTC', (month_start + interval '1 month') at time zone 'UTC');
exception
    -- Another transaction made it at the same moment.
    when duplicate_table then null;
end $$;

-- Searches for the best parameters, whatever the method.
create table optimization_runs (
    id uuid primary key,
    session_id uuid unique references search_sessions (id) on delete set null,
    method text not null check (method <> ''),
    objective text not null check (objective <> ''),
    parameters jsonb not null default '{}' check (jsonb_typeof(parameters) = 'object'),
    status text not null check (status in ('running', 'completed', 'failed')),
    trials bigint not null default 0 check (trials >= 0),
    best_objective finite_double,
    best_strategy_id uuid references strategies (id) on delete set null,
    error_message text check (error_message <> ''),
    code_version text not null check (code_version <> ''),
    seed text not null check (seed ~ '^[0-9]{1,20}$'),
    started_at timestamptz not null default now(),
    completed_at timestamptz,
    constraint optimization_runs_ended
        check ((status = 'running') = (completed_at is null) and completed_at >= started_at),
    constraint optimization_runs_error_when_failed check ((status = 'failed') = (error_message is not null))
);
create index optimization_runs_started_at on optimization_runs (started_at desc);
create index optimization_runs_best_strategy_id on optimization_runs (best_strategy_id);

-- Whether parts {"name": {"score": 0..100, "weight": 0..1}, ...} sum to the whole by their weights, which sum to 1.
create function is_score(overall double precision, components jsonb) returns boolean
language sql immutable parallel safe as $$
    select coalesce(bool_and(score between 0 and 100 and weight between 0 and 1)
        and abs(sum(weight) - 1) <= 1e-9 and abs(sum(score * weight) - overall) <= 1e-6, false)
    from (select (part.value ->> 'score')::double precision as score, (part.value ->> 'weight')::double precision as weight
        from jsonb_each(components) part) parts
$$;

create table strategy_scores (
    id bigint generated always as identity primary key,
    strategy_id uuid not null references strategies (id) on delete cascade,
    overall finite_double not null check (overall between 0 and 100),
    components jsonb not null check (jsonb_typeof(components) = 'object'),
    -- Share of the strategies' newest scores that lie below, ties by half, in percent.
    percentile finite_double not null check (percentile between 0 and 100),
    grade text not null generated always as (
        case when overall::double precision >= 80 then 'A' when overall::double precision >= 65 then 'B'
            when overall::double precision >= 50 then 'C' when overall::double precision >= 35 then 'D'
            when overall::double precision >= 20 then 'E' else 'F' end
    ) stored,
    promotion_eligible boolean not null default false,
    warnings text[] not null default '{}',
    backtest_run_ids uuid[] not null default '{}',
    -- Whether it is the strategy's newest one; kept by a trigger.
    is_latest boolean not null default true,
    calculated_at timestamptz not null default now(),
    effective_date date not null default (now() at time zone 'UTC')::date,
    constraint strategy_scores_sum check (is_score(overall, components))
);
create index strategy_scores_strategy_id on strategy_scores (strategy_id, calculated_at desc, id desc);
create unique index strategy_scores_one_latest on strategy_scores (strategy_id) where is_latest;
create index strategy_scores_ranking on strategy_scores (overall desc, strategy_id) where is_latest;
create index strategy_scores_calculated_at on strategy_scores (calculated_at);

create function supersede_scores() returns trigger language plpgsql as $$
begin
    if new.is_latest then
        update strategy_scores set is_latest = false where strategy_id = new.strategy_id and is_latest;
    end if;
    return new;
end $$;
create trigger strategy_scores_supersede before insert on strategy_scores
    for each row execute function supersede_scores();
