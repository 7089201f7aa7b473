"""One file a database: what its releases hold, and where."""
