"""The tool `calculator`: parser, exact arithmetic and functions."""
