"""From a table of trials to predictions. Functions are written for one trial; `parallel` stacks them."""
