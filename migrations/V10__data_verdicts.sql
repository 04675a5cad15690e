-- Whether candles were fit to be evidence, and why not: a row for each set of candles and window that was judged.

create table data_verdicts (
    id bigint generated always as identity primary key,
    -- The content of exactly the candles that were judged, warm-up included: what sessions and results call their data.
    data_version text not null check (data_version <> ''),
    market text not null check (market in ('spot', 'um')),
    symbols text[] not null check (cardinality(symbols) >= 1),
    interval text not null check (interval <> ''),
    window_from_ms bigint not null,
    window_to_ms bigint not null,
    fit boolean not null,
    reason text not null check (reason <> ''),
    detail jsonb not null check (jsonb_typeof(detail) = 'object'),
    checked_at timestamptz not null default now(),
    unique (data_version, window_from_ms, window_to_ms),
    check (window_from_ms < window_to_ms)
);
create index data_verdicts_checked_at on data_verdicts (checked_at desc);
create index data_verdicts_unfit on data_verdicts (checked_at desc) where not fit;
