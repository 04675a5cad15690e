insert into operator_commands (kind, target, why, actor, status, outcome, finished_at)
values
    ('disable', '00000000-0000-0000-0000-00000000000a', 'a hunch', 'somebody', 'pending', null, null),
    ('retry', '1', 'once more', 'somebody', 'done', 'tried again', now());
insert into runner_pauses (runner, actor, why) values ('shadow', 'somebody', 'holidays');
