# R 4.2.2, psych 2.2.9; run in this folder: Rscript items_psych.R
# Item statistics of LSAT7 (R. D. Bock, M. Lieberman 1970; 1,000 x 5, of 0 and 1) and of
# attitude (S. Chatterjee, B. Price 1977; 30 x 7, ratings), both as R has them.
library(psych)
data(bock)
tables <- list(lsat7 = lsat7, attitude = attitude)
out <- NULL
for (name in names(tables)) {
  x <- as.matrix(tables[[name]])
  a <- suppressWarnings(alpha(x))
  add <- function(item, quantity, value)
    out <<- rbind(out, data.frame(table = name, item, quantity, value))
  add("", "alpha", a$total$raw_alpha)
  add("", "alpha_low", a$feldt$lower.ci[[1]])
  add("", "alpha_high", a$feldt$upper.ci[[1]])
  for (j in seq_len(ncol(x))) {
    rest <- rowMeans(x[, -j])
    add(j - 1, "item_total", cor(x[, j], rowMeans(x)))
    add(j - 1, "r_drop", cor(x[, j], rest))
    add(j - 1, "mean", mean(x[, j]))
    # psych divides by the sample's SD; times sqrt(n / (n - 1)) by the population's.
    if (name == "lsat7")
      add(j - 1, "biserial", biserial(rest, x[, j]) * sqrt(nrow(x) / (nrow(x) - 1)))
    r <- corr.test(x[, j], rest)
    add(j - 1, "low", r$ci$lower)
    add(j - 1, "high", r$ci$upper)
  }
}
write.csv(out, "items_psych.csv", row.names = FALSE)
write.csv(attitude, "attitude.csv", row.names = FALSE)
