"""From a plan to a dataset on disk."""
