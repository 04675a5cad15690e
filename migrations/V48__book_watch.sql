-- Books that are watched, sized and told of: when a step was last stored, what their newest block is made of, who its
-- members are by hash, and what share of the capital a live one has.

alter table books
    -- Wall time of the newest step; null before the first.
    add column stepped_at timestamptz,
    -- Parts of the newest block: correlations, attribution, exposure. An object.
    add column insight jsonb not null default '{}' check (jsonb_typeof(insight) = 'object');

-- Who trades in a block, by hash; the genomes are in the block, sealed where genomes are.
create table book_members (
    book_id uuid not null references books (id) on delete cascade,
    begin_ms bigint not null,
    place integer not null check (place >= 0),
    genome_hash text not null check (genome_hash ~ '^[0-9a-f]{64}$'),
    niche text not null,
    weight finite_double not null check (weight >= 0),
    expected_sharpe finite_double not null,
    false_discovery finite_double not null check (false_discovery between 0 and 1),
    primary key (book_id, begin_ms, place)
);
create index book_members_hash on book_members (genome_hash);

-- What a live book has at work, on paper. A book goes live once, so it has one.
create table book_deployments (
    book_id uuid primary key references books (id) on delete cascade,
    phase text not null check (phase in ('initial', 'growth', 'full')),
    phase_market_ms bigint not null,
    status text not null check (status in ('active', 'paused', 'deactivated')),
    -- Percent of capital; while paused what it had.
    allocation_pct finite_double not null check (allocation_pct between 0 and 100),
    -- Paused by an operator: until one resumes it.
    held boolean not null default false,
    reasons jsonb not null default '[]' check (jsonb_typeof(reasons) = 'array'),
    started_market_ms bigint not null,
    ended_market_ms bigint check (ended_market_ms >= started_market_ms),
    changed_at timestamptz not null default now(),
    constraint book_deployments_ended check ((status = 'deactivated') = (ended_market_ms is not null)),
    constraint book_deployments_held check (not held or status = 'paused')
);

-- Members that trade now for live books; strategy_id is that of the stored strategy of the same genome, if there is one.
create view live_book_members as
select b.id as book_id, b.number as book, m.begin_ms, m.place, m.genome_hash, m.niche, m.weight, m.expected_sharpe,
    m.false_discovery, s.id as strategy_id, s.name as strategy
from books b
join book_members m on m.book_id = b.id
    and m.begin_ms = (select max(begin_ms) from book_members n where n.book_id = b.id)
    -- A block that holds cash has no members.
    and not exists (select from book_blocks k where k.book_id = b.id and not k.is_placebo and k.begin_ms > m.begin_ms)
left join strategies s on s.genome_hash = m.genome_hash
where b.state = 'live';

-- What was promoted says by what: its own proof, or as a member of a book that was live.
create or replace view proven_strategies as
select s.id as strategy_id, s.name, s.genome_hash, s.type, s.timeframe, s.symbols, p.source,
    p.sharpe_ratio::double precision as sharpe_ratio, p.win_rate::double precision as win_rate,
    p.max_drawdown::double precision as max_drawdown, p.total_return::double precision as total_return,
    p.total_trades as num_trades, p.avg_trade_duration_hours::double precision as avg_trade_duration,
    case when exists (select from deployments d where d.strategy_id = s.id and d.status = 'active')
            or exists (select from live_book_members l where l.strategy_id = s.id) then 'active'
        when s.state = 'disabled' then 'retired'
        else 'promoted' end as status,
    t.promoted_at,
    s.number::integer as id,
    (select m.media_item_id from media_strategies m where m.strategy_id = s.id order by m.id limit 1) as media_item_id,
    t.proven_by
from (
    select strategy_id, max(promoted_at) as promoted_at,
        string_agg(distinct proven_by, ' and ' order by proven_by desc) as proven_by
    from (
        select strategy_id, created_at as promoted_at, 'own proof' as proven_by from transitions where kind = 'go_live'
        union all
        select s.id, t.created_at, 'book ' || b.number from book_transitions t
            join books b on b.id = t.book_id
            join book_blocks k on k.book_id = t.book_id and not k.is_placebo and k.end_ms > t.at_market_ms
            join book_members m on m.book_id = t.book_id and m.begin_ms = k.begin_ms
            join strategies s on s.genome_hash = m.genome_hash
        where t.to_state = 'live'
    ) found group by 1
) t
join strategies s on s.id = t.strategy_id
left join lateral (
    select * from strategy_stats p where p.strategy_id = s.id
    order by (p.total_trades > 0) desc, array_position(array['live', 'shadow', 'holdout', 'backtest'], p.source),
        p.window_from_ms desc
    limit 1
) p on true;
