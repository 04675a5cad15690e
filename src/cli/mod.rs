//! One thin file per subcommand. Parses, calls, prints; no logic of its own.
