"""Measurements that anyone can run; results are in README.md beside. They are no tests."""
