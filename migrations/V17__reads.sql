-- What makes the questions that are asked all day quick, however many strategies there are.
create index strategies_disabled on strategies (disable_reason) where state = 'disabled';
