"""Rows about one engine alone, beside the library it is built on, and the models they need."""
