"""What a run leaves for its reader: predictions, scores with their spread, tables and plots. No JAX here."""
