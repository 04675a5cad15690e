-- What nobody may do, whoever has the rights of a writer, and commands that move a strategy once.

-- A command says which state it is meant for and which transition it becomes. Those of an older program say neither.
alter table operator_commands
    add column client_key text,
    add column expected_state text check (expected_state in ('candidate', 'shadow', 'live', 'disabled')),
    add column transition_id uuid;
update operator_commands set status = 'failed', finished_at = now(),
    outcome = 'it waited while sg-ai was brought up to date, and does not say for which state it was meant: ask again'
where status = 'pending';
create unique index operator_commands_client_key on operator_commands (client_key);
create unique index operator_commands_one_pending on operator_commands (target) where status = 'pending';
create index operator_commands_target on operator_commands (target, id desc);

-- A state changes with a transition of the same transaction, or not at all. Asked at its end: the transition may come
-- after the state.
create function refuse_unexplained_state() returns trigger language plpgsql as $$
begin
    if not exists (select from transitions t where t.strategy_id = new.id and t.from_state = old.state
        and t.to_state = new.state and t.created_at = now()) then
        raise exception 'strategy % went from % to % without a transition', new.id, old.state, new.state
            using errcode = 'check_violation', constraint = 'strategies_explained_state', table = 'strategies';
    end if;
    return null;
end $$;
create constraint trigger strategies_explained_state after update of state on strategies
    deferrable initially deferred for each row when (old.state is distinct from new.state)
    execute function refuse_unexplained_state();

-- The rights of V15, narrower: a writer deletes only what is replaced as it goes, changes no genome (sealing anew is the
-- owner's), begins no strategy in another state than the first, and rewrites nothing that is only ever added to.
create or replace function grant_rights() returns boolean language plpgsql as $$
declare
    t record;
    columns text;
    removable constant text[] := array['paper_trades', 'search_states', 'runner_pauses'];
    audit constant text[] := array['audit_logs', 'audit_head', 'audit_base'];
    audited constant text[] := array['transitions', 'deployments', 'archives', 'refinery_schema_history'];
    appended constant text[] := array['archives', 'transitions', 'generations', 'backtest_results', 'backtest_trades',
        'walk_forward_windows', 'service_backtests', 'data_revision_uses'];
    hidden constant text[] := array['outbox', 'search_states', 'leases'];
    -- Set by the table itself when a strategy is stored, and by a transition afterwards.
    not_inserted constant text[] := array['state', 'disable_reason', 'state_changed_at', 'created_at', 'updated_at'];
    never_changed constant text[] := array['id', 'number', 'genome', 'canonical', 'genome_hash', 'created_at'];
begin
    if (select count(*) from pg_roles where rolname in ('sg_ai_writer', 'sg_ai_reader', 'sg_ai_auditor')) < 3 then
        return false;
    end if;
    grant usage on schema public to sg_ai_writer, sg_ai_reader, sg_ai_auditor;
    for t in
        select c.oid, c.relname, c.relispartition as is_partition, c.relkind in ('v', 'm') as is_view from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
    loop
        execute format('revoke all on public.%I from sg_ai_writer, sg_ai_reader, sg_ai_auditor', t.relname);
        if t.is_partition then
            -- Reached through its table only.
            continue;
        end if;
        if t.relname = any(audit) then
            execute format('grant select on public.%I to sg_ai_writer, sg_ai_auditor', t.relname);
            if t.relname = 'audit_logs' then
                grant insert on public.audit_logs to sg_ai_writer;
            elsif t.relname = 'audit_head' then
                grant update on public.audit_head to sg_ai_writer;
            end if;
            continue;
        end if;
        execute format('grant select on public.%I to sg_ai_writer', t.relname);
        if t.relname = 'strategies' then
            select string_agg(quote_ident(attname), ', ') into columns from pg_attribute
            where attrelid = t.oid and attnum > 0 and not attisdropped and attname <> all(not_inserted);
            execute format('grant insert (%s) on public.strategies to sg_ai_writer', columns);
            select string_agg(quote_ident(attname), ', ') into columns from pg_attribute
            where attrelid = t.oid and attnum > 0 and not attisdropped and attname <> all(never_changed);
            execute format('grant update (%s) on public.strategies to sg_ai_writer', columns);
        elsif not t.is_view and t.relname <> 'refinery_schema_history' then
            execute format('grant insert on public.%I to sg_ai_writer', t.relname);
            if t.relname <> all(appended) then
                execute format('grant update on public.%I to sg_ai_writer', t.relname);
            end if;
            if t.relname = any(removable) then
                execute format('grant delete on public.%I to sg_ai_writer', t.relname);
            end if;
        end if;
        if t.relname <> all(hidden) then
            execute format('grant select on public.%I to sg_ai_reader', t.relname);
        end if;
        if t.relname = any(audited) then
            execute format('grant select on public.%I to sg_ai_auditor', t.relname);
        end if;
    end loop;
    grant usage on all sequences in schema public to sg_ai_writer;
    for t in
        select p.oid::regprocedure::text as name from pg_proc p
        where p.pronamespace = 'public'::regnamespace and p.prosecdef
    loop
        execute format('grant execute on function %s to sg_ai_writer', t.name);
    end loop;
    if not exists (select from pg_policies where schemaname = 'public' and tablename = 'deployments') then
        create policy deployments_read on deployments for select to sg_ai_writer, sg_ai_reader, sg_ai_auditor using (true);
        -- A deployment begins at the first phase, and what has ended stays as it ended; nobody removes one.
        create policy deployments_begin on deployments for insert to sg_ai_writer
            with check (phase = 'initial' and status <> 'deactivated');
        create policy deployments_change on deployments for update to sg_ai_writer
            using (status <> 'deactivated') with check (true);
    end if;
    return true;
end $$;
