-- Deployments with their limits and days, market regimes, drift alerts, and what others read of it all.

-- What was moved out of the database: a file of rows of one table and month (or other stretch of time).
create table archives (
    id uuid primary key,
    table_name text not null check (table_name <> ''),
    -- Rows of [from_at, to_at).
    from_at timestamptz not null,
    to_at timestamptz not null,
    rows bigint not null check (rows >= 1),
    path text not null unique check (path <> ''),
    bytes bigint not null check (bytes >= 1),
    -- SHA-256 of the file.
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    -- What else is needed to take the rows back or to go on without them.
    detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object'),
    written_at timestamptz not null default now(),
    -- When the rows left the database; NULL while they are here (not dropped yet, or restored).
    dropped_at timestamptz,
    restored_at timestamptz,
    check (from_at < to_at)
);
create index archives_table_name on archives (table_name, from_at);

-- Limits that a deployment must have, each a number.
create function is_risk_limits(limits jsonb) returns boolean language sql immutable parallel safe as $$
    select coalesce((limits ->> 'max_position_pct')::double precision between 0.01 and 100
        and (limits ->> 'max_daily_loss_pct')::double precision between 0.01 and 100
        and (limits ->> 'max_drawdown_pct')::double precision between 0.01 and 100
        and (limits ->> 'max_leverage')::double precision between 1 and 125, false)
$$;

alter table deployments
    add column risk_limits jsonb not null
        default '{"max_position_pct": 100, "max_daily_loss_pct": 10, "max_drawdown_pct": 25, "max_leverage": 10}'
        constraint deployments_risk_limits check (is_risk_limits(risk_limits)),
    -- Overall score when it was promoted.
    add column promotion_score finite_double check (promotion_score between 0 and 100),
    -- Capital that the allocation is a share of, quote units.
    add column total_capital numeric not null default 10000 check (total_capital > 0),
    add column updated_at timestamptz not null default now(),
    add constraint deployments_paused check (paused_until is null or status = 'paused');

create function check_deployment_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        if new.phase <> 'initial' then
            raise exception 'a deployment begins at phase initial, not %', new.phase using errcode = 'check_violation',
                constraint = 'deployments_phase_sequence', table = 'deployments';
        end if;
        return new;
    end if;
    if new.phase <> old.phase and (old.phase, new.phase) not in (('initial', 'growth'), ('growth', 'full')) then
        raise exception 'deployment % cannot go from phase % to %', old.id, old.phase, new.phase
            using errcode = 'check_violation', constraint = 'deployments_phase_sequence', table = 'deployments';
    end if;
    if old.status = 'deactivated' then
        raise exception 'deployment % has ended: it does not change any more', old.id
            using errcode = 'check_violation', constraint = 'deployments_ended_fixed', table = 'deployments';
    end if;
    if (new.id, new.strategy_id, new.started_market_ms, new.started_at)
        <> (old.id, old.strategy_id, old.started_market_ms, old.started_at) then
        raise exception 'deployment % cannot become another one', old.id
            using errcode = 'check_violation', constraint = 'deployments_identity_fixed', table = 'deployments';
    end if;
    new.updated_at := now();
    return new;
end $$;
create trigger deployments_legal_change before insert or update on deployments
    for each row execute function check_deployment_change();

-- One row a deployment and day (UTC, market time). Fractions, not percent, but for the allocation.
create table performance_metrics (
    deployment_id uuid not null references deployments (id) on delete cascade,
    day date not null,
    -- Allocation on that day.
    allocation_pct numeric(5, 2) not null check (allocation_pct between 0 and 100),
    daily_return finite_double not null check (daily_return >= -1),
    -- Since the deployment began, this day included.
    cumulative_return finite_double not null check (cumulative_return >= -1),
    rolling_sharpe_30d finite_double,
    -- Equity at the day's end / running peak - 1.
    drawdown finite_double not null check (drawdown between -1 and 0),
    win_rate finite_double check (win_rate between 0 and 1),
    -- Closed since the deployment began.
    trades integer not null check (trades >= 0),
    -- Standard deviation of the last 30 daily returns, annualised by sqrt(365).
    volatility finite_double check (volatility >= 0),
    -- Daily return of holding the strategy's symbols in equal parts.
    benchmark_return finite_double check (benchmark_return >= -1),
    created_at timestamptz not null default now(),
    primary key (deployment_id, day)
);
create index performance_metrics_day on performance_metrics (day);

-- (1 + cumulative) = (1 + cumulative of the day before) x (1 + daily), for the row and for the one after it. Where the
-- days before are in the archive, the first one that is here has nothing to be compared with.
create function check_cumulative_return() returns trigger language plpgsql as $$
declare
    problem date;
