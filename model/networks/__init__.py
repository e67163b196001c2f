"""The networks: encoder, decoders, and the network of some styles."""
