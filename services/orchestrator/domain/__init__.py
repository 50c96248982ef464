"""What a job is and may do; pure."""
