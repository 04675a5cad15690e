//! Configuration: defaults, file, environment. Loaded only by `main` and `cli`.
