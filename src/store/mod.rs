//! Postgres: one named transaction entry, a file per table group, the outbox and the embedded server. Never decides.
