"""Reports: what was measured, as one page or one table that says what it means."""
