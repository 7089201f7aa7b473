"""The parts of the page of a run, one file each; each is made from a `Record`, or is absent."""
