-- What is old leaves for the archive.

-- Where the audit trail begins: the last entry that is in the archive. Attested by a later entry of the trail itself.
create table audit_base (
    only_row boolean primary key default true check (only_row),
    last_id bigint not null check (last_id >= 0),
    last_hash bytea not null check (length(last_hash) = 32)
);
insert into audit_base (last_id, last_hash) values (0, decode(repeat('00', 32), 'hex'));

-- Which rows of a table belong to a stretch of time, as a condition on $1 and $2; NULL for tables that are kept for ever.
create function archived_rows(name text) returns text language sql immutable as $$
    select case name
        when 'backtest_trades' then 'created_at >= $1 and created_at < $2'
        when 'backtest_results' then 'created_at >= $1 and created_at < $2'
        when 'walk_forward_windows' then
            'run_id in (select id from backtest_runs where created_at >= $1 and created_at < $2)'
        when 'backtest_runs' then 'created_at >= $1 and created_at < $2 and completed_at is not null'
        when 'performance_metrics' then 'day >= ($1 at time zone ''UTC'')::date and day < ($2 at time zone ''UTC'')::date'
        when 'strategy_scores' then 'calculated_at >= $1 and calculated_at < $2 and not is_latest'
        when 'drift_alerts' then 'opened_at >= $1 and opened_at < $2 and closed_at is not null'
        when 'market_regimes' then 'created_at >= $1 and created_at < $2 and effective_until_ms is not null'
        when 'audit_logs' then 'created_at >= $1 and created_at < $2'
    end
$$;

-- Removes the rows of an archive whose file was verified: exactly as many as it has, none of them younger than half a
-- year. What is partitioned goes by partition.
create function drop_archived(archive uuid) returns void language plpgsql security definer
set search_path = public, pg_temp as $$
declare
    a archives;
    partition regclass;
    found_rows bigint;
    first_id bigint;
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
    if a.table_name in ('backtest_trades', 'audit_logs') then
        partition := to_regclass(format('public.%I', a.table_name || '_' || to_char(a.from_at at time zone 'UTC', 'YYYY_MM')));
        if partition is null then
            raise exception 'there is no partition of % for %', a.table_name, a.from_at;
        end if;
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
    update archives set dropped_at = now(), restored_at = null where id = archive;
end $$;

-- Notes that the rows of an archive are back, after they were inserted: as many as it has.
create function note_restored(archive uuid) returns void language plpgsql security definer
set search_path = public, pg_temp as $$
declare
    a archives;
    found_rows bigint;
begin
    select * into strict a from archives where id = archive for update;
    execute format('select count(*) from public.%I where %s', a.table_name, archived_rows(a.table_name))
        into found_rows using a.from_at, a.to_at;
    if found_rows <> a.rows then
        raise exception 'archive % has % rows of %, the table has % now', archive, a.rows, a.table_name, found_rows
            using errcode = 'check_violation', constraint = 'archives_rows', table = 'archives';
    end if;
    if a.table_name = 'audit_logs' then
        update audit_base set last_id = (a.detail ->> 'before_id')::bigint,
            last_hash = decode(a.detail ->> 'before_hash', 'hex')
        where last_id = (a.detail ->> 'last_id')::bigint;
        if not found then
            raise exception 'the audit trail is restored from its newest archive on' using errcode = 'check_violation',
                constraint = 'archives_audit_order', table = 'archives';
        end if;
    end if;
    update archives set dropped_at = null, restored_at = now() where id = archive;
end $$;
revoke execute on function drop_archived(uuid), note_restored(uuid) from public;
