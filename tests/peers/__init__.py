"""The tests and the gallery of other packages, run on torchlops."""
