"""Which differences between models are real? Over items, seeds and tasks at once."""
