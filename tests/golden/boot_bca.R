# R 4.x, boot: see the first comment that it writes; made by `Rscript boot_bca.R > boot_bca.csv`.
# Percentile and BCa intervals of a mean, from the very resamples that R drew.
suppressMessages(library(boot))
cat(sprintf("# %s, boot %s\n", R.version.string, packageVersion("boot")))
set.seed(20240601)
x <- round(rexp(25), 4)
mean_of <- function(d, i) mean(d[i])
b <- boot(x, mean_of, R = 1999)
jackknife <- empinf(data = x, statistic = mean_of, stype = "i", type = "jack")
cat("what,value\n")
cat(sprintf("score,%.17g\n", x), sep = "")
cat(sprintf("mean,%.17g\n", b$t), sep = "")
for (level in c(0.8, 0.95)) {
  ci <- boot.ci(b, conf = level, type = c("perc", "bca"), L = jackknife)
  cat(sprintf("percentile %.2f,%.17g\n", level, ci$percent[4:5]), sep = "")
  cat(sprintf("bca %.2f,%.17g\n", level, ci$bca[4:5]), sep = "")
}
