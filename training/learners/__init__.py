"""What learns: networks with their losses and optimizers."""
