"""Which sections does each kind of page have? One module for each kind."""
