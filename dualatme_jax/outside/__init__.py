"""Files that people give us, read with limits of size, memory and time."""
