"""Weights from PyTorch, one `.pth` a subject, as the stacked variables of all folds; and back."""
