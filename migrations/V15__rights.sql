-- Who may do what: three roles with as little as they need, row-level security on deployments, sealed genomes.

-- Roles belong to the whole server and need the right to make roles. Where that is missing, everything works but for
-- them: make them by hand and run `sg-ai migrate` again.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['sg_ai_writer', 'sg_ai_reader', 'sg_ai_auditor'] loop
        if exists (select from pg_roles where rolname = wanted) then
            continue;
        end if;
        begin
            execute format('create role %I nologin', wanted);
        exception
            -- Another database's migration made it at the same moment.
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                raise warning 'sg-ai: % may not create the role %: have somebody run "create role % nologin", then run "sg-ai migrate" again',
                    current_user, wanted, wanted;
        end;
    end loop;
end $$;

-- Gives the roles their rights on whatever tables there are now; run after each migration. Nothing without the roles.
--   sg_ai_writer   what the daemon needs: reads everything, writes, and deletes only what is replaced, never history;
--                  adds to the audit trail and cannot change it
--   sg_ai_reader   reads everything but the audit trail, messages, and what runners need to go on
--   sg_ai_auditor  reads the audit trail and what it is about, and nothing else
create function grant_rights() returns boolean language plpgsql as $$
declare
    t record;
    history constant text[] := array['strategies', 'deployments', 'transitions', 'trial_ledger', 'search_sessions',
        'generations', 'backtest_results', 'backtest_runs', 'walk_forward_windows', 'backtest_trades', 'optimization_runs',
        'strategy_scores', 'strategy_stats', 'performance_metrics', 'market_regimes', 'drift_alerts', 'archives',
        'dead_letters', 'paper_runs', 'leases'];
    audit constant text[] := array['audit_logs', 'audit_head', 'audit_base'];
    audited constant text[] := array['transitions', 'deployments', 'archives', 'refinery_schema_history'];
    appended constant text[] := array['archives', 'transitions'];
    hidden constant text[] := array['outbox', 'search_states', 'leases'];
begin
    if (select count(*) from pg_roles where rolname in ('sg_ai_writer', 'sg_ai_reader', 'sg_ai_auditor')) < 3 then
        return false;
    end if;
    grant usage on schema public to sg_ai_writer, sg_ai_reader, sg_ai_auditor;
    for t in
        select c.relname, c.relispartition as is_partition, c.relkind in ('v', 'm') as is_view from pg_class c
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
        if not t.is_view and t.relname <> 'refinery_schema_history' then
            execute format('grant insert on public.%I to sg_ai_writer', t.relname);
            if t.relname <> all(appended) then
                execute format('grant update on public.%I to sg_ai_writer', t.relname);
            end if;
            if t.relname <> all(history) then
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
revoke execute on function grant_rights() from public;

-- They make and refresh tables, which is the owner's to do.
alter function ensure_audit_partition(timestamptz) security definer set search_path = public, pg_temp;
alter function ensure_month_partition(text, timestamptz) security definer set search_path = public, pg_temp;
revoke execute on function ensure_audit_partition(timestamptz), ensure_month_partition(text, timestamptz),
    refresh_view(text) from public;

alter table deployments enable row level security;

-- A genome may be sealed: {"sealed_with": key, ...} and a text that begins with "sealed:". Sealing, opening and sealing
-- anew is no change of the genome, whose hash stays; whether the sealed one is the right one, the seal itself proves.
create or replace function refuse_illegal_transition() returns trigger language plpgsql as $$
begin
    if new.state <> old.state and (old.state, new.state) not in (
        ('candidate', 'shadow'), ('shadow', 'live'), ('live', 'shadow'), ('candidate', 'disabled'),
        ('shadow', 'disabled'), ('live', 'disabled'), ('disabled', 'candidate')
    ) then
        raise exception 'strategy % cannot go from % to %', old.id, old.state, new.state
            using errcode = 'check_violation', constraint = 'strategies_legal_transition', table = 'strategies';
    end if;
    if new.genome_hash <> old.genome_hash or ((new.genome <> old.genome or new.canonical <> old.canonical)
        and not (old.genome ? 'sealed_with') and not (new.genome ? 'sealed_with')) then
        raise exception 'the genome of strategy % cannot change: another genome is another strategy', old.id
            using errcode = 'check_violation', constraint = 'strategies_genome_fixed', table = 'strategies';
    end if;
    new.updated_at := now();
    return new;
end $$;
alter table strategies add constraint strategies_sealed_whole
    check ((genome ? 'sealed_with') = (canonical like 'sealed:%'));
create index strategies_sealed_with on strategies ((genome ->> 'sealed_with'), id);
