-- More kinds of work are shared: slices of optimisations, sessions that are bred again, markets of books, lives.

alter table work_items drop constraint work_items_kind_check;
alter table work_items add constraint work_items_kind_check check (kind in (
    'null_search', 'book_null_search', 'calibration_market', 'optimization_slice', 'session_replay', 'book_market', 'lives'));
