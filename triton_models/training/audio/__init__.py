"""Training of the audio model, in this order: prepare, autoencoder, reader, dit, evaluate."""
