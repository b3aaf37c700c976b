"""The plots of the pages, as figures of matplotlib."""
