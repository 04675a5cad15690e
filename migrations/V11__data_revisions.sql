-- Stored candles that the exchange changed afterwards, and the results that rested on them.

create table data_revisions (
    id bigint generated always as identity primary key,
    market text not null check (market in ('spot', 'um')),
    symbol text not null check (symbol <> ''),
    interval text not null check (interval <> ''),
    month text not null check (month ~ '^[0-9]{4}-[0-9]{2}$'),
    -- Content of the month before; with it a revision is found once, however often it is looked for.
    old_sha256 text not null check (old_sha256 ~ '^[0-9a-f]{64}$'),
    new_sha256 text not null check (new_sha256 ~ '^[0-9a-f]{64}$'),
    candles bigint not null check (candles >= 1),
    first_open_ms bigint not null,
    last_open_ms bigint not null,
    -- The candles as they were and as they are, at most the first thousand.
    detail jsonb not null check (jsonb_typeof(detail) = 'array'),
    found_at timestamptz not null default now(),
    -- When everything that rested on it had been scored again.
    handled_at timestamptz,
    unique (market, symbol, interval, month, old_sha256),
    check (first_open_ms <= last_open_ms)
);
create index data_revisions_open on data_revisions (found_at) where handled_at is null;

-- A result that rested on revised candles, before and after it was computed again.
create table data_revision_uses (
    revision_id bigint not null references data_revisions (id) on delete cascade,
    strategy_id uuid not null references strategies (id) on delete cascade,
    source text not null check (source in ('backtest', 'holdout', 'shadow', 'live')),
    window_from_ms bigint not null,
    window_to_ms bigint not null,
    deployment_id uuid references deployments (id) on delete set null,
    old_data_version text,
    new_data_version text,
    old_performance jsonb,
    -- NULL where it could not be computed again.
    new_performance jsonb,
    -- What the gate said then, where it was asked.
    decision text,
    rescored_at timestamptz not null default now(),
    primary key (revision_id, strategy_id, source, window_from_ms)
);
create index data_revision_uses_strategy_id on data_revision_uses (strategy_id, rescored_at desc);
