"""A gallery ranked by a query: scores, explanations, grids of weights, a second look, results to keep."""
