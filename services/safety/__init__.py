"""Decides what may be made and delivered, and keeps the record."""
