"""What the Triton models share: parsing requests, responding, cancelling, and calling the model library."""
