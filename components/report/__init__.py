"""The pages about a model, and what notebooks call: `load`, and the plots of `report.plots`."""
