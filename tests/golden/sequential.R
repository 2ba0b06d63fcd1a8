# R 4.2.2, drconfseq ff50ad1 (https://github.com/WannabeSmith/drconfseq)
# Margins of asymptotic confidence sequences, in standard deviations of one item, and
# the parameter that makes them narrowest. Its R/asymptotic_confseq.R lies beside.
# Rscript sequential.R asymptotic_confseq.R > sequential.csv
source(commandArgs(trailingOnly = TRUE)[1])
# The lower branch of Lambert's function, which drconfseq takes from lamW.
lambertWm1 <- function(x)
  uniroot(function(w) w * exp(w) - x, c(-50, -1), tol = 1e-14)$root
lambertW0 <- function(x) uniroot(function(w) w * exp(w) - x, c(0, 1), tol = 1e-14)$root
cases <- expand.grid(n = c(20, 100, 500, 2000, 14042), n_target = c(100, 500, 5000),
                     alpha = c(0.1, 0.05, 0.01))
cases$rho2 <- sapply(cases$n_target, best_rho2_exact)
cases$margin <- mapply(std_conjmix_margin, cases$n, cases$rho2, cases$alpha)
write.csv(cases, row.names = FALSE, quote = FALSE)
