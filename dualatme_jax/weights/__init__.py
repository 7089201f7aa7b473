"""Networks from elsewhere: PyTorch files, and folders that hold a network for each fold."""
