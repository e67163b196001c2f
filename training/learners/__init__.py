"""Learners: networks with their losses and optimizers."""
