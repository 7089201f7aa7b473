"""Systems of nobody's, each one file, as a user would add one."""
