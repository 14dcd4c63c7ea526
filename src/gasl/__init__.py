"""gasl: train any network to be small, and get back a smaller, faster network with the same outputs."""
