-- Leases, search sessions with their generations, and the ledger of trials.

-- A double that is a number: no NaN, no infinity. NULL stands for "undefined".
create domain finite_double as double precision
    check (value > '-Infinity'::double precision and value < 'Infinity'::double precision);

-- Who may do a piece of work. The lock itself is an advisory lock; the token fences off former holders.
create table leases (
    name text primary key check (name <> ''),
    token bigint not null check (token > 0),
    holder text not null,
    acquired_at timestamptz not null default now()
);

create table search_sessions (
    id uuid primary key,
    island text not null check (island <> ''),
    number bigint not null check (number >= 1),
    -- An unsigned 64-bit number, which bigint cannot hold.
    seed text not null check (seed ~ '^[0-9]{1,20}$'),
    status text not null default 'running' check (status in ('running', 'finished', 'abandoned')),
    config jsonb not null default '{}' check (jsonb_typeof(config) = 'object'),
    symbols text[] not null check (cardinality(symbols) >= 1),
    market text not null check (market in ('spot', 'um')),
    timeframe text not null,
    window_from_ms bigint not null,
    -- The search sees [window_from_ms, holdout_from_ms); the gate also [holdout_from_ms, window_to_ms).
    holdout_from_ms bigint not null,
    window_to_ms bigint not null,
    data_version text not null,
    code_version text not null,
    last_generation integer check (last_generation >= 0),
    report jsonb,
    reason text,
    started_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    ended_at timestamptz,
    unique (island, number),
    check (window_from_ms < holdout_from_ms and holdout_from_ms <= window_to_ms),
    check ((status = 'running') = (ended_at is null)),
    check ((status = 'finished') = (report is not null)),
    check ((status = 'abandoned') = (reason is not null))
);
create unique index search_sessions_one_running on search_sessions (island) where status = 'running';
create index search_sessions_started_at on search_sessions (started_at desc);

-- What a killed runner needs to go on: replaced by each generation, dropped when the session ends.
create table search_states (
    session_id uuid primary key references search_sessions (id) on delete cascade,
    generation integer not null check (generation >= 0),
    state bytea not null,
    saved_at timestamptz not null default now()
);

create table generations (
    session_id uuid not null references search_sessions (id) on delete cascade,
    number integer not null check (number >= 0),
    best_fitness finite_double check (best_fitness between 0 and 100),
    median_fitness finite_double check (median_fitness between 0 and 100),
    mean_fitness finite_double check (mean_fitness between 0 and 100),
    evaluations bigint not null check (evaluations >= 0),
    distinct_strategies bigint not null check (distinct_strategies >= 0),
    failures bigint not null check (failures >= 0),
    archive_size bigint not null check (archive_size >= 0),
    duration_ms bigint not null check (duration_ms >= 0),
    detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object'),
    created_at timestamptz not null default now(),
    primary key (session_id, number)
);
create index generations_created_at on generations (created_at desc);

-- How often luck was tried. Outlives the sessions it counts: evidence against luck needs it for ever.
create table trial_ledger (
    session_id uuid primary key,
    island text not null,
    session_number bigint not null,
    window_from_ms bigint not null,
    window_to_ms bigint not null check (window_from_ms < window_to_ms),
    data_version text not null,
    generations bigint not null default 0 check (generations >= 0),
    evaluations bigint not null default 0 check (evaluations >= 0),
    distinct_strategies bigint not null default 0 check (distinct_strategies >= 0),
    failures bigint not null default 0 check (failures >= 0),
    updated_at timestamptz not null default now()
);