begin
    select d.day into problem
    from (
        select p.day, p.daily_return::double precision as daily, p.cumulative_return::double precision as cumulative,
            lag(p.cumulative_return::double precision) over (order by p.day) as before,
            lag(p.day) over (order by p.day) is null as first
        from performance_metrics p where p.deployment_id = new.deployment_id
            and p.day >= coalesce((select max(q.day) from performance_metrics q
                where q.deployment_id = new.deployment_id and q.day < new.day), new.day)
        order by p.day limit 3
    ) d
    where abs((1 + coalesce(d.before, 0)) * (1 + d.daily) - (1 + d.cumulative)) > 1e-9 * greatest(1, abs(1 + d.cumulative))
        and not (d.first and (
            exists (select from performance_metrics q where q.deployment_id = new.deployment_id and q.day < d.day)
            or exists (select from archives where table_name = 'performance_metrics')))
    limit 1;
    if problem is not null then
        raise exception 'deployment %: the cumulative return of % does not follow from the daily ones', new.deployment_id,
            problem using errcode = 'check_violation', constraint = 'performance_metrics_cumulative',
            table = 'performance_metrics';
    end if;
    return null;
end $$;
create constraint trigger performance_metrics_cumulative
    after insert or update on performance_metrics deferrable initially deferred
    for each row execute function check_cumulative_return();

-- How rough an asset's market is: the percentile of its realised volatility among its own past.
create table market_regimes (
    id bigint generated always as identity primary key,
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
    unique (market, asset, effective_from_ms),
    constraint market_regimes_by_percentile check (regime = case when volatility_percentile::double precision < 25
        then 'low_volatility' when volatility_percentile::double precision < 75 then 'normal'
        when volatility_percentile::double precision < 95 then 'high_volatility' else 'extreme' end),
    constraint market_regimes_order check (effective_until_ms > effective_from_ms)
);
create unique index market_regimes_one_current on market_regimes (market, asset) where effective_until_ms is null;
create index market_regimes_created_at on market_regimes (created_at);

create function follow_regime() returns trigger language plpgsql as $$
declare
    before market_regimes;
begin
    -- One that comes back from the archive is complete.
    if new.effective_until_ms is not null then
        return new;
    end if;
    select * into before from market_regimes
        where market = new.market and asset = new.asset and effective_until_ms is null for update;
    if found then
        if before.effective_from_ms >= new.effective_from_ms then
            raise exception 'the regime of % is known until % already', new.asset, before.effective_from_ms
                using errcode = 'check_violation', constraint = 'market_regimes_forward', table = 'market_regimes';
        end if;
        update market_regimes set effective_until_ms = new.effective_from_ms where id = before.id;
    end if;
    new.previous_regime := before.regime;
    return new;
end $$;
create trigger market_regimes_follow before insert on market_regimes
    for each row execute function follow_regime();

-- A deployment that does not do what was expected of it.
create table drift_alerts (
    id bigint generated always as identity primary key,
    deployment_id uuid not null references deployments (id) on delete cascade,
    strategy_id uuid not null references strategies (id) on delete cascade,
    type text not null check (type in ('sharpe', 'return', 'drawdown', 'winrate', 'volatility')),
    severity text not null check (severity in ('warning', 'critical')),
    expected finite_double not null,
    observed finite_double not null,
    delta finite_double generated always as (observed::double precision - expected::double precision) stored,
    -- How far observed may be on the wrong side of expected: above for volatility, below for the others (a drawdown is
    -- a negative fraction).
    warning_at finite_double not null check (warning_at >= 0),
    critical_at finite_double not null,
    recommended_action text not null check (recommended_action in ('monitor', 'reduce_allocation', 'deactivate')),
    -- What the judgement rests on.
    detail jsonb not null default '{}' check (jsonb_typeof(detail) = 'object'),
    opened_at timestamptz not null default now(),
    -- Market time of the newest reading, UTC ms.
    at_market_ms bigint not null,
    escalated_at timestamptz,
    acknowledged_by text check (acknowledged_by <> ''),
    acknowledged_at timestamptz,
    action_taken text check (action_taken <> ''),
    closed_at timestamptz,
    updated_at timestamptz not null default now(),
    constraint drift_alerts_thresholds check (critical_at::double precision > warning_at::double precision),
    constraint drift_alerts_severity check (
        case when type = 'volatility' then observed::double precision - expected::double precision
            else expected::double precision - observed::double precision end
        >= case severity when 'critical' then critical_at::double precision else warning_at::double precision end
        and (severity = 'critical' or case when type = 'volatility'
            then observed::double precision - expected::double precision
            else expected::double precision - observed::double precision end < critical_at::double precision)),
    constraint drift_alerts_acknowledged check ((acknowledged_by is null) = (acknowledged_at is null)),
    constraint drift_alerts_escalated check (escalated_at is null or severity = 'critical'),
    constraint drift_alerts_closed check (closed_at >= opened_at)
);
create unique index drift_alerts_one_open on drift_alerts (deployment_id, type) where closed_at is null;
create index drift_alerts_strategy_id on drift_alerts (strategy_id, opened_at desc);
create index drift_alerts_opened_at on drift_alerts (opened_at);

create function check_drift_alert() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and old.closed_at is not null then
        raise exception 'drift alert % is closed: it does not change any more', old.id
            using errcode = 'check_violation', constraint = 'drift_alerts_closed_fixed', table = 'drift_alerts';
    end if;
    if tg_op = 'INSERT' and not exists (
        select from deployments d where d.id = new.deployment_id and d.strategy_id = new.strategy_id
    ) then
        raise exception 'deployment % is not one of strategy %', new.deployment_id, new.strategy_id
            using errcode = 'check_violation', constraint = 'drift_alerts_same_strategy', table = 'drift_alerts';
    end if;
    if tg_op = 'UPDATE' then
        new.updated_at := now();
    end if;
    return new;
