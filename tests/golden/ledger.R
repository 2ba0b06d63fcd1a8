# R 4.2.2, lme4 1.1.31.
# Answers of five designs, made with set.seed, and their variance components by REML,
# which equal those of ANOVA for balanced answers without negative components.
# Writes ledger_scores.csv: design, a, b, c, score, and ledger.csv: design, effect,
# variance. Facets are a, b and c, in the order of lme4's groups; nested: b in a.
suppressMessages(library(lme4))
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-11),
                       check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore")

effect <- function(sd, ...) {
  group <- interaction(..., drop = TRUE)
  rnorm(nlevels(group), sd = sd)[as.integer(group)]
}

set.seed(20)
replicated <- expand.grid(a = 1:6, b = 1:12, c = 1:3)
replicated$score <- with(replicated, effect(.4, a) + effect(.6, b) + effect(.3, a, b) +
                           rnorm(216, sd = .5))

three <- expand.grid(a = 1:5, b = 1:12, c = 1:4)
three$score <- with(three, effect(.5, a) + effect(.6, b) + effect(.4, c) +
                      effect(.4, a, b) + effect(.3, a, c) + effect(.4, b, c) +
                      rnorm(240, sd = .4))

nested <- expand.grid(a = 1:6, b = 1:8, c = 1:5)
nested$b <- (nested$a - 1) * 8 + nested$b
nested$score <- with(nested, effect(.5, a) + effect(.6, b) + effect(.4, c) +
                       effect(.3, a, c) + rnorm(240, sd = .5))

missing <- expand.grid(a = 1:8, b = 1:40, c = 1:5)
missing$score <- with(missing, effect(.5, a) + effect(.6, b) + effect(.4, c) +
                        effect(.4, a, b) + effect(.3, a, c) + effect(.4, b, c) +
                        rnorm(1600, sd = .4))
missing <- missing[sort(sample(1600, 1360)), ]

set.seed(7)
binary <- expand.grid(a = 1:5, b = 1:40, c = 1:4)
binary$score <- with(binary, as.numeric(effect(.5, a) + effect(1, b) + effect(.4, c) +
                                          effect(.5, b, c) + effect(.3, a, c) +
                                          effect(.5, a, b) + rnorm(800, sd = .7) > 0))

pairs <- score ~ 1 + (1 | a) + (1 | b) + (1 | c) + (1 | a:b) + (1 | a:c) + (1 | b:c)
designs <- list(
  replicated = list(replicated, score ~ 1 + (1 | a) + (1 | b) + (1 | a:b)),
  three = list(three, pairs),
  nested = list(nested, score ~ 1 + (1 | a) + (1 | b) + (1 | c) + (1 | a:c)),
  missing = list(missing, pairs),
  binary = list(binary, pairs))

scores <- list()
rows <- list()
for (name in names(designs)) {
  data <- designs[[name]][[1]]
  data$score <- round(data$score, 4)
  scores[[name]] <- data.frame(design = name, data)
  data[c("a", "b", "c")] <- lapply(data[c("a", "b", "c")], factor)
  v <- as.data.frame(VarCorr(lmer(designs[[name]][[2]], data, control = control)))
  rows[[name]] <- data.frame(design = name, effect = v$grp, variance = v$vcov)
}
options(digits = 15)
print(do.call(rbind, rows))
write.csv(do.call(rbind, scores), "ledger_scores.csv", row.names = FALSE, quote = FALSE)
write.csv(do.call(rbind, rows), "ledger.csv", row.names = FALSE, quote = FALSE)
