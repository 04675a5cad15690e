-- No two strategies that are not disabled have one name.

-- The name itself, or with the lowest number from 2 on ("name-2") where another strategy that is not disabled has it. At most
-- 200 characters, as the table asks for.
create function free_strategy_name(wanted text, of_genome_hash text) returns text language plpgsql as $$
declare
    free text := wanted;
    n integer := 1;
begin
    while exists (
        select from strategies where name = free and state <> 'disabled' and genome_hash <> of_genome_hash
    ) loop
        n := n + 1;
        free := left(wanted, 199 - length(n::text)) || '-' || n;
    end loop;
    return free;
end $$;

-- Names that were given more than once: what the daemon or an operator stored keeps its name before what a client posted, the
-- older one before the younger one, and the others get numbers in that order. The trail cannot be written here, since only
-- the program has its key; the entry of each strategy's creation tells the former name.
do $$
declare
    s record;
begin
    for s in
        select id, name, genome_hash from (
            select *, row_number() over (partition by name order by type = 'service', created_at, id) as place
            from strategies where state <> 'disabled'
        ) named where place > 1 order by name, place
    loop
        update strategies set name = free_strategy_name(s.name, s.genome_hash) where id = s.id;
    end loop;
end $$;
create unique index strategies_name_in_use on strategies (name) where state <> 'disabled';
