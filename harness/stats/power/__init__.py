"""How sure is another design, what does it tell apart, and what does it cost?"""
