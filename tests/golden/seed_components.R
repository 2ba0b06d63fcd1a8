# R 4.2.2, psych 2.2.9, lme4 1.1.31.
# Shrout and Fleiss (1979), table 2, and a made table of 6 seeds x 8 items x 3 repeats.
# ICCs with intervals from psych (ANOVA); components from lme4, REML, which equal those
# of ANOVA for balanced tables without negative components.
# Writes seed_components.csv: table, model, name, value, low, high.
suppressMessages({library(psych); library(lme4)})
control <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10))

shrout <- matrix(c(9,2,5,8, 6,1,3,2, 8,4,6,8, 7,1,2,6, 10,5,6,9, 6,2,4,7), 6, 4,
                 byrow = TRUE)
made <- array(0, c(6, 8, 3))
for (s in 1:6) for (i in 1:8) for (k in 1:3)
  made[s, i, k] <- ((37 * s^2 + 11 * i^2 + 5 * k^3 + 17 * s * i + 29 * s * i * k) %% 101) / 100 +
    s / 4 + i / 5 + ((13 * s * i) %% 17) / 20

rows <- list()
add <- function(table, model, name, value, low = NA, high = NA)
  rows[[length(rows) + 1]] <<- data.frame(table, model, name, value, low, high)

iccs <- function(name, x) {
  found <- ICC(x, lmer = FALSE)$results
  for (r in seq_len(nrow(found)))
    add(name, "psych", found$type[r], found$ICC[r], found$`lower bound`[r],
        found$`upper bound`[r])
}
components <- function(name, formula, data) {
  v <- as.data.frame(VarCorr(lmer(formula, data, control = control)))
  for (r in seq_len(nrow(v))) add(name, "lme4", v$grp[r], v$vcov[r])
}
long <- function(x) {
  d <- expand.grid(lapply(dim(x), seq_len))
  names(d) <- c("seed", "item", "repeated")[seq_along(dim(x))]
  d[seq_along(dim(x))] <- lapply(d, factor)
  d$score <- as.vector(x)
  d$cell <- interaction(d$seed, d$item)
  d
}

iccs("shrout", shrout)
components("shrout", score ~ 1 + (1 | seed) + (1 | item), long(shrout))
iccs("made", apply(made, 1:2, mean))
components("made", score ~ 1 + (1 | seed) + (1 | item) + (1 | cell), long(made))
iccs("repeats", made[2, , ])
components("repeats", score ~ 1 + (1 | item), subset(long(made), seed == 2))
options(digits = 15)
write.csv(do.call(rbind, rows), "seed_components.csv", row.names = FALSE)
