"""How did scores go? Points, noise, prediction, change points, regressions."""
