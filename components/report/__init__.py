"""Reports on an evaluated model, each a file that opens anywhere."""
