"""Rendered faces that stand in for the databases: an embedded release, and releases on disk in their layouts.

One renderer serves both. It is no model of any database, and scores on its clips say nothing about scores on
real faces; it is there to learn the tools, and to test them from sheets and frames to scores.

Coordinates called the template's are those of `landmarks/template.csv`: x rightwards and y downwards on an
aligned face, whose square is `face.GRID` wide and high.
"""
