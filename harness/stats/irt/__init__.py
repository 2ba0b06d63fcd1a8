"""Item response theory: how able is each checkpoint, how hard is each item?"""
