"""The scalar wave equation: grids, one time step in two forms, and what is computed by running them."""
