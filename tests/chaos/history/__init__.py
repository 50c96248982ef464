"""What happened, as all who took part remember it, and the checker that compares their memories."""
