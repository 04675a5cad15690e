-- What an operator states that a strategy has seen, with the command that revives it.
alter table operator_commands
    add column seen_until_ms bigint check (seen_until_ms is null or kind = 'revive');
