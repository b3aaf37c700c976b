"""Statistics of classifiers, with their uncertainty; numpy and scipy only."""