end $$;
create trigger drift_alerts_legal before insert or update on drift_alerts
    for each row execute function check_drift_alert();

-- What was promoted, with the figures of the source nearest to reality that has trades.
create view proven_strategies as
select s.id as strategy_id, s.name, s.genome_hash, s.type, s.timeframe, s.symbols, p.source,
    p.sharpe_ratio::double precision as sharpe_ratio, p.win_rate::double precision as win_rate,
    p.max_drawdown::double precision as max_drawdown, p.total_return::double precision as total_return,
    p.total_trades as num_trades, p.avg_trade_duration_hours::double precision as avg_trade_duration,
    case when s.state = 'disabled' then 'retired'
        when exists (select from deployments d where d.strategy_id = s.id and d.status = 'active') then 'active'
        else 'promoted' end as status,
    t.promoted_at
from (select strategy_id, max(created_at) as promoted_at from transitions where kind = 'go_live' group by 1) t
join strategies s on s.id = t.strategy_id
left join lateral (
    select * from strategy_stats p where p.strategy_id = s.id
    order by (p.total_trades > 0) desc, array_position(array['live', 'shadow', 'holdout', 'backtest'], p.source),
        p.window_from_ms desc
    limit 1
) p on true;

-- One row a strategy: where it stands and the newest figures of each source.
create materialized view strategy_performance_summary as
select s.id as strategy_id, s.name, s.type, s.state, s.disable_reason, s.island, s.generation, s.timeframe, s.created_at,
    s.state_changed_at, c.overall::double precision as score, c.grade, c.percentile::double precision as percentile,
    (b.performance ->> 'sharpe_ratio')::double precision as backtest_sharpe_ratio,
    (b.performance ->> 'profit_factor')::double precision as backtest_profit_factor,
    (h.performance ->> 'sharpe_ratio')::double precision as holdout_sharpe_ratio,
    (h.performance ->> 'profit_factor')::double precision as holdout_profit_factor,
    (w.performance ->> 'sharpe_ratio')::double precision as shadow_sharpe_ratio,
    (w.performance ->> 'profit_factor')::double precision as shadow_profit_factor,
    (w.performance ->> 'total_trades')::integer as shadow_trades,
    (l.performance ->> 'sharpe_ratio')::double precision as live_sharpe_ratio,
    (l.performance ->> 'profit_factor')::double precision as live_profit_factor,
    (l.performance ->> 'total_return')::double precision as live_total_return,
    (l.performance ->> 'max_drawdown')::double precision as live_max_drawdown,
    (l.performance ->> 'total_trades')::integer as live_trades
from strategies s
left join strategy_scores c on c.strategy_id = s.id and c.is_latest
left join lateral (select performance from strategy_stats p where p.strategy_id = s.id and p.source = 'backtest'
    order by p.window_from_ms desc limit 1) b on true
left join lateral (select performance from strategy_stats p where p.strategy_id = s.id and p.source = 'holdout'
    order by p.window_from_ms desc limit 1) h on true
left join lateral (select performance from strategy_stats p where p.strategy_id = s.id and p.source = 'shadow'
    order by p.window_from_ms desc limit 1) w on true
left join lateral (select performance from strategy_stats p where p.strategy_id = s.id and p.source = 'live'
    order by p.window_from_ms desc limit 1) l on true;
create unique index strategy_performance_summary_id on strategy_performance_summary (strategy_id);
create index strategy_performance_summary_state on strategy_performance_summary (state, score desc nulls last);

-- One row a day: all deployments together, each by its allocation.
create materialized view portfolio_daily_performance as
select d.day, d.deployments, d.allocation_pct, d.daily_return,
    case when bool_or(d.daily_return <= -1) over (order by d.day) then -1
        else exp(sum(ln(nullif(greatest(1 + d.daily_return, 0), 0))) over (order by d.day)) - 1 end as cumulative_return,
    d.benchmark_return, d.worst_drawdown, d.trades
from (
    select day, count(*)::integer as deployments, sum(allocation_pct)::double precision as allocation_pct,
        sum(allocation_pct::double precision / 100 * daily_return::double precision) as daily_return,
        avg(benchmark_return::double precision) as benchmark_return,
        min(drawdown::double precision) as worst_drawdown, sum(trades)::bigint as trades
    from performance_metrics group by day
) d;
create unique index portfolio_daily_performance_day on portfolio_daily_performance (day);

-- Refreshing asks for the owner; whoever may call this may ask for it.
create function refresh_view(view text) returns void language plpgsql security definer set search_path = public, pg_temp as $$
begin
    if view not in ('strategy_performance_summary', 'portfolio_daily_performance') then
        raise exception '% is no materialised view of ours', view using errcode = 'invalid_parameter_value';
    end if;
    execute format('refresh materialized view concurrently %I', view);
end $$;
