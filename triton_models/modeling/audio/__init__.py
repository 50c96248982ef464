"""Sound that fits a clip: audio autoencoder, audio DiT, cues, synchronisation."""
