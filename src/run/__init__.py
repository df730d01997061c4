"""Training, evaluation and checkpoints: assembles the parts and knows no algorithm by name."""
