# R 4.2.2, lme4 1.1-31, eRm 1.0-2; run in this folder.
# A Rasch model of a simulated table: marginally (lme4, 25 nodes) and conditionally
# on the sums (eRm, easiness with sum 0).
library(lme4)
library(eRm)
set.seed(3)
n <- 150
theta <- rnorm(n, 0, 1.2)
b <- seq(-1.5, 1.8, length.out = 10)
x <- 1 * (matrix(runif(n * 10), n) < plogis(outer(theta, b, "-")))
colnames(x) <- paste0("i", 1:10)
write.csv(x, "irt_rasch_responses.csv", row.names = FALSE)

long <- data.frame(
  right = as.vector(x),
  item = factor(rep(colnames(x), each = n), levels = colnames(x)),
  person = factor(rep(1:n, 10))
)
marginal <- glmer(right ~ 0 + item + (1 | person), long, binomial, nAGQ = 25)
conditional <- RM(x, sum0 = TRUE)
found <- data.frame(
  item = colnames(x),
  glmer_easiness = fixef(marginal),
  glmer_se = sqrt(diag(as.matrix(vcov(marginal)))),
  glmer_ability_sd = attr(VarCorr(marginal)$person, "stddev"),
  glmer_log_likelihood = as.numeric(logLik(marginal)),
  erm_easiness = conditional$betapar,
  erm_se = conditional$se.beta
)
write.csv(found, "irt_rasch.csv", row.names = FALSE)
cat(R.version.string, as.character(packageVersion("lme4")),
    as.character(packageVersion("eRm")), "\n")
