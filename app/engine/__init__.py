"""What runs the model: this process, or replicas on a Ray cluster."""
