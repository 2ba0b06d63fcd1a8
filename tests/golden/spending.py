"""Bounds of looks at accumulating data: sequential-analysis 0.4.0, Python 3.11.

python spending.py > spending.csv
"""

from sequential_analysis.group_sequential import group_sequential_design

print("shape,n_looks,look,spent,bound")
for shape in ("obrien-fleming", "pocock"):
    for n in (2, 5, 10, 30):
        fractions = [k / n for k in range(1, n + 1)]
        design = group_sequential_design(
            0.05, fractions, shape, two_sided=True, points_per_sd=48
        )
        for k, (spent, bound) in enumerate(
            zip(design.spent, design.bounds, strict=True), 1
        ):
            print(f"{shape},{n},{k},{2 * spent:.10g},{bound:.10g}")
