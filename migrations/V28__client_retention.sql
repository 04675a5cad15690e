-- What clients posted and nobody uses leaves by itself.

create index strategies_of_clients on strategies (created_at) where type = 'service';

-- Removes strategies that clients posted, with their backtests, at most so many: those that nobody posted or tested for so
-- many days, and that no move, run, figure, search, command, archive or audit entry but that of their creation refers to.
-- And backtests of clients that are as old, whatever strategy they are of. A row each: what went, how many backtests.
create function remove_unused_of_clients(unused_days integer, most integer)
returns table (strategy_id uuid, name text, backtests bigint) language plpgsql security definer
set search_path = public, pg_temp as $$
declare
    before_at timestamptz := now() - make_interval(days => unused_days);
begin
    if unused_days < 7 then
        raise exception 'what clients posted less than a week ago is not removed' using errcode = 'insufficient_privilege';
    end if;
    for strategy_id, name in
        select s.id, s.name from strategies s
        where s.type = 'service' and s.state = 'candidate' and s.created_at < before_at
            and not exists (select from service_backtests b where b.strategy_id = s.id and b.created_at >= before_at)
            and not exists (select from transitions t where t.strategy_id = s.id)
            and not exists (select from paper_runs r where r.strategy_id = s.id)
            and not exists (select from deployments d where d.strategy_id = s.id)
            and not exists (select from strategy_stats t where t.strategy_id = s.id)
            and not exists (select from strategy_scores t where t.strategy_id = s.id)
            and not exists (select from strategy_standings t where t.strategy_id = s.id)
            and not exists (select from backtest_runs r where r.strategy_id = s.id)
            and not exists (select from data_revision_uses u where u.strategy_id = s.id)
            and not exists (select from engine_meanings m where m.strategy_id = s.id)
            and not exists (select from optimization_runs o where o.best_strategy_id = s.id)
            and not exists (select from backtest_results b
                where b.strategy_id = s.id and coalesce(b.backtest_id, '') not like 'service:%')
            and not exists (select from archives a where a.table_name = 'backtest_results' and a.to_at > s.created_at)
            and not exists (select from strategies c where c.parent_ids @> array[s.id])
            and not exists (select from strategies c where c.parent_hashes @> array[s.genome_hash])
            and not exists (select from operator_commands c where c.target = s.id::text)
            and not exists (select from dead_letters l where l.subject = s.genome_hash)
            and not exists (select from audit_logs e where e.entity_type = 'strategy' and e.entity_id = s.id::text
                and e.event_type <> 'strategy_created')
        order by s.created_at limit most for update of s skip locked
    loop
        select count(*) into backtests from service_backtests b where b.strategy_id = remove_unused_of_clients.strategy_id;
        delete from strategies s where s.id = remove_unused_of_clients.strategy_id;
        return next;
    end loop;
    strategy_id := null;
    name := null;
    delete from service_backtests b where b.id in (
        select o.id from service_backtests o where o.created_at < before_at order by o.created_at limit most);
    get diagnostics backtests = row_count;
    if backtests > 0 then
        return next;
    end if;
end $$;
revoke execute on function remove_unused_of_clients(integer, integer) from public;
