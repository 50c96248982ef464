"""Judges prompts: normalisation, rules, and a small trained classifier."""
