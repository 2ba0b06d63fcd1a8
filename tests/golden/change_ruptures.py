"""Make change_ruptures.csv: divisions of series by PELT, at a price for each step.

ruptures 1.1.10, numpy 2.4, Python 3.11; run it, and keep what it prints.
"""

import numpy as np
import ruptures

print("values,penalty,starts")
rng = np.random.default_rng(20)
for levels, lengths in [
    ([0], [30]),
    ([0, 3], [15, 15]),
    ([0, 2, 0], [12, 6, 20]),
    ([5, 4, 2, 4.5], [10, 10, 10, 10]),
    ([0, 1, -1, 2, 0], [25, 20, 30, 5, 40]),
    ([1, 6], [2, 20]),
]:
    y = np.round(np.repeat(levels, lengths) + rng.standard_normal(sum(lengths)), 3)
    for penalty in (1.0, 4.0, 12.0):
        found = ruptures.Pelt(model="l2", min_size=2, jump=1).fit(y).predict(penalty)
        words = (" ".join(map(str, part)) for part in (y.tolist(), found[:-1]))
        values, starts = words
        print(f"{values},{penalty},{starts}")
