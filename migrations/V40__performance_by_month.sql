-- Days of deployments by month, so that old ones leave as a whole.

-- Makes the partition of the month (performance_metrics) or year (market_regimes) that a moment of market time lies in, if
-- there is none, and takes in rows that came before it and wait in the default partition, which has whatever no partition
-- is there for. Attached rather than created in place: that lock lets readers be. Moments that are no market's stay there.
create function ensure_partition(parent text, at timestamptz) returns void language plpgsql
security definer set search_path = public, pg_temp as $$
declare
    utc timestamp := at at time zone 'UTC';
    unit text := case parent when 'performance_metrics' then 'month' when 'market_regimes' then 'year' end;
    key text := case parent when 'performance_metrics' then 'day' when 'market_regimes' then 'effective_from_ms' end;
    begins timestamp := date_trunc(unit, utc);
    ends timestamp := begins + ('1 ' || unit)::interval;
    partition text := parent || '_' || to_char(begins, case unit when 'month' then 'YYYY_MM' else 'YYYY' end);
    low text;
    high text;
begin
    if unit is null then
        raise exception '% has no partitions by time of market', parent using errcode = 'invalid_parameter_value';
    end if;
    if utc is null or utc < '1970-01-01' or utc >= '3000-01-01'
        or to_regclass(format('public.%I', partition)) is not null then
        return;
    end if;
    execute format('lock table public.%I in share update exclusive mode', parent);
    -- Another transaction may have made it while this one waited.
    if to_regclass(format('public.%I', partition)) is not null then
        return;
    end if;
    if unit = 'month' then
        low := begins::date::text;
        high := ends::date::text;
    else
        low := (extract(epoch from begins) * 1000)::bigint::text;
        high := (extract(epoch from ends) * 1000)::bigint::text;
    end if;
    execute format('create table public.%I (like public.%I including defaults including constraints)', partition, parent);
    execute format('with early as (delete from public.%I where %I >= %L and %I < %L returning *)
        insert into public.%I select * from early', parent || '_default', key, low, key, high, partition);
    execute format('alter table public.%I attach partition public.%I for values from (%L) to (%L)', parent, partition,
        low, high);
end $$;
revoke execute on function ensure_partition(text, timestamptz) from public;

create temporary table former_days on commit drop as select * from performance_metrics;
drop materialized view portfolio_daily_performance;
drop table performance_metrics;

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
) partition by range (day);
create index performance_metrics_day on performance_metrics (day);
create table performance_metrics_default partition of performance_metrics default;

-- Before the trigger: these rows were looked at when they came, and what some of them follow may be in the archive.
select ensure_partition('performance_metrics', month at time zone 'UTC')
from (select distinct date_trunc('month', day::timestamp) as month from former_days) months;
insert into performance_metrics (deployment_id, day, allocation_pct, daily_return, cumulative_return, rolling_sharpe_30d,
    drawdown, win_rate, trades, volatility, benchmark_return, created_at)
select deployment_id, day, allocation_pct, daily_return, cumulative_return, rolling_sharpe_30d, drawdown, win_rate, trades,
    volatility, benchmark_return, created_at
from former_days;
create constraint trigger performance_metrics_cumulative
    after insert or update on performance_metrics deferrable initially deferred
    for each row execute function check_cumulative_return();

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
