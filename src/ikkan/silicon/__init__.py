"""Silicon (being built). Begin at kernels."""
