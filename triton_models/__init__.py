"""Model library, training, weights and Triton model repository."""
