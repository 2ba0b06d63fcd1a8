"""Where does the noise of a score come from? Every source, and what it adds."""
