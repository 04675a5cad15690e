-- What the daily look at each model found: a row a model and market day, the newest of a day. A file that is gone says so in
-- its last row.
create table model_watch (
    -- The file's name without the ending; that of a wrong file may be no name for a model.
    model text not null check (length(model) between 1 and 255),
    -- Midnight of the day, market time, UTC ms.
    day_ms bigint not null,
    -- When it was looked at, market time and wall time.
    at_market_ms bigint not null check (at_market_ms >= day_ms),
    watched_at timestamptz not null default now(),
    state text not null check (state in ('ok', 'young', 'drifting', 'failing', 'gone')),
    -- Why it fails, or what has drifted.
    reason text,
    -- SHA-256 of what the file means; null where it is wrong or gone.
    digest text check (digest ~ '^[0-9a-f]{64}$'),
    -- File, fits, figures by year, calibration of the window, drift. An object.
    report jsonb not null default '{}' check (jsonb_typeof(report) = 'object'),
    primary key (model, day_ms),
    constraint model_watch_reason check (state not in ('drifting', 'failing') or reason is not null)
);
