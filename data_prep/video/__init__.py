"""From anybody's video to the moments at which a face does something: `recording`, `track`, `spotter`."""
