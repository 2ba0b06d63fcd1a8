"""Results that other tools wrote, as rows of our own tables."""
