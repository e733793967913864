"""What every solver is made of: vectors, a problem, a state, the samples of a batch, and a result."""
