"""snnTorch networks of the published systems, their ANN twins, data sets, trainer and zoo."""
