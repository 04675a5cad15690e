-- Transitions, deployments and paper trading.

create table transitions (
    id uuid primary key,
    seq bigint generated always as identity unique,
    strategy_id uuid not null references strategies (id) on delete cascade,
    from_state text not null,
    to_state text not null,
    kind text not null check (kind in ('enter_shadow', 'go_live', 'demote', 'disable', 'revive')),
    reason text check (reason in ('failed', 'rejected', 'deactivated', 'deprecated', 'operator')),
    summary text not null,
    decision jsonb,
    evidence jsonb,
    policy text,
    actor text not null check (actor <> ''),
    -- Market time of the decision: the end of the last candle it rests on.
    at_market_ms bigint not null,
    created_at timestamptz not null default now(),
    check ((kind, from_state, to_state) in (
        ('enter_shadow', 'candidate', 'shadow'), ('go_live', 'shadow', 'live'), ('demote', 'live', 'shadow'),
        ('disable', 'candidate', 'disabled'), ('disable', 'shadow', 'disabled'), ('disable', 'live', 'disabled'),
        ('revive', 'disabled', 'candidate')
    )),
    check ((kind = 'disable') = (reason is not null)),
    -- A policy that decided must have left its reasons.
    check ((policy is null) or (decision is not null))
);
create index transitions_strategy_id on transitions (strategy_id, seq);
create index transitions_kind on transitions (kind, created_at desc);
create index transitions_to_state on transitions (to_state, strategy_id);

create table deployments (
    id uuid primary key,
    strategy_id uuid not null references strategies (id) on delete cascade,
    phase text not null default 'initial' check (phase in ('initial', 'growth', 'full')),
    status text not null default 'active' check (status in ('active', 'paused', 'deactivated')),
    allocation_pct numeric(5, 2) not null default 1.00 check (allocation_pct between 0.01 and 100),
    promoted_by text not null,
    started_market_ms bigint not null,
    ended_market_ms bigint,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    paused_until timestamptz,
    reason text,
    check ((status = 'deactivated') = (ended_at is not null)),
    check ((ended_at is null) = (ended_market_ms is null)),
    check (ended_market_ms is null or ended_market_ms >= started_market_ms)
);
create unique index deployments_one_active on deployments (strategy_id) where status <> 'deactivated';
create index deployments_strategy_id on deployments (strategy_id, started_at desc);

-- Paper trading of a strategy in one phase, over candles from `from_ms` on.
create table paper_runs (
    id uuid primary key,
    strategy_id uuid not null references strategies (id) on delete cascade,
    phase text not null check (phase in ('shadow', 'live')),
    -- Indicators warm up on the candles of [warmup_from_ms, from_ms): fixed, so that a replay has the same bits.
    warmup_from_ms bigint not null,
    from_ms bigint not null,
    -- End of the last candle counted; equal to from_ms before the first pass.
    to_ms bigint not null,
    -- Costs, capital and whatever else a replay needs.
    config jsonb not null default '{}' check (jsonb_typeof(config) = 'object'),
    performance jsonb check (jsonb_typeof(performance) = 'object'),
    closed_trades integer not null default 0 check (closed_trades >= 0),
    open_positions jsonb not null default '[]' check (jsonb_typeof(open_positions) = 'array'),
    daily_equity jsonb not null default '[]' check (jsonb_typeof(daily_equity) = 'array'),
    opened_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    ended_at timestamptz,
    check (warmup_from_ms <= from_ms and from_ms <= to_ms),
    check ((to_ms = from_ms) or performance is not null)
);
create unique index paper_runs_one_open on paper_runs (strategy_id) where ended_at is null;
create index paper_runs_strategy_id on paper_runs (strategy_id, from_ms);

create table paper_trades (
    id bigint generated always as identity primary key,
    run_id uuid not null references paper_runs (id) on delete cascade,
    strategy_id uuid not null references strategies (id) on delete cascade,
    symbol text not null check (symbol <> ''),
    side text not null check (side in ('long', 'short')),
    entry_time_ms bigint not null,
    entry_price finite_double not null check (entry_price > 0),
    exit_time_ms bigint not null,
    exit_price finite_double not null check (exit_price > 0),
    quantity finite_double not null check (quantity > 0),
    profit finite_double not null,
    return_fraction finite_double not null,
    fees finite_double not null,
    slippage finite_double not null,
    funding finite_double not null,
    risk finite_double,
    exit_reason text not null check (exit_reason <> ''),
    bars integer not null check (bars >= 0),
    created_at timestamptz not null default now(),
    unique (run_id, symbol, entry_time_ms, side),
    check (entry_time_ms <= exit_time_ms)
);
create index paper_trades_strategy_id on paper_trades (strategy_id, exit_time_ms desc);
