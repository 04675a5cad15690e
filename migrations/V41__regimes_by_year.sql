-- Regimes by year of market time, so that old ones leave as a whole.

create temporary table former_regimes on commit drop as select * from market_regimes;
create temporary table next_regime on commit drop as
select nextval(pg_get_serial_sequence('market_regimes', 'id')) as id;
drop table market_regimes;

-- How rough an asset's market is: the percentile of its realised volatility among its own past.
create table market_regimes (
    id bigint not null generated always as identity,
    market text not null check (market in ('spot', 'um')),
    asset text not null check (asset <> ''),
    regime text not null check (regime in ('low_volatility', 'normal', 'high_volatility', 'extreme')),
    -- 0 to 100.
    volatility_percentile finite_double not null check (volatility_percentile between 0 and 100),
    -- Standard deviation of returns, annualised by sqrt(365).
    realised_volatility finite_double not null check (realised_volatility >= 0),
    -- The regime of the row before; kept by a trigger.
    previous_regime text check (previous_regime in ('low_volatility', 'normal', 'high_volatility', 'extreme')),
    -- Market time, UTC ms.
    effective_from_ms bigint not null,
    -- NULL for the newest one; kept by a trigger.
    effective_until_ms bigint,
    created_at timestamptz not null default now(),
    -- A key of a partitioned table has what it is partitioned by; ids are one sequence's, and nobody may choose them.
    primary key (id, effective_from_ms),
    unique (market, asset, effective_from_ms),
    constraint market_regimes_by_percentile check (regime = case when volatility_percentile::double precision < 25
        then 'low_volatility' when volatility_percentile::double precision < 75 then 'normal'
        when volatility_percentile::double precision < 95 then 'high_volatility' else 'extreme' end),
    constraint market_regimes_order check (effective_until_ms > effective_from_ms)
) partition by range (effective_from_ms);
create index market_regimes_current on market_regimes (market, asset) where effective_until_ms is null;
create index market_regimes_created_at on market_regimes (created_at);
create table market_regimes_default partition of market_regimes default;

select ensure_partition('market_regimes', year at time zone 'UTC') from (
    -- What is no moment of a market's stays in the default partition.
    select distinct date_trunc('year', to_timestamp(effective_from_ms / 1000.0) at time zone 'UTC') as year
    from former_regimes where effective_from_ms between 0 and 32503680000000
) years;
insert into market_regimes (id, market, asset, regime, volatility_percentile, realised_volatility, previous_regime,
    effective_from_ms, effective_until_ms, created_at)
overriding system value
select id, market, asset, regime, volatility_percentile, realised_volatility, previous_regime, effective_from_ms,
    effective_until_ms, created_at
from former_regimes;
select setval(pg_get_serial_sequence('market_regimes', 'id'), id, false) from next_regime;

-- A unique index cannot say any more that an asset has one current regime: it would need what the table is partitioned by.
-- So whoever begins a regime of an asset, or opens one again, waits for others who do so, and then looks.
create function hold_regimes(market text, asset text) returns void language sql as $$
    select pg_advisory_xact_lock(hashtextextended(format('market_regimes %s %s', market, asset), 0))
$$;

create or replace function follow_regime() returns trigger language plpgsql as $$
declare
    before market_regimes;
begin
    -- One that comes back from the archive is complete.
    if new.effective_until_ms is not null then
        return new;
    end if;
    perform hold_regimes(new.market, new.asset);
    select * into before from market_regimes
        where market = new.market and asset = new.asset and effective_until_ms is null for update;
    if found then
        if before.effective_from_ms >= new.effective_from_ms then
            raise exception 'the regime of % is known until % already', new.asset, before.effective_from_ms
                using errcode = 'check_violation', constraint = 'market_regimes_forward', table = 'market_regimes';
        end if;
        update market_regimes set effective_until_ms = new.effective_from_ms
        where id = before.id and effective_from_ms = before.effective_from_ms;
    end if;
    new.previous_regime := before.regime;
    return new;
end $$;
create trigger market_regimes_follow before insert on market_regimes
    for each row execute function follow_regime();

create function check_one_current_regime() returns trigger language plpgsql as $$
begin
    perform hold_regimes(new.market, new.asset);
    if (select count(*) from market_regimes
        where market = new.market and asset = new.asset and effective_until_ms is null) > 1 then
        raise exception '% has a current regime already', new.asset
            using errcode = 'unique_violation', constraint = 'market_regimes_one_current', table = 'market_regimes';
    end if;
    return null;
