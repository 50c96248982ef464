"""The studio in a real browser: headless Chromium, through the real gateway."""
