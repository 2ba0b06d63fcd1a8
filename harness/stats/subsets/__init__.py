"""Small subsets: how few items stand for all, and on models never seen?"""
