"""One file a release: each reads what its folder holds into a `Survey`."""
