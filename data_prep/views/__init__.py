"""One file a view: what a dataset shows of a clip. All views of a build share one preparation of the clip."""

VIEWS = ('flow', 'apex', 'clip')
