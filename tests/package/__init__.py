"""The wheel and the source distribution, tried where nothing else is installed (``make package``)."""
