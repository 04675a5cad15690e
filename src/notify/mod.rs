//! Outbox to Discord and Slack. Reads the store, never calls the daemon, never holds up a trading decision.
