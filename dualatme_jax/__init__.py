"""Micro-expression recognition: every left-out subject trained side by side, in JAX."""
