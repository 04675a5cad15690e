-- Changes of regimes, for those who ask when a market turned.

-- A row a change: from which regime to which, when (market time), and for how long the former one held; NULL where its
-- beginning is not here, or a part of it. Rows that say the same again (one begins each day) are no change.
create view regime_changes as
with linked as (
    -- Where the row before is in the archive or was never there, a new stretch begins.
    select *, count(*) filter (where previous_regime is null or before_ms is distinct from effective_from_ms)
        over (partition by market, asset order by effective_from_ms) as stretch
    from (
        select *, lag(effective_until_ms) over (partition by market, asset order by effective_from_ms) as before_ms
        from market_regimes
    ) links
), begins as (
    select *, previous_regime is distinct from regime as is_change,
        row_number() over (partition by market, asset, stretch order by effective_from_ms) = 1 as is_first
    from linked
)
select market, asset, previous_regime as from_regime, regime as to_regime, effective_from_ms as changed_ms,
    case when effective_from_ms between -62135596800000 and 253402300799999
        then to_timestamp(effective_from_ms / 1000.0) end as changed_at,
    effective_from_ms - former_ms as lasted_ms
from (
    select *, lag(case when is_change then effective_from_ms end)
        over (partition by market, asset, stretch order by effective_from_ms) as former_ms
    from begins where is_change or is_first
) changes
where is_change and previous_regime is not null;
