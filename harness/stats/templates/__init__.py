"""Templates: how much does wording move a score, and which model is ahead?"""
