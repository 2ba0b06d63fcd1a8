"""Running trials: a backend asks one model, a worker holds it, a pool holds workers."""
