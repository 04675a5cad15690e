-- How far a live figure is from what was expected, in percent of that: 100 x (observed - expected) / |expected|, so that a
-- figure that is too low has a negative one whatever the sign of the expected. NULL where nothing was expected (0, or so near to
-- it that it is 0 but for rounding), and for numbers that are nobody's figures and would overflow.
alter table drift_alerts add column delta_pct finite_double generated always as (
    case when abs(expected::double precision) between 1e-12 and 1e100 and abs(observed::double precision) <= 1e100
        then 100 * (observed::double precision - expected::double precision) / abs(expected::double precision) end
) stored;
