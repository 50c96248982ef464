"""The product's own voice: words to phonemes, to times, to a waveform and to lips."""
