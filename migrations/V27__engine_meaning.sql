-- Results that another meaning of the engine computed are scored again, once; and what candles a client's backtest missed.

-- A strategy whose stored results were held against a meaning of the engine.
create table engine_meanings (
    strategy_id uuid not null references strategies (id) on delete cascade,
    meaning integer not null check (meaning >= 2),
    -- Why its results were computed again; NULL where what changed does not concern it.
    cause text check (cause <> ''),
    -- Each result before and after.
    results jsonb not null default '[]' check (jsonb_typeof(results) = 'array'),
    -- What the gate said then, where it was asked.
    decision text,
    looked_at timestamptz not null default now(),
    primary key (strategy_id, meaning)
);

create function refuse_meaning_change() returns trigger language plpgsql as $$
begin
    raise exception 'what scoring again came to is only ever added to' using errcode = 'insufficient_privilege';
end $$;
create trigger engine_meanings_appended before update on engine_meanings
    for each row execute function refuse_meaning_change();

-- Candles and warm-up that were asked for and are not there, a symbol each; NULL for what was stored before.
alter table service_backtests add column coverage jsonb check (jsonb_typeof(coverage) = 'array');
