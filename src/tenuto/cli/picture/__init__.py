"""How runs and instances are drawn: lines, bars, tables, progress. Shows, and asks nothing."""
