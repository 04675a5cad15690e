-- What a search under way has found beside its null searches: the best statistic of the search that is compared (null
-- before it is done, or where it found nothing), and that of each null search that is done, in order, null where one found
-- nothing.
alter table trial_ledger
    add column statistic finite_double,
    add column null_statistics double precision[] not null default '{}'
        check (array_position(null_statistics, 'NaN') is null
            and array_position(null_statistics, 'Infinity') is null
            and array_position(null_statistics, '-Infinity') is null);
