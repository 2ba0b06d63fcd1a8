"""How is a report drawn? Plain values in, plotly figures out; no arithmetic."""
