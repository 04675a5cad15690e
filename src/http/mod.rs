//! Routes and wire types. Reads the store and leaves commands in it; never calls the daemon.
