-- What operators and the daemon's own machinery need: notifications, dead letters, feeds, runners.

-- One row an event and channel, written in the transaction that the event is about.
create table outbox (
    id bigint generated always as identity primary key,
    event_key text not null check (event_key <> ''),
    channel text not null check (channel <> ''),
    kind text not null check (kind <> ''),
    payload jsonb not null default '{}',
    status text not null default 'pending' check (status in ('pending', 'delivered', 'dead')),
    attempts integer not null default 0 check (attempts >= 0),
    next_attempt_at timestamptz not null default now(),
    claimed_until timestamptz,
    delivered_at timestamptz,
    last_error text,
    created_at timestamptz not null default now(),
    unique (event_key, channel),
    check ((status = 'delivered') = (delivered_at is not null))
);
create index outbox_due on outbox (next_attempt_at, id) where status = 'pending';
create index outbox_created_at on outbox (created_at);

-- What failed, kept until somebody looks. A genome that fails again is the same row with a higher count.
create table dead_letters (
    id bigint generated always as identity primary key,
    kind text not null check (kind in ('backtest', 'step', 'notification')),
    -- A genome hash, or whatever makes the failing thing the same thing again.
    subject text not null check (subject <> ''),
    error text not null,
    genome jsonb,
    context jsonb not null default '{}',
    occurrences bigint not null default 1 check (occurrences >= 1),
    retries integer not null default 0 check (retries >= 0),
    status text not null default 'open' check (status in ('open', 'retried', 'resolved')),
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    unique (kind, subject)
);
create index dead_letters_status on dead_letters (status, last_seen_at desc);

create table feed_status (
    market text not null check (market in ('spot', 'um')),
    symbol text not null,
    interval text not null,
    newest_close_ms bigint,
    -- What time it was at the exchange at the last refresh: market time may run faster than the wall clock.
    exchange_time_ms bigint,
    gaps bigint not null default 0 check (gaps >= 0),
    error text,
    refreshed_at timestamptz not null default now(),
    primary key (market, symbol, interval)
);

create table runner_status (
    name text primary key check (name <> ''),
    holder text not null,
    last_started_at timestamptz,
    last_finished_at timestamptz,
    last_succeeded_at timestamptz,
    last_error text,
    last_error_at timestamptz,
    consecutive_failures integer not null default 0 check (consecutive_failures >= 0),
    detail jsonb not null default '{}',
    heartbeat_at timestamptz not null default now()
);
