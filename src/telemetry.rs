//! Structured logs, as text or JSON.
