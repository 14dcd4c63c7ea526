"""Sparsity methods: frozen dataclasses whose fields are the hyper-parameters."""
