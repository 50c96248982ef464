"""Registers workers, keeps the queue, and places jobs on workers."""
