"""Maps of what a classifier's logits rest on, their scale, and their drawing on films."""
