"""Results of a store, as other tools read them."""
