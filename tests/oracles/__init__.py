"""Independent answers: plain loops over Python floats, written from the definitions.

Nothing here imports Pellucid, and nothing here is clever. A loop says which number meets which; there is no
einsum, no strided view, no formula for an output size: what these functions compute can be checked by eye.
Values are Python floats (float64), so sums and products of integers below 2**53 are exact.
"""
