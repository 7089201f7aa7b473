"""A report as one HTML file: blocks go in, a page that needs nothing else comes out."""
