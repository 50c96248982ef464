"""TurboDiffusion (Algorithm 4 of the low-level design): fewer steps, sparser attention, 8-bit linear layers."""
