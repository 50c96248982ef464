"""The worker: takes assignments from the scheduler, drives Triton, keeps checkpoints, and reports every step."""
