"""Training of the audio model, in this order: ambience, prepare, autoencoder, reader, dit, publish."""