end $$;
create trigger market_regimes_one_current after insert or update on market_regimes
    for each row when (new.effective_until_ms is null) execute function check_one_current_regime();

-- Makes partitions for what waits in the default ones: what came back from the archive, or what somebody wrote by hand.
create function settle_partitions() returns void language plpgsql security definer set search_path = public, pg_temp as $$
begin
    perform ensure_partition('performance_metrics', month at time zone 'UTC')
    from (select distinct date_trunc('month', day::timestamp) as month from performance_metrics_default) months;
    perform ensure_partition('market_regimes', year at time zone 'UTC') from (
        select distinct date_trunc('year', to_timestamp(effective_from_ms / 1000.0) at time zone 'UTC') as year
        from market_regimes_default where effective_from_ms between 0 and 32503680000000
    ) years;
end $$;
revoke execute on function settle_partitions() from public;

-- As before, and: months of performance_metrics go by partition where they have one, and a year of regimes that is empty and
-- over leaves, too. (Regimes are kept by when they were stored, and an asset's current one is kept for ever: they leave row
-- by row.)
create or replace function drop_archived(archive uuid) returns void language plpgsql security definer
set search_path = public, pg_temp as $$
declare
    a archives;
    partition regclass;
    found_rows bigint;
    first_id bigint;
    has_rows boolean;
begin
    select * into strict a from archives where id = archive for update;
    if a.dropped_at is not null then
        return;
    end if;
    if a.to_at > now() - interval '180 days' then
        raise exception 'rows of % are too young to be dropped', a.to_at using errcode = 'insufficient_privilege';
    end if;
    if archived_rows(a.table_name) is null then
        raise exception '% is kept for ever', a.table_name using errcode = 'insufficient_privilege';
    end if;
    execute format('select count(*) from public.%I where %s', a.table_name, archived_rows(a.table_name))
        into found_rows using a.from_at, a.to_at;
    if found_rows <> a.rows then
        raise exception 'archive % has % rows of %, the table has %', archive, a.rows, a.table_name, found_rows
            using errcode = 'check_violation', constraint = 'archives_rows', table = 'archives';
    end if;
    if a.table_name in ('backtest_trades', 'audit_logs', 'performance_metrics') then
        partition := to_regclass(format('public.%I', a.table_name || '_' || to_char(a.from_at at time zone 'UTC', 'YYYY_MM')));
        if partition is null and a.table_name <> 'performance_metrics' then
            raise exception 'there is no partition of % for %', a.table_name, a.from_at;
        end if;
    end if;
    if partition is not null then
        execute format('select count(*) from %s', partition) into found_rows;
        if found_rows <> a.rows then
            raise exception 'archive % has % rows, the partition has %', archive, a.rows, found_rows
                using errcode = 'check_violation', constraint = 'archives_rows', table = 'archives';
        end if;
        if a.table_name = 'audit_logs' then
            execute format('select min(id) from %s', partition) into first_id;
            if first_id <> (select last_id + 1 from audit_base) then
                raise exception 'the audit trail is archived from its beginning on, and % is not that', a.from_at
                    using errcode = 'check_violation', constraint = 'archives_audit_order', table = 'archives';
            end if;
            execute format('update audit_base set (last_id, last_hash) =
                (select id, hash from %s order by id desc limit 1)', partition);
        end if;
        execute format('alter table public.%I detach partition %s', a.table_name, partition);
        execute format('drop table %s', partition);
    else
        execute format('delete from public.%I where %s', a.table_name, archived_rows(a.table_name)) using a.from_at, a.to_at;
    end if;
    if a.table_name = 'market_regimes' then
        for partition in
            select c.oid from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = 'market_regimes'::regclass and c.relname ~ '^market_regimes_[0-9]{4}$'
                and c.relname < 'market_regimes_' || to_char(now() at time zone 'UTC', 'YYYY')
        loop
            execute format('select exists (select from %s)', partition) into has_rows;
            if not has_rows then
                -- Looked at again once nobody can write to it.
                execute format('lock table %s in access exclusive mode', partition);
                execute format('select exists (select from %s)', partition) into has_rows;
            end if;
            if not has_rows then
                execute format('alter table market_regimes detach partition %s', partition);
                execute format('drop table %s', partition);
            end if;
        end loop;
    end if;
    update archives set dropped_at = now(), restored_at = null where id = archive;
end $$;
