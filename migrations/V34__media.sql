-- What videos say: items with their features, families of near-duplicates, and the strategies that were proposed of them.

-- Items that tell the same idea. Luck is tried once a family.
create table media_families (
    id bigint generated always as identity primary key,
    -- Where the first item's embeddings point, a unit vector; NULL for an item that has none and stands by itself.
    signature real[] check (cardinality(signature) >= 1),
    created_at timestamptz not null default now(),
    -- When strategies of one of its items were proposed first: from then on it counts as a trial.
    tried_at timestamptz
);

-- A trial that was counted stays counted.
create function keep_media_trial() returns trigger language plpgsql as $$
begin
    if old.tried_at is not null and new.tried_at is distinct from old.tried_at then
        raise exception 'media family % was tried at %: that does not change', old.id, old.tried_at
            using errcode = 'check_violation', constraint = 'media_families_trial_fixed', table = 'media_families';
    end if;
    return new;
end $$;
create trigger media_families_keep_trial before update on media_families
    for each row execute function keep_media_trial();

create table media_items (
    -- The client's number, which other systems keep in an integer.
    id integer primary key check (id >= 1),
    family_id bigint not null references media_families (id),
    -- SHA-256 of the content: the same content is stored once.
    digest text not null check (digest ~ '^[0-9a-f]{64}$'),
    -- Keyword hits and transcripts as they were posted.
    item jsonb not null check (jsonb_typeof(item) = 'object'),
    -- Embeddings, one after the other.
    embeddings double precision[] not null,
    embedding_dim integer not null check (embedding_dim >= 0),
    features jsonb not null check (jsonb_typeof(features) = 'object'),
    created_at timestamptz not null default now(),
    -- When its content was last replaced by another one.
    updated_at timestamptz not null default now(),
    check (case when embedding_dim = 0 then cardinality(embeddings) = 0
        else cardinality(embeddings) % embedding_dim = 0 end)
);
create index media_items_family_id on media_items (family_id, id);
create index media_items_updated_at on media_items (updated_at desc, id desc);

-- A strategy that was proposed of an item, and what clients' limits said of its backtest: a row each time.
create table media_strategies (
    id bigint generated always as identity primary key,
    media_item_id integer not null references media_items (id) on delete cascade,
    -- The content that it was proposed from.
    digest text not null check (digest ~ '^[0-9a-f]{64}$'),
    kind text not null check (kind in ('features', 'lexicon')),
    -- NULL once what clients posted and nobody used has left.
    strategy_id uuid references strategies (id) on delete set null,
    backtest_id bigint references service_backtests (id) on delete set null,
    -- NULL until a backtest was judged.
    status text check (status in ('promoted', 'not_promoted')),
    reason text check (reason <> ''),
    created_at timestamptz not null default now(),
    constraint media_strategies_judged check ((status is null) = (reason is null))
);
create index media_strategies_item on media_strategies (media_item_id, id);
create index media_strategies_strategy_id on media_strategies (strategy_id, id);
create index media_strategies_backtest_id on media_strategies (backtest_id);

-- Clients of media look for what went live by the item that it came from; their numbers are integers.
create or replace view proven_strategies as
select s.id as strategy_id, s.name, s.genome_hash, s.type, s.timeframe, s.symbols, p.source,
    p.sharpe_ratio::double precision as sharpe_ratio, p.win_rate::double precision as win_rate,
    p.max_drawdown::double precision as max_drawdown, p.total_return::double precision as total_return,
    p.total_trades as num_trades, p.avg_trade_duration_hours::double precision as avg_trade_duration,
    case when s.state = 'disabled' then 'retired'
        when exists (select from deployments d where d.strategy_id = s.id and d.status = 'active') then 'active'
        else 'promoted' end as status,
    t.promoted_at,
    s.number::integer as id,
    (select m.media_item_id from media_strategies m where m.strategy_id = s.id order by m.id limit 1) as media_item_id
from (select strategy_id, max(created_at) as promoted_at from transitions where kind = 'go_live' group by 1) t
join strategies s on s.id = t.strategy_id
left join lateral (
    select * from strategy_stats p where p.strategy_id = s.id
    order by (p.total_trades > 0) desc, array_position(array['live', 'shadow', 'holdout', 'backtest'], p.source),
        p.window_from_ms desc
    limit 1
) p on true;
