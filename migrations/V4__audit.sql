-- The audit trail: append-only, hash-chained, partitioned by month.

create type audit_event as enum (
    'strategy_created', 'strategy_transition', 'session_opened', 'session_finished', 'session_abandoned',
    'deployment_changed', 'dead_letter_changed', 'operator_action', 'configuration_changed', 'data_changed'
);

create table audit_logs (
    id bigint not null check (id >= 1),
    created_at timestamptz not null,
    event_type audit_event not null,
    entity_type text not null check (entity_type <> ''),
    entity_id text not null check (entity_id <> ''),
    actor text not null check (actor <> ''),
    before_state jsonb,
    after_state jsonb,
    metadata jsonb not null default '{}',
    correlation_id uuid,
    ip_hash text,
    user_agent text,
    -- Which key the hash is keyed with; NULL for plain SHA-256.
    key_id text,
    prev_hash bytea not null check (length(prev_hash) = 32),
    hash bytea not null check (length(hash) = 32),
    primary key (id, created_at)
) partition by range (created_at);
create index audit_logs_entity on audit_logs (entity_type, entity_id, id);
create index audit_logs_created_at on audit_logs (created_at);

-- The end of the chain. Its row lock makes entries sequential.
create table audit_head (
    only_row boolean primary key default true check (only_row),
    last_id bigint not null check (last_id >= 0),
    last_hash bytea not null check (length(last_hash) = 32)
);
insert into audit_head (last_id, last_hash) values (0, decode(repeat('00', 32), 'hex'));

create function refuse_audit_change() returns trigger language plpgsql as $$
begin
    raise exception 'audit_logs is append-only: % is refused', tg_op
        using errcode = 'insufficient_privilege', table = 'audit_logs';
end $$;
create trigger audit_logs_append_only before update or delete on audit_logs
    for each row execute function refuse_audit_change();
create trigger audit_logs_no_truncate before truncate on audit_logs
    for each statement execute function refuse_audit_change();

-- Makes the partition of a month, if there is none. Attached rather than created in place: that lock lets readers be.
create function ensure_audit_partition(at timestamptz) returns void language plpgsql as $$
declare
    month_start timestamp := date_trunc('month', at at time zone 'UTC');
    partition text := 'audit_logs_' || to_char(month_start, 'YYYY_MM');
begin
    if to_regclass(format('%I.%I', current_schema(), partition)) is not null then
        return;
    end if;
    execute format('create table %I (like audit_logs including defaults including constraints)', partition);
    execute format('create trigger audit_logs_no_truncate before truncate on %I '
        || 'for each statement execute function refuse_audit_change()', partition);
    execute format('alter table audit_logs attach partition %I for values from (%L) to (%L)', partition,
        month_start at time zone 'UTC', (month_start + interval '1 month') at time zone 'UTC');
end $$;
