"""Open-Sora 1.2: its transformer, autoencoder, schedule and captions, for the weights its authors published."""
