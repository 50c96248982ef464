"""What the models cost: time, arithmetic and memory, measured on the machine at hand."""
