# R 4.2.2, eRm 1.0.2. Run in this folder: Rscript irt_person_item_fit.R
# LSAT6 (R. D. Bock, M. Lieberman, Psychometrika 35 (1970) 179): 1000 respondents,
# 5 items. Rasch by conditional maximum likelihood; then the maximum likelihood ability
# of each raw score with its standard error, and the mean squares of each item.
library(eRm)

counts <- c(
  3, 6, 2, 11, 1, 1, 3, 4, 1, 8, 0, 16, 0, 3, 2, 15,
  10, 29, 14, 81, 3, 28, 15, 80, 16, 56, 21, 173, 11, 61, 28, 298
)
pattern <- as.matrix(expand.grid(rep(list(0:1), 5)))[, 5:1]
fit <- RM(pattern[rep(1:32, counts), ])
persons <- person.parameter(fit)
theta <- persons$thetapar$NAgroup1
se <- persons$se.theta$NAgroup1
fitted <- itemfit(persons)

score <- rowSums(persons$X.ex)
at <- match(1:4, score)
rows <- rbind(
  data.frame(what = "ability", index = 1:4, value = theta[at]),
  data.frame(what = "ability_se", index = 1:4, value = se[at]),
  data.frame(what = "difficulty", index = 1:5, value = -fit$betapar),
  data.frame(what = "outfit", index = 1:5, value = fitted$i.outfitMSQ),
  data.frame(what = "infit", index = 1:5, value = fitted$i.infitMSQ)
)
rows$value <- format(rows$value, digits = 12)
write.csv(rows, "irt_person_item_fit.csv", row.names = FALSE, quote = FALSE)
